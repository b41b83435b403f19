//! Circuit breaking.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use meshy_dataplane::policy::{FailureAccrual, Policy};
use tokio::time::{Instant, sleep};

use crate::policy::{counters, retries, statuses};
use crate::support::{Lab, Service, WEB, endpoint, serve_http};

const POD: &str = "10.244.1.1:9090";
const OTHER: &str = "10.244.1.2:9090";

fn web_with_breaker(lab: &Lab, endpoints: &[&str]) -> Service {
    let endpoints: Vec<_> = endpoints.iter().map(|addr| endpoint(addr)).collect();
    let web = lab.service("web", WEB, &endpoints);
    let failure_accrual = Some(FailureAccrual { jitter_ratio: 0.0, ..FailureAccrual::default() });
    web.policy(Policy { failure_accrual, ..Policy::default() });
    web
}

#[tokio::test(start_paused = true)]
async fn seven_failures_open_the_breaker_and_one_probe_at_a_time_closes_it() {
    let lab = Lab::default();
    let server = serve_http(
        &lab.wire,
        POD.parse().unwrap(),
        Arc::new(|n, _| {
            let status = if n < 8 { 500 } else { 200 };
            Response::builder().status(status).body(Bytes::new()).unwrap()
        }),
    );
    web_with_breaker(&lab, &[POD]);
    let client = lab.client();
    for _ in 0..7 {
        assert_eq!(client.get("/").await.status, 500);
    }
    // Open for a second; the request waits and is the probe, which fails.
    let start = Instant::now();
    assert_eq!(client.get("/").await.status, 500);
    assert_eq!((start.elapsed().as_millis() / 10, server.count()), (100, 8));
    // Open for two seconds; the next probe succeeds, and later requests do not wait.
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(start.elapsed().as_millis() / 10, 300);
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!((start.elapsed().as_millis() / 10, server.count()), (300, 10));
}

#[tokio::test(start_paused = true)]
async fn requests_avoid_an_endpoint_with_an_open_breaker_and_a_4xx_is_not_a_failure() {
    let lab = Lab::default();
    let failing = serve_http(&lab.wire, POD.parse().unwrap(), statuses(&[500, 500, 500, 404, 500]));
    let healthy = serve_http(&lab.wire, OTHER.parse().unwrap(), statuses(&[200]));
    web_with_breaker(&lab, &[POD, OTHER]);
    let client = lab.client();
    for _ in 0..100 {
        client.get("/").await;
    }
    // At most four failures in a row: the breaker never opens.
    assert!(failing.count() > 7 && healthy.count() > 7, "{} {}", failing.count(), healthy.count());

    let lab = Lab::default();
    let failing = serve_http(&lab.wire, POD.parse().unwrap(), statuses(&[500]));
    let healthy = serve_http(&lab.wire, OTHER.parse().unwrap(), statuses(&[200]));
    web_with_breaker(&lab, &[POD, OTHER]);
    let client = lab.client();
    for _ in 0..200 {
        client.get("/").await;
    }
    assert_eq!((failing.count(), healthy.count()), (7, 193));
}

#[tokio::test(start_paused = true)]
async fn with_every_breaker_open_requests_wait_once_and_are_then_rejected_until_a_probe() {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), statuses(&[500]));
    let web = web_with_breaker(&lab, &[POD]);
    let failure_accrual = Some(FailureAccrual {
        min_penalty: Duration::from_secs(4),
        jitter_ratio: 0.0,
        ..FailureAccrual::default()
    });
    web.policy(Policy { failure_accrual, ..Policy::default() });
    let client = lab.client();
    for _ in 0..7 {
        client.get("/").await;
    }
    let start = Instant::now();
    assert_eq!(client.get("/").await.status, 504);
    assert_eq!((start.elapsed().as_secs(), server.count()), (3, 7));
    assert_eq!(client.get("/").await.status, 503);
    assert_eq!(start.elapsed().as_secs(), 3, "rejected at once");
    let requests = |error| client.metric("outbound_http_route_request_statuses_total", &[("error", error)]);
    assert_eq!((requests("FAIL_FAST"), requests("LOAD_SHED")), (1, 1));
    let attempts = client.metric("outbound_http_route_backend_requests_total", &[]);
    assert_eq!(attempts, 8, "a rejected request is not an attempt");
    // The penalty is over: the next request is the probe, and after its failure the wait begins again.
    sleep(Duration::from_secs(2)).await;
    assert_eq!((client.get("/").await.status, server.count()), (500, 8));
    let start = Instant::now();
    assert_eq!((client.get("/").await.status, start.elapsed().as_secs()), (504, 3));
}

#[tokio::test(start_paused = true)]
async fn a_retry_without_an_available_endpoint_waits_for_one() {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), statuses(&[500, 200]));
    let web = web_with_breaker(&lab, &[POD]);
    let failure_accrual =
        Some(FailureAccrual { max_failures: 1, jitter_ratio: 0.0, ..FailureAccrual::default() });
    web.policy(Policy { failure_accrual, ..retries("5xx", 3) });
    let client = lab.client();
    let start = Instant::now();
    // The retry is the probe.
    assert_eq!((client.get("/").await.status, server.count()), (200, 2));
    assert_eq!(start.elapsed().as_millis() / 10, 100);
    assert_eq!(counters(&client), [1, 1, 0, 0]);
}
