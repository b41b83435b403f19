//! Who calls which service: the edges of a call graph, as the proxies of the clients count them, and clients without a proxy, as
//! the proxies of the servers count them.

use std::collections::{BTreeMap, BTreeSet};

use super::latency::Buckets;
use super::pods::Workload;
use super::ratio::share;
use super::routes::{Dialect, PROTOCOLS, RouteCounts, Service, client_view, metric, to};
use super::series::{Scrape, Series};
use super::stat::arrives_at_application;
use super::window::Window;

/// Requests of a workload to a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The namespace of the client.
    pub namespace: String,
    /// The client.
    pub client: Workload,
    /// The service that it calls.
    pub service: Service,
    /// The counters of all routes, summed over the pods of the client; without percentiles.
    pub counts: RouteCounts,
    /// The median of the latency for the client, in milliseconds; none where only the latency of attempts is known and there were
    /// retries.
    pub p50_ms: Option<f64>,
    /// The 99th percentile, likewise.
    pub p99_ms: Option<f64>,
    /// Whether all attempts used mutual TLS; none where no attempt was counted.
    pub mutual_tls: Option<bool>,
}

/// Requests of clients without a proxy that arrived at a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct UnmeshedEdge {
    /// The namespace of the server.
    pub namespace: String,
    /// The server.
    pub server: Workload,
    /// Responses.
    pub responses_count: u64,
    /// The share of responses that succeeded.
    pub success_ratio: Option<f64>,
    /// The median of the server's latency, in milliseconds.
    pub p50_ms: Option<f64>,
    /// The 99th percentile, likewise.
    pub p99_ms: Option<f64>,
}

/// Returns the edges of a window by client and service. An edge without requests in the window is not part of it.
#[must_use]
pub fn edges(window: &Window) -> Vec<Edge> {
    let mut found = Vec::new();
    for ((namespace, client), changes) in by_workload(window) {
        let services: BTreeSet<(String, String)> = changes.iter().copied().flat_map(called).collect();
        for (service_namespace, name) in services {
            let service = Service { namespace: service_namespace, name };
            let routes = client_view(changes.iter().copied(), &service);
            let mut counts = RouteCounts::default();
            routes.values().for_each(|route| counts.add(route));
            if counts.requests_count == 0 {
                continue;
            }
            let latency = latency(&changes, &service, &routes, counts.retries() > 0);
            found.push(Edge {
                namespace: namespace.to_owned(),
                client: client.clone(),
                mutual_tls: mutual_tls(&changes, &service),
                service,
                counts,
                p50_ms: latency.quantile(0.5),
                p99_ms: latency.quantile(0.99),
            });
        }
    }
    found
}

/// Returns what clients without a proxy sent in a window, by server. Probes of the kubelet are not part of it.
#[must_use]
pub fn unmeshed(window: &Window) -> Vec<UnmeshedEdge> {
    let counted = |series: &Series| {
        series.is("direction", "inbound")
            && arrives_at_application(series, false)
            && series.label("client_id").is_none_or(|client| client.is_empty())
    };
    let edge = |((namespace, server), changes): ((&str, &Workload), Vec<&Scrape>)| {
        let is_success = |series: &Series| series.is("classification", "success");
        let sum = |fits: &dyn Fn(&Series) -> bool| {
            let sums = changes.iter().map(|change| change.sum("response_total", |s| counted(s) && fits(s)));
            sums.sum::<f64>() as u64
        };
        let (good, bad) = (sum(&is_success), sum(&|series| !is_success(series)));
        let mut buckets = Buckets::default();
        changes.iter().for_each(|change| buckets.add(change, "response_latency_ms_bucket", counted));
        UnmeshedEdge {
            namespace: namespace.to_owned(),
            server: server.clone(),
            responses_count: good + bad,
            success_ratio: share(good, bad),
            p50_ms: buckets.quantile(0.5),
            p99_ms: buckets.quantile(0.99),
        }
    };
    by_workload(window).into_iter().map(edge).filter(|edge| edge.responses_count > 0).collect()
}

fn by_workload(window: &Window) -> BTreeMap<(&str, &Workload), Vec<&Scrape>> {
    let mut found: BTreeMap<(&str, &Workload), Vec<&Scrape>> = BTreeMap::new();
    for pod in &window.pods {
        found.entry((&pod.pod.namespace, &pod.pod.workload)).or_default().push(&pod.change);
    }
    found
}

/// Returns namespace and name of the services that a proxy sent requests to.
pub(super) fn called(change: &Scrape) -> Vec<(String, String)> {
    let of_profile = change.of("route_request_total").filter(|(s, _)| s.is("direction", "outbound"));
    let of_profile = of_profile.filter_map(|(series, count)| {
        let dst = series.label("dst").filter(|_| count > 0.0)?;
        let mut parts = dst.split([':', '.']);
        let (name, namespace) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        (parts.next() == Some("svc")).then_some((namespace, name))
    });
    let statuses = PROTOCOLS.map(|protocol| metric(protocol, "request_statuses_total"));
    let of_policy = statuses.iter().flat_map(|statuses| change.of(statuses));
    let of_policy = of_policy.filter(|(series, _)| series.is("parent_kind", "Service"));
    let of_policy = of_policy.filter_map(|(series, count)| {
        let namespace = series.label("parent_namespace").filter(|_| count > 0.0)?;
        Some((namespace.into_owned(), series.label("parent_name")?.into_owned()))
    });
    of_profile.chain(of_policy).collect()
}

