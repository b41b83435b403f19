//! The proxy's log: which decisions appear at which level.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version};
use meshy_dataplane::policy::{FailureAccrual, Policy, Retry, Timeouts};
use meshy_dataplane::profile::{Profile, RetryBudget, Route};
use meshy_dataplane::{ProxyConfig, ProxyLog};
use tokio::io::AsyncReadExt;
use tokio::time::sleep;
use tracing::level_filters::LevelFilter;

use crate::counters::{failing, retry_all};
use crate::support::{Client, Lab, Memory, WEB, endpoint, route, serve_http, serve_raw};

const POD: &str = "10.244.1.1:9090";

/// The lines of one proxy.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn log(&self, level: LevelFilter) -> ProxyLog {
        let lines = self.0.clone();
        ProxyLog::new(level, Arc::new(move |line| lines.lock().unwrap().push(line.to_owned())))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A client whose proxy logs from this level on.
fn logged(lab: &Lab, level: LevelFilter, change: impl FnOnce(&mut ProxyConfig)) -> (Client, Lines) {
    let lines = Lines::default();
    let proxy = lab.proxy(&Memory::default(), |config| {
        config.log = Some(lines.log(level));
        change(config);
    });
    (Client::new(proxy), lines)
}

/// Checks that the lines contain these parts, in this order.
fn assert_in_order(lines: &[String], parts: &[&str]) {
    let mut rest = lines.iter();
    for part in parts {
        assert!(rest.any(|line| line.contains(part)), "{part:?} is missing in:\n{}", lines.join("\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn every_decision_of_a_request_is_logged_at_debug_under_its_span() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let lab = Lab::default();
        serve_http(&lab.wire, POD.parse().unwrap(), failing(&[true, false]));
        lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
        let (client, lines) = logged(&lab, LevelFilter::DEBUG, |_| {});
        let uri = if version == Version::HTTP_2 { "http://web:9090/a?b=c" } else { "/a?b=c" };
        let request = Request::get(uri).version(version).header("host", "web").body(Bytes::new()).unwrap();
        assert_eq!(client.send(request).await.status, 200);
        let lines = lines.take();
        assert_in_order(
            &lines,
            &[
                "profile route matched route=\"GET /\" retryable=true",
                "attempt started",
                "endpoint chosen endpoint=10.244.1.1:9090 of=1",
                "response endpoint=10.244.1.1:9090 status=500",
                "retry allowed by the budget",
                "attempt started",
                "endpoint chosen",
                "response endpoint=10.244.1.1:9090 status=200",
            ],
        );
        let span = "outbound{client=10.244.0.9:1 dst=10.96.0.1:9090 method=GET path=\"/a\"}: ";
        assert!(lines.iter().any(|line| line.starts_with("[    0.000000s] DEBUG ") && line.contains(span)));
        let without_span: Vec<_> = lines.iter().filter(|line| !line.contains(span)).collect();
        assert!(without_span.iter().all(|line| line.contains("profile applied")), "{without_span:?}");
    }
}

/// Sends one request and returns the reason of the only refused retry.
async fn refusal(change: impl FnOnce(&crate::support::Service), body: usize) -> String {
    let lab = Lab::default();
    serve_http(&lab.wire, POD.parse().unwrap(), failing(&[true]));
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    change(&web);
    let (client, lines) = logged(&lab, LevelFilter::DEBUG, |_| {});
    let body = Bytes::from(vec![b'x'; body]);
    client.send(Request::post("/").header("host", "web").body(body).unwrap()).await;
    let refused: Vec<_> = lines.take().into_iter().filter(|line| line.contains("retry refused")).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    refused[0].rsplit_once("reason=").expect("a reason").1.trim_matches('"').to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_refused_retry_is_logged_with_its_reason() {
    let budget =
        |retry_ratio| RetryBudget { retry_ratio, min_retries_per_second: 0, ttl: Duration::from_secs(10) };
    let profile = |retryable, retry_ratio| Profile {
        routes: vec![route("all", Method::POST, "/.*", retryable)],
        retry_budget: Some(budget(retry_ratio)),
        ..Profile::default()
    };
    let retry = |http| Some(Retry::parse(http, Some(1), None).unwrap());
    let policy = |http| Policy { retry: retry(http), ..Policy::default() };
    for (reason, refused) in [
        ("the route is not retryable", refusal(|web| web.profile(profile(false, 0.2)), 1).await),
        ("the retry budget is invalid", refusal(|web| web.profile(profile(true, -1.0)), 1).await),
        ("the retry budget is exhausted", refusal(|web| web.profile(profile(true, 0.0)), 1).await),
        (
            "the request body is longer than 64 KiB",
            refusal(|web| web.profile(profile(true, 0.2)), 65_537).await,
        ),
        ("the route has no retries", refusal(|web| web.policy(Policy::default()), 1).await),
        ("the status or error is not retryable", refusal(|web| web.policy(policy("503")), 1).await),
        ("the retry limit is reached", refusal(|web| web.policy(policy("500")), 1).await),
        ("the request body is longer than 64 KiB", refusal(|web| web.policy(policy("500")), 65_537).await),
    ] {
        assert_eq!(refused, reason);
    }
}

#[tokio::test(start_paused = true)]
async fn timeouts_are_logged() {
    let silent = || {
        let lab = Lab::default();
        serve_raw(&lab.wire, POD.parse().unwrap(), |mut io| async move {
            while io.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
        });
        let web = lab.service("web", WEB, &[endpoint(POD)]);
        (lab, web)
    };
    let limit = Some(Duration::from_millis(100));
    let (lab, web) = silent();
    let timed = Route { timeout: limit, ..Route::clone(&route("all", Method::GET, "/.*", false)) };
    web.profile(Profile { routes: vec![Arc::new(timed)], ..Profile::default() });
    let (client, lines) = logged(&lab, LevelFilter::DEBUG, |_| {});
    client.get("/").await;
    assert_in_order(
        &lines.take(),
        &["request timed out timeout=100ms", "synthesized error response status=504"],
    );
    let (lab, web) = silent();
    let timeouts = Timeouts { response: limit, ..Timeouts::default() };
    web.policy(Policy { timeouts, ..Policy::default() });
    let (client, lines) = logged(&lab, LevelFilter::DEBUG, |_| {});
    client.get("/").await;
    assert_in_order(
        &lines.take(),
        &["attempt timed out timeout=response stream timeout", "synthesized error response status=504"],
    );
}

#[tokio::test(start_paused = true)]
async fn at_info_state_changes_and_failed_requests_are_logged_and_nothing_else() {
    let lab = Lab::default();
    serve_http(&lab.wire, POD.parse().unwrap(), failing(&[true, true, false]));
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    let accrual = FailureAccrual { max_failures: 2, jitter_ratio: 0.0, ..FailureAccrual::default() };
    web.policy(Policy { failure_accrual: Some(accrual), ..Policy::default() });
    let (client, lines) = logged(&lab, LevelFilter::INFO, |_| {});
    for _ in 0..3 {
        client.get("/").await;
    }
    web.endpoints(&[]);
    client.get("/").await;
    web.endpoints(&[endpoint(POD)]);
    client.get("/").await;
    let expected = [
        "circuit breaker opened endpoint=10.244.1.1:9090 penalty=1s",
        "circuit breaker half-open: one request probes endpoint=10.244.1.1:9090",
        "circuit breaker closed endpoint=10.244.1.1:9090",
        "service entered fail-fast, no endpoint is available service=\"web.default.svc.cluster.local:9090\" endpoints=0",
        "synthesized error response status=504 error=service in fail-fast",
        "service left fail-fast service=\"web.default.svc.cluster.local:9090\"",
    ];
    let lines = lines.take();
    assert_in_order(&lines, &expected);
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_log_has_only_the_lines_of_its_proxy() {
    let (lab, app) = (Lab::default(), Memory::default());
    serve_http(&app, POD.parse().unwrap(), failing(&[false]));
    let server_lines = Lines::default();
    let server = lab.proxy(&app, |config| config.log = Some(server_lines.log(LevelFilter::DEBUG)));
    lab.mesh(&server, POD.parse().unwrap());
    lab.service("web", WEB, &[endpoint(POD)]);
    let (client, client_lines) = logged(&lab, LevelFilter::TRACE, |_| {});
    let (quiet, quiet_lines) = logged(&lab, LevelFilter::OFF, |_| {});
    for client in [&client, &quiet, &lab.client()] {
        assert_eq!(client.get("/").await.status, 200);
    }
    sleep(Duration::from_secs(10)).await;
    let (server, client) = (server_lines.take(), client_lines.take());
    assert_eq!(
        server.iter().filter(|line| line.contains("response of the application status=200")).count(),
        3
    );
    assert!(server.iter().all(|line| line.contains("inbound{client=10.244.9.9:1 port=9090 ")), "{server:?}");
    assert_in_order(&client, &["TRACE protocol detected", "attempt started", "TRACE", "status=200"]);
    assert!(client.iter().all(|line| !line.contains("inbound{")), "{client:?}");
    assert_eq!(quiet_lines.take(), [""; 0]);
}
