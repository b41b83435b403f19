//! The counters agree with each other and with the server.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use meshy_dataplane::profile::{Profile, RetryBudget};

use crate::support::{Client, Lab, Memory, Responder, WEB, endpoint, route, scrape, serve_http, sum};

const POD: &str = "10.244.1.1:9090";

/// Fails the requests for which the pattern, which repeats, is `true`.
pub(crate) fn failing(pattern: &'static [bool]) -> Responder {
    Arc::new(move |n, request| {
        let status = if pattern[n % pattern.len()] { 500 } else { 200 };
        Response::builder().status(status).body(Bytes::from(request.uri().path().to_owned())).unwrap()
    })
}

pub(crate) fn retry_all() -> Profile {
    let routes = vec![route("GET /", Method::GET, "/.*", true), route("POST /", Method::POST, "/.*", true)];
    Profile { routes, ..Profile::default() }
}

/// Requests, attempts, retryable failures and refused retries by a client's metrics.
pub(crate) struct Sums {
    pub(crate) effective: u64,
    pub(crate) actual: u64,
    pub(crate) retryable: u64,
    pub(crate) no_budget: u64,
}

impl Sums {
    pub(crate) fn of(client: &Client) -> Self {
        let out = ("direction", "outbound");
        let no_budget = client.metric("route_retryable_total", &[out, ("skipped", "no_budget")]);
        Self {
            effective: client.metric("route_request_total", &[out]),
            actual: client.metric("route_actual_request_total", &[out]),
            // The sum contains both series of the family; the one without `skipped` counts every retryable failure.
            retryable: client.metric("route_retryable_total", &[out]) - no_budget,
            no_budget,
        }
    }

    /// Checks the counters of a run whose attempts all reached the server.
    pub(crate) fn assert_agree(&self, client: &Client, requests: usize, server: usize) {
        assert_eq!(self.effective, requests as u64, "effective requests");
        assert_eq!(self.actual, server as u64, "attempts as the server counts them");
        assert_eq!(self.actual - self.effective, self.retryable - self.no_budget, "retries");
        let out = ("direction", "outbound");
        assert_eq!(client.metric("route_response_total", &[out]), self.effective);
        assert_eq!(client.metric("route_actual_response_total", &[out]), self.actual);
        assert_eq!(client.metric("request_total", &[out]), self.actual);
        assert_eq!(client.metric("response_total", &[out]), self.actual);
    }
}

#[tokio::test]
async fn requests_attempts_and_retries_agree_with_the_server_over_a_pair() {
    let lab = Lab::default();
    let app = Memory::default();
    let server = serve_http(&app, POD.parse().unwrap(), failing(&[true, true, false, false, true, false]));
    let server_proxy = lab.proxy(&app, |_| {});
    lab.mesh(&server_proxy, POD.parse().unwrap());
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    // Enough for every failure of the run, which takes no time.
    let budget = RetryBudget { retry_ratio: 2.0, ..RetryBudget::default() };
    web.profile(Profile { retry_budget: Some(budget), ..retry_all() });
    let client = lab.client();
    for n in 0..200 {
        let body = if n % 2 == 0 { Bytes::new() } else { Bytes::from(vec![b'x'; n * 10]) };
        let method = if n % 2 == 0 { Method::GET } else { Method::POST };
        let request = Request::builder().method(method).uri("/a").header("host", "web").body(body).unwrap();
        assert_eq!(client.send(request).await.status, 200);
    }
    let sums = Sums::of(&client);
    sums.assert_agree(&client, 200, server.count());
    assert_eq!(sums.no_budget, 0);
    assert_eq!(server.count(), 400, "half of the attempts fail");
    let text = scrape(&server_proxy);
    for name in ["request_total", "response_total", "route_request_total", "route_response_total"] {
        assert_eq!(sum(&text, name, &[("direction", "inbound")]), 400, "{name}\n{text}");
    }
}

#[tokio::test]
async fn every_failure_at_an_exhausted_budget_is_counted() {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), failing(&[true]));
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    let budget =
        RetryBudget { retry_ratio: 0.0, min_retries_per_second: 3, ttl: std::time::Duration::from_secs(10) };
    web.profile(Profile { retry_budget: Some(budget), ..retry_all() });
    let client = lab.client();
    for _ in 0..5 {
        assert_eq!(client.get("/").await.status, 500);
    }
    let sums = Sums::of(&client);
    sums.assert_agree(&client, 5, server.count());
    // The first request uses the whole reserve of 3 x 10; every request ends at an exhausted budget.
    assert_eq!((sums.retryable, sums.no_budget), (35, 5));
}

#[tokio::test]
async fn a_request_that_matches_no_route_is_counted_without_a_name_and_not_retried() {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), failing(&[true]));
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    web.profile(Profile { routes: vec![route("GET /a", Method::GET, "/a", true)], ..Profile::default() });
    let client = lab.client();
    assert_eq!(client.get("/b").await.status, 500);
    assert_eq!(server.count(), 1);
    let text = scrape(&client.proxy);
    let line = text.lines().find(|line| line.starts_with("route_request_total{")).unwrap();
    assert!(!line.contains("rt_route"), "{line}");
}