/// Whether a series counts attempts that were sent for a service.
pub(super) fn sent_to(series: &Series, service: &Service) -> bool {
    let named = match series.label("authority") {
        Some(authority) => service.is_named_by(&authority),
        None => series.is("dst_service", &service.name) && series.is("dst_namespace", &service.namespace),
    };
    named && series.is("direction", "outbound")
}

/// Returns the latency of requests: a profile's routes have it; that of attempts is the same if there are no retries. If the
/// profile changed in the window, it is the latency under the profile.
fn latency(
    changes: &[&Scrape],
    service: &Service,
    routes: &BTreeMap<(Dialect, String), RouteCounts>,
    has_retries: bool,
) -> Buckets {
    let mut buckets = Buckets::default();
    if routes.keys().any(|(dialect, _)| *dialect == Dialect::Profile) {
        let fits = |series: &Series| to(series, service);
        changes.iter().for_each(|change| buckets.add(change, "route_response_latency_ms_bucket", fits));
    } else if !has_retries {
        let fits = |series: &Series| sent_to(series, service);
        changes.iter().for_each(|change| buckets.add(change, "response_latency_ms_bucket", fits));
    }
    buckets
}

fn mutual_tls(changes: &[&Scrape], service: &Service) -> Option<bool> {
    let sum = |is_tls: bool| -> f64 {
        let fits = |series: &Series| sent_to(series, service) && series.is("tls", "true") == is_tls;
        changes.iter().map(|change| change.sum("request_total", fits)).sum()
    };
    let (with, without) = (sum(true), sum(false));
    (with + without > 0.0).then_some(without == 0.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Pod, PodWindow, text};

    fn window(pods: &[(&str, &str)]) -> Window {
        let pod = |(name, dump): &(&str, &str)| PodWindow {
            pod: Pod::example("default", name),
            change: text::parse(dump).unwrap(),
        };
        Window { length: Duration::from_secs(10), pods: pods.iter().map(pod).collect(), gaps: Vec::new() }
    }

    #[test]
    fn the_counters_of_a_real_client_are_an_edge_for_each_service() {
        let client = include_str!("../../../tests/fixtures/proxy-client.prom");
        let found = edges(&window(&[("a-0", client), ("a-1", client)]));
        let [edge] = &found[..] else { panic!("{found:#?}") };
        assert_eq!((edge.client.name.as_str(), edge.service.name.as_str()), ("a", "bounced-service"));
        // 2,370 under a profile, 150 before it.
        assert_eq!(edge.counts.requests_count, 2 * (2370 + 150));
        assert_eq!(edge.counts.attempts_count, 2 * (4654 + 150));
        assert!(edge.counts.retries() > 0 && edge.p99_ms > edge.p50_ms);
        assert_eq!(edge.mutual_tls, Some(true));
    }

    #[test]
    fn the_latency_of_requests_with_retries_is_not_that_of_their_attempts() {
        let labels = "parent_kind=\"Service\",parent_namespace=\"default\",parent_name=\"b\"";
        let dump = |retries: u32| {
            format!(
                "outbound_http_route_request_statuses_total{{{labels},http_status=\"200\",error=\"\"}} 4\n\
                 outbound_http_route_retry_requests_total{{{labels}}} {retries}\n\
                 request_total{{direction=\"outbound\",tls=\"no_identity\",dst_service=\"b\",dst_namespace=\"default\"}} 4\n\
                 response_latency_ms_bucket{{direction=\"outbound\",dst_service=\"b\",dst_namespace=\"default\",le=\"10\"}} 4\n"
            )
        };
        for (retries, latency) in [(0, Some(5.0)), (2, None)] {
            let found = edges(&window(&[("a-0", &dump(retries))]));
            assert_eq!((found[0].p50_ms, found[0].mutual_tls), (latency, Some(false)));
            assert_eq!(found[0].counts.attempts_count, 4 + u64::from(retries));
        }
    }

    #[test]
    fn requests_without_a_client_identity_come_from_clients_without_a_proxy() {
        let server = include_str!("../../../tests/fixtures/proxy-server.prom");
        assert_eq!(unmeshed(&window(&[("a-0", server)])), [], "probes are not clients");
        let client = include_str!("../../../tests/fixtures/proxy-client-annotations.prom");
        let found = unmeshed(&window(&[("a-0", client)]));
        assert_eq!((found.len(), found[0].server.name.as_str()), (1, "a"));
        assert_eq!(found[0].responses_count, 3121);
    }
}
