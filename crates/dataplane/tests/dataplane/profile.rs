//! Service profiles: retries, timeouts and overrides, over HTTP/1 and HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version};
use meshy_dataplane::policy::{Policy, Retry};
use meshy_dataplane::profile::{DstOverride, Profile, ResponseClass, ResponseMatch, RetryBudget, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::counters::{Sums, failing, retry_all};
use crate::support::{Client, Lab, Memory, Never, Server, WEB, endpoint, route, serve_http, serve_raw};

const POD: &str = "10.244.1.1:9090";
const OTHER: &str = "10.244.1.2:9090";
const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
/// One failure, then a success.
const ONCE: &[bool] = &[true, false];

/// Returns a client of `web` with a profile, which fails by the pattern.
fn web(profile: Profile, pattern: &'static [bool]) -> (Client, Server) {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), failing(pattern));
    lab.service("web", WEB, &[endpoint(POD)]).profile(profile);
    (lab.client(), server)
}

fn request(version: Version, method: Method, body: impl Into<Bytes>) -> Request<Bytes> {
    let uri = if version == Version::HTTP_2 { "http://web:9090/a" } else { "/a" };
    let mut request = Request::builder().method(method).uri(uri).version(version).body(body.into()).unwrap();
    if version != Version::HTTP_2 {
        request.headers_mut().insert("host", "web:9090".parse().unwrap());
    }
    request
}

/// Sends one request; returns its status and the number of attempts.
async fn send_one(
    profile: Profile,
    version: Version,
    method: Method,
    body: impl Into<Bytes>,
) -> (u16, usize) {
    let (client, server) = web(profile, ONCE);
    let reply = client.send(request(version, method, body)).await;
    Sums::of(&client).assert_agree(&client, 1, server.count());
    (reply.status, server.count())
}

fn any_method(retryable: bool) -> Profile {
    let routes =
        [Method::GET, Method::POST, Method::PUT].map(|method| route("all", method, "/.*", retryable));
    Profile { routes: routes.into(), ..Profile::default() }
}

#[tokio::test]
async fn a_retryable_route_retries_every_method_with_a_small_body() {
    for version in BOTH {
        for (method, body) in
            [(Method::GET, ""), (Method::POST, "small"), (Method::PUT, "small"), (Method::GET, "x")]
        {
            assert_eq!(
                send_one(any_method(true), version, method.clone(), body).await,
                (200, 2),
                "{version:?} {method}"
            );
            assert_eq!(send_one(any_method(false), version, method, body).await, (500, 1), "{version:?}");
        }
    }
}

#[tokio::test]
async fn the_whole_body_arrives_with_every_attempt() {
    for version in BOTH {
        let (client, server) = web(any_method(true), ONCE);
        let body: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
        client.send(request(version, Method::POST, body.clone())).await;
        assert_eq!(server.last().body(), &body);
    }
}

#[tokio::test]
async fn bodies_up_to_64_kib_are_kept_and_longer_ones_are_not_retried() {
    for version in BOTH {
        for (length, expected) in [(0, 2), (1, 2), (65_536, 2), (65_537, 1)] {
            let (_, attempts) = send_one(any_method(true), version, Method::POST, vec![b'x'; length]).await;
            assert_eq!(attempts, expected, "{length} bytes over {version:?}");
        }
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_retried_up_to_64_kib() {
    for (chunks, expected) in [(3, 2), (64, 2), (65, 1)] {
        let (client, server) = web(any_method(true), ONCE);
        let mut io = client.dial(WEB);
        io.write_all(b"POST /a HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        for _ in 0..chunks {
            io.write_all(b"400\r\n").await.unwrap();
            io.write_all(&[b'x'; 1024]).await.unwrap();
            io.write_all(b"\r\n").await.unwrap();
        }
        io.write_all(b"0\r\n\r\n").await.unwrap();
        let mut status = [0; 12];
        io.read_exact(&mut status).await.unwrap();
        assert_eq!(server.count(), expected, "{chunks} KiB");
        assert_eq!(server.last().body().len(), chunks * 1024);
    }
}

#[tokio::test]
async fn a_response_before_the_body_was_read_to_its_end_is_not_retried() {
    let lab = Lab::default();
    let server = serve_raw(&lab.wire, POD.parse().unwrap(), |mut io| async move {
        let mut head = [0; 16];
        io.read_exact(&mut head).await.unwrap();
        io.write_all(b"HTTP/1.1 500 Early\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        // The connection stays open: the response is early, the connection is not broken.
        let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
    });
    lab.service("web", WEB, &[endpoint(POD)]).profile(any_method(true));
    let client = lab.client();
    let mut io = client.dial(WEB);
    io.write_all(b"POST /a HTTP/1.1\r\nhost: web\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
    let mut status = [0; 12];
    io.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 500");
    assert_eq!(server.count(), 1);
    assert_eq!(client.metric("route_retryable_total", &[]), 0);
}

#[tokio::test]
async fn an_earlier_class_that_is_a_success_prevents_a_retry() {
    let class =
        |min, max, is_failure| ResponseClass { condition: ResponseMatch::Status { min, max }, is_failure };
    for (classes, expected) in [
        (vec![class(500, 500, false), class(500, 599, true)], (500, 1)),
        (vec![class(500, 599, true), class(500, 500, false)], (200, 2)),
    ] {
        let mut profile = any_method(true);
        profile.routes =
            vec![Arc::new(Route { response_classes: classes, ..Route::clone(&profile.routes[0]) })];
        assert_eq!(send_one(profile, Version::HTTP_11, Method::GET, "").await, expected);
    }
}

#[tokio::test]
async fn the_first_matching_route_in_list_order_applies() {
    let routes = vec![route("first", Method::GET, "/.*", false), route("second", Method::GET, "/a", true)];
    let (client, server) = web(Profile { routes, ..Profile::default() }, ONCE);
    assert_eq!(client.get("/a?b=c").await.status, 500);
    assert_eq!(server.count(), 1);
    assert_eq!(client.metric("route_request_total", &[("rt_route", "first")]), 1);
}

#[tokio::test]
async fn a_missing_budget_is_linkerds_default_and_an_invalid_one_disables_retries() {
    let with = |retry_budget| Profile { retry_budget, ..any_method(true) };
    let budget = |retry_ratio, millis| RetryBudget {
        retry_ratio,
        min_retries_per_second: 10,
        ttl: Duration::from_millis(millis),
    };
    let cases = [
        (None, (200, 2)),
        (Some(budget(0.2, 10_000)), (200, 2)),
        (Some(budget(0.2, 999)), (500, 1)),
        (Some(budget(0.2, 60_001)), (500, 1)),
        (Some(budget(1_001.0, 10_000)), (500, 1)),
        (Some(budget(-1.0, 10_000)), (500, 1)),
    ];
    for (budget, expected) in cases {
        for version in BOTH {
            assert_eq!(
                send_one(with(budget), version, Method::GET, "").await,
                expected,
                "{budget:?} {version:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retries_stop_when_the_budget_is_exhausted_and_resume_with_time() {
    let budget = RetryBudget { retry_ratio: 0.0, min_retries_per_second: 1, ttl: Duration::from_secs(5) };
    let (client, server) = web(Profile { retry_budget: Some(budget), ..any_method(true) }, &[true]);
    assert_eq!(client.get("/").await.status, 500);
    assert_eq!(
        server.count(),
        1 + 5,
        "the whole reserve at once, without a limit per request and without a backoff"
    );
    client.get("/").await;
    assert_eq!(server.count(), 6 + 1);
    tokio::time::sleep(Duration::from_secs(11)).await;
    client.get("/").await;
    assert_eq!(server.count(), 7 + 1 + 5);
}

#[tokio::test]
async fn all_retryable_routes_share_one_budget() {
    let budget = RetryBudget { retry_ratio: 0.0, min_retries_per_second: 1, ttl: Duration::from_secs(5) };
    let routes = vec![route("a", Method::GET, "/a", true), route("b", Method::GET, "/b", true)];
    let (client, server) =
        web(Profile { routes, retry_budget: Some(budget), dst_overrides: Vec::new() }, &[true]);
    client.get("/a").await;
    client.get("/b").await;
    assert_eq!(server.count(), 6 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_route_timeout_bounds_all_attempts_together() {
    let lab = Lab::default();
    serve_raw(&lab.wire, POD.parse().unwrap(), |mut io| async move {
        let mut head = [0; 4096];
        while io.read(&mut head).await.is_ok_and(|read| read > 0) {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let _ = io.write_all(b"HTTP/1.1 500 Slow\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let routes = retry_all()
        .routes
        .into_iter()
        .map(|route| Arc::new(Route { timeout: Some(Duration::from_millis(500)), ..Route::clone(&route) }));
    lab.service("web", WEB, &[endpoint(POD)])
        .profile(Profile { routes: routes.collect(), ..Profile::default() });
    let client = lab.client();
    let start = Instant::now();
    let reply = client.get("/").await;
    assert_eq!(reply.status, 504);
    assert_eq!(start.elapsed().as_millis() / 10, 50, "{:?}", start.elapsed());
    assert!(reply.headers["l5d-proxy-error"].to_str().unwrap().contains("timeout"));
    assert_eq!(reply.headers["connection"], "close");
    let timed_out = [("error", "timeout"), ("classification", "failure")];
    assert_eq!(client.metric("route_response_total", &timed_out), 1);
    assert_eq!(client.metric("route_actual_request_total", &[]), 2);
    assert_eq!(client.metric("route_actual_response_total", &[]), 1);
}

#[tokio::test]
async fn a_refused_connection_is_a_502_before_the_retry_decision() {
    let lab = Lab::default();
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    let budget = RetryBudget { retry_ratio: 0.0, min_retries_per_second: 1, ttl: Duration::from_secs(5) };
    web.profile(Profile { retry_budget: Some(budget), ..retry_all() });
    let client = lab.client();
    let reply = client.get("/").await;
    assert_eq!(reply.status, 502);
    assert!(reply.headers.contains_key("l5d-proxy-error"));
    assert_eq!(client.metric("route_actual_request_total", &[]), 6, "retried as often as the budget allows");
    assert_eq!(client.metric("response_total", &[("status_code", "502"), ("classification", "failure")]), 6);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_open_in_a_second_is_a_504_before_the_retry_decision() {
    let lab = Lab::default();
    // At one attempt a second the budget is never exhausted, so the timeout ends the request.
    let timeout = Some(Duration::from_millis(2_500));
    let routes = vec![Arc::new(Route { timeout, ..Route::clone(&route("all", Method::GET, "/.*", true)) })];
    lab.service("web", WEB, &[endpoint(POD)]).profile(Profile { routes, ..Profile::default() });
    let client = Client::new(lab.proxy(&Memory::default(), |config| config.network = Arc::new(Never)));
    let start = Instant::now();
    assert_eq!(client.get("/").await.status, 504);
    assert_eq!(start.elapsed().as_millis() / 10, 250);
    assert_eq!(client.metric("route_actual_request_total", &[]), 3);
    assert_eq!(client.metric("route_actual_response_total", &[("status_code", "504")]), 2);
}

#[tokio::test(start_paused = true)]
async fn without_endpoints_requests_fail_after_three_seconds_and_are_then_rejected_and_not_retried() {
    let lab = Lab::default();
    let web = lab.service("web", WEB, &[]);
    web.profile(retry_all());
    let client = lab.client();
    let start = Instant::now();
    assert_eq!(client.get("/").await.status, 504);
    assert_eq!(start.elapsed().as_secs(), 3);
    let start = Instant::now();
    assert_eq!(client.get("/").await.status, 503);
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    assert_eq!(client.metric("route_retryable_total", &[]), 0);
    serve_http(&lab.wire, POD.parse().unwrap(), failing(&[false]));
    web.endpoints(&[endpoint(POD)]);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn the_canonical_name_is_sent_to_the_server_and_a_clients_own_is_replaced() {
    let (client, server) = web(retry_all(), &[false]);
    let mut request = request(Version::HTTP_11, Method::GET, "");
    request.headers_mut().insert("l5d-dst-canonical", "evil.default.svc.cluster.local:1".parse().unwrap());
    client.send(request).await;
    assert_eq!(server.last().headers()["l5d-dst-canonical"], "web.default.svc.cluster.local:9090");
}

#[tokio::test]
async fn overrides_share_the_requests_by_weight_and_weight_zero_gets_none() {
    let lab = Lab::default();
    let at = |addr: &str| serve_http(&lab.wire, addr.parse().unwrap(), failing(&[false]));
    let (first, second, third) = (at(POD), at(OTHER), at("10.244.1.3:9090"));
    let web = lab.service("web", WEB, &[endpoint("10.244.1.3:9090")]);
    lab.service("v1", "10.96.0.2:9090", &[endpoint(POD)]);
    lab.service("v2", "10.96.0.3:9090", &[endpoint(OTHER)]);
    let to = |name: &str, weight| DstOverride::new(format!("{name}.default.svc.cluster.local:9090"), weight);
    let dst_overrides = vec![to("v1", 0.9), to("v2", 0.1), to("web", 0.0)];
    web.profile(Profile { dst_overrides, ..Profile::default() });
    let client = lab.client();
    for _ in 0..1_000 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!((first.count() + second.count(), third.count()), (1_000, 0));
    // Five standard deviations around 100.
    assert!((50..=150).contains(&second.count()), "{}", second.count());
}

#[tokio::test]
async fn a_profile_with_routes_replaces_the_policy_and_one_without_does_not() {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), failing(ONCE));
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    web.policy(Policy { retry: Some(Retry::parse("5xx", Some(1), None).unwrap()), ..Policy::default() });
    let client = lab.client();
    web.profile(Profile { routes: vec![route("all", Method::GET, "/.*", false)], ..Profile::default() });
    assert_eq!((client.get("/").await.status, server.count()), (500, 1));
    web.profile(Profile::default());
    // The second response is a success, the third is a failure, its retry is a success.
    assert_eq!((client.get("/").await.status, server.count()), (200, 2));
    assert_eq!((client.get("/").await.status, server.count()), (200, 4));
}

#[tokio::test]
async fn a_grpc_caller_of_a_refused_connection_gets_a_grpc_status() {
    let lab = Lab::default();
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    let mut request = request(Version::HTTP_2, Method::POST, "");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let reply = client.send(request).await;
    assert_eq!((reply.status, &reply.headers["grpc-status"]), (200, &"14".parse().unwrap()));
}
