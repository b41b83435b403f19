//! Any text as a proxy's metrics: what is kept of it are counts, and the tables made of them hold numbers.

use std::time::Duration;

use meshy_metrics::latency::Percentiles;
use meshy_metrics::routes::{Service, client_view, server_view};
use meshy_metrics::stat::{self, By};
use meshy_metrics::{Outcomes, Pod, PodWindow, RouteCounts, Scrape, Window, text};

/// What parts two dumps of one proxy.
const LATER: &str = "\n---\n";

/// Two dumps of one proxy, or one.
pub(crate) fn case(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (before, after) =
        text.split_once(LATER).map_or((None, text), |(before, after)| (Some(before), after));
    let Ok(after) = text::parse(after) else { return };
    let before = before.and_then(|before| text::parse(before).ok());

    let still = after.since(Some(&after));
    for name in ["request_total", "response_total", "route_request_total", "route_response_total"] {
        let whole = after.sum(name, |_| true);
        assert!(whole.is_finite() && whole >= 0.0, "{name} is {whole}");
        // What a filter takes and what it leaves are the whole.
        let part = |inbound: bool| after.sum(name, |series| series.is("direction", "inbound") == inbound);
        assert!((part(true) + part(false) - whole).abs() <= whole * 1e-9);
        assert_eq!(still.sum(name, |_| true), 0.0, "nothing happens in no time");
        let change = after.since(before.as_ref()).sum(name, |_| true);
        assert!((0.0..=whole * (1.0 + 1e-9)).contains(&change), "{name} is {whole} and rose by {change}");
    }
    tables(after.since(before.as_ref()));
}

fn tables(change: Scrape) {
    let service = Service { namespace: "default".to_owned(), name: "web".to_owned() };
    let clients = client_view([&change], &service);
    let servers = server_view([&change]);
    clients.values().chain(servers.values()).for_each(route);
    let outcomes = Outcomes::of(&clients, None);
    assert!(outcomes.added_attempts_per_request.is_none_or(f64::is_finite), "{outcomes:?}");

    let pods = [pod()];
    let window = Window {
        length: Duration::from_secs(10),
        pods: vec![PodWindow { pod: pod(), change }],
        gaps: Vec::new(),
    };
    for by in [By::Pod, By::Workload("deployment"), By::Namespace, By::Service] {
        for row in stat::table(&window, &pods, by, false) {
            percentiles(&row.latency);
            assert!(row.success_ratio.is_none_or(share), "{row:?}");
        }
    }
}

fn route(counts: &RouteCounts) {
    percentiles(&counts.latency);
    for ratio in [counts.effective_success(), counts.actual_success(), counts.below_50ms_ratio] {
        assert!(ratio.is_none_or(share), "{counts:?}");
    }
    assert!(counts.latency_mean_ms.is_none_or(|mean| mean.is_finite() && mean >= 0.0), "{counts:?}");
}

fn percentiles(found: &Percentiles) {
    let all: Vec<f64> = [found.p50_ms, found.p95_ms, found.p99_ms].into_iter().flatten().collect();
    assert!(all.iter().all(|ms| ms.is_finite() && *ms >= 0.0), "{found:?}");
    assert!(all.is_sorted(), "{found:?}");
}

fn share(ratio: f64) -> bool {
    (0.0..=1.0).contains(&ratio)
}

fn pod() -> Pod {
    Pod::example("default", "web-1")
}
