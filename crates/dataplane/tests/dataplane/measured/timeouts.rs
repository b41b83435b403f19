//! Section a: timeouts.

use std::sync::Arc;
use std::time::Duration;

use meshy_dataplane::policy::{HttpRoute, Policy, Retry, RouteRule, Timeouts};
use meshy_dataplane::profile::Profile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::pods::{client, identity, mesh, pod, serve};
use super::{BACKEND, BR, BS, ERRORS, POD, RLIM, RR, RS, RSUC, Received, all_are, count, gets, load, moved};
use crate::counters::retry_all;
use crate::support::{Client, Lab, Memory, Server, WEB, serve_raw};

const QUARTER: Duration = Duration::from_millis(250);

#[expect(clippy::unnecessary_wraps, reason = "policies have optional timeouts")]
fn ms(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

#[expect(clippy::unnecessary_wraps, reason = "policies have optional retries")]
fn retry(http: &str, limit: u16, timeout: Option<Duration>) -> Option<Retry> {
    Some(Retry::parse(http, Some(limit), timeout).unwrap())
}

/// Returns a client of `web` whose pod waits and then sends a status.
fn web(policy: Policy, plan: impl Fn(usize) -> (u64, u16) + Send + Sync + 'static) -> (Arc<Client>, Server) {
    let lab = Lab::default();
    let server = serve(&lab, POD, plan);
    lab.service("web", WEB, &[pod(POD)]).policy(policy);
    (client(&lab), server)
}

#[track_caller]
fn took(received: &[Received], millis: u64) {
    for one in received {
        let expected = Duration::from_millis(millis);
        assert!((expected..expected + Duration::from_millis(5)).contains(&one.took), "{one:?}");
    }
}

/// Sends 80 requests that all end in the same timeout after 200 ms.
async fn times_out_after_200_ms(row: &str, policy: Policy, reason: &str, label: &str) {
    let (client, _) = web(policy, |_| (500, 200));
    let received = load(&client, QUARTER, gets(80)).await;
    all_are(&received, 504, &format!("{BACKEND}timed out waiting for response headers: {reason}"), false);
    took(&received, 200);
    let failed = [("classification", "failure"), ("error", "unclassified")];
    moved(
        &client,
        &[
            (BS, &[("error", label), ("http_status", "")], 80),
            (RS, &[("error", label), ("http_status", "")], 80),
            (ERRORS, &[("error", "unexpected")], 80),
            (BR, &[], 80),
            ("response_total", &failed, 80),
            (RR, &[], 0),
        ],
    );
    client.has_the_keys_of(&[row]);
}

#[tokio::test(start_paused = true)]
async fn a_request_timeout_is_a_504_that_names_the_stages() {
    let timeouts = Timeouts { request: ms(200), ..Timeouts::default() };
    let policy = Policy { timeouts, ..Policy::default() };
    times_out_after_200_ms("a01", policy, "request timeout: 200ms", "REQUEST_TIMEOUT").await;
}

#[tokio::test(start_paused = true)]
async fn a_response_timeout_is_a_504_and_never_retried() {
    let timeouts = Timeouts { response: ms(200), ..Timeouts::default() };
    for (row, retry) in [("a02", None), ("a08", retry("5xx", 3, None))] {
        let policy = Policy { timeouts, retry, ..Policy::default() };
        times_out_after_200_ms(row, policy, "response stream timeout: 200ms", "RESPONSE_STREAM_TIMEOUT")
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_timeout_does_not_act_before_the_headers() {
    let timeouts = Timeouts { idle: ms(200), ..Timeouts::default() };
    let (client, _) = web(Policy { timeouts, ..Policy::default() }, |_| (500, 200));
    let received = load(&client, QUARTER, gets(80)).await;
    all_are(&received, 200, "", false);
    took(&received, 500);
    client.has_the_keys_of(&["a03"]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_within_the_body_breaks_a_response_of_status_200() {
    for (row, timeouts, label) in [
        ("a04", Timeouts { idle: ms(200), ..Timeouts::default() }, "IDLE_TIMEOUT"),
        ("a05", Timeouts { request: ms(200), ..Timeouts::default() }, "REQUEST_TIMEOUT"),
        ("a06", Timeouts { response: ms(200), ..Timeouts::default() }, "RESPONSE_STREAM_TIMEOUT"),
    ] {
        let (lab, app) = (Lab::default(), Memory::default());
        mesh(&lab, &app, POD);
        serve_raw(&app, POD.parse().unwrap(), |mut io| async move {
            while io.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                let _ = io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok").await;
                sleep(Duration::from_secs(1)).await;
                let _ = io.write_all(b"ok").await;
            }
        });
        lab.service("web", WEB, &[pod(POD)]).policy(Policy { timeouts, ..Policy::default() });
        let client = client(&lab);
        let received = load(&client, QUARTER, gets(80)).await;
        assert_eq!(count(&received, 0), 80, "every body breaks");
        took(&received, 200);
        sleep(Duration::from_secs(1)).await;
        let ended = [("http_status", "200"), ("error", label)];
        let failed = [("status_code", "200"), ("classification", "failure")];
        moved(&client, &[(BS, &ended, 80), (RS, &ended, 80), ("response_total", &failed, 80)]);
        client.has_the_keys_of(&[row]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_timeout_ends_the_retries() {
    let timeouts = Timeouts { request: ms(300), ..Timeouts::default() };
    let (client, _) =
        web(Policy { timeouts, retry: retry("5xx", 5, None), ..Policy::default() }, |_| (80, 500));
    let received = load(&client, QUARTER, gets(80)).await;
    all_are(
        &received,
        504,
        &format!("{BACKEND}timed out waiting for response headers: request timeout: 300ms"),
        false,
    );
    // The backoff before the second retry can pass the deadline.
    assert!(received.iter().all(|one| (300..=312).contains(&one.took.as_millis())), "{received:?}");
    let attempts = client.metric(BR, &[]);
    // Two or three attempts of 80 ms with backoffs of 25 to 50 and 50 to 100 ms fit.
    assert!((160..=240).contains(&attempts), "{attempts}");
    moved(
        &client,
        &[(RR, &[], attempts - 80), (RLIM, &[], 0), (BS, &[("http_status", "500")], attempts - 80)],
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_timeout_ends_all_attempts_but_the_last() {
    let policy = Policy { retry: retry("5xx", 2, ms(200)), ..Policy::default() };
    let (client, _) = web(policy, |_| (500, 200));
    let received = load(&client, 2 * QUARTER, gets(40)).await;
    all_are(&received, 200, "", false);
    assert!(received.iter().all(|one| one.took >= Duration::from_millis(975)), "{received:?}");
    moved(
        &client,
        &[
            (BR, &[], 120),
            (BS, &[("error", "RESPONSE_HEADERS_TIMEOUT")], 80),
            (BS, &[("http_status", "200")], 40),
            (RR, &[], 80),
            (RSUC, &[], 40),
        ],
    );
    client.has_the_keys_of(&["a09"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_timeout_ends_a_retry_after_a_retry_timeout() {
    let timeouts = Timeouts { request: ms(500), ..Timeouts::default() };
    let policy = Policy { timeouts, retry: retry("5xx", 3, ms(200)), ..Policy::default() };
    let (client, _) = web(policy, |_| (500, 200));
    let received = load(&client, 2 * QUARTER, gets(40)).await;
    all_are(
        &received,
        504,
        &format!("{BACKEND}timed out waiting for response headers: request timeout: 500ms"),
        false,
    );
    moved(
        &client,
        &[
            (BR, &[], 120),
            (BS, &[("error", "RESPONSE_HEADERS_TIMEOUT")], 80),
            (BS, &[("error", "REQUEST_TIMEOUT")], 40),
            (RR, &[], 80),
        ],
    );
    client.has_the_keys_of(&["a10"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_timeout_alone_is_retried_once() {
    let retry = Some(Retry { limit: 1, timeout: ms(200), ..Retry::default() });
    let (client, _) = web(Policy { retry, ..Policy::default() }, |_| (500, 200));
    let received = load(&client, 2 * QUARTER, gets(40)).await;
    all_are(&received, 200, "", false);
    assert!(received.iter().all(|one| one.took >= Duration::from_millis(725)), "{received:?}");
    moved(&client, &[(BR, &[], 80), (RR, &[], 40), (RSUC, &[], 40)]);
    client.has_the_keys_of(&["a11"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_timeout_applies_to_slow_responses_only() {
    let timeouts = Timeouts { request: ms(250), ..Timeouts::default() };
    // Evenly spread from 0 to 500 ms, in another order.
    let (client, _) = web(Policy { timeouts, ..Policy::default() }, |n| ((n as u64 * 37 % 100) * 5 + 2, 200));
    let received = load(&client, QUARTER, gets(100)).await;
    assert_eq!((count(&received, 200), count(&received, 504)), (50, 50));
    moved(&client, &[(BS, &[("error", "REQUEST_TIMEOUT")], 50)]);
}

/// Returns the policy of a service with one HTTPRoute of one rule.
fn routed(timeouts: Timeouts, retry: Option<Retry>) -> Policy {
    let rule = RouteRule { timeouts: Some(timeouts), retry, ..RouteRule::default() };
    let (namespace, name) = ("default".to_owned(), "web-route".to_owned());
    let route = HttpRoute { namespace, name, rules: vec![rule], ..HttpRoute::default() };
    Policy { routes: vec![route], ..Policy::default() }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_a_route_names_the_route() {
    let (client, _) = web(routed(Timeouts { request: ms(200), ..Timeouts::default() }, None), |_| (500, 200));
    let received = load(&client, QUARTER, gets(60)).await;
    let reason = "timed out waiting for response headers: request timeout: 200ms";
    let backend = BACKEND.replace("default.http", "HTTPRoute.default.web-route");
    all_are(&received, 504, &format!("{backend}{reason}"), false);
    let labels = [("route_kind", "HTTPRoute"), ("route_name", "web-route"), ("error", "REQUEST_TIMEOUT")];
    moved(&client, &[(RS, &labels, 60), (BS, &labels, 60)]);
    client.has_the_keys_of(&["a14"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_timeout_of_a_route_is_not_retried() {
    let timeouts = Timeouts { request: ms(400), ..Timeouts::default() };
    let (client, _) = web(routed(timeouts, retry("5xx", 2, None)), |_| (500, 200));
    let received = load(&client, 2 * QUARTER, gets(40)).await;
    assert_eq!(count(&received, 504), 40);
    took(&received, 400);
    moved(&client, &[(BR, &[], 40), (RS, &[("error", "REQUEST_TIMEOUT")], 40)]);
    client.has_the_keys_of(&["a15"]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_a_profile_is_a_504_that_closes_the_connection() {
    let lab = Lab::default();
    serve(&lab, POD, |_| (500, 200));
    let web = lab.service("web", WEB, &[pod(POD)]);
    let mut profile = retry_all();
    let mut route = meshy_dataplane::profile::Route::clone(&profile.routes[0]);
    route.timeout = ms(200);
    profile.routes = vec![Arc::new(route)];
    web.profile(Profile { ..profile });
    let client = client(&lab);
    let received = load(&client, QUARTER, gets(60)).await;
    let reason = "logical service web.default.svc.cluster.local:9090: HTTP response timeout after 200ms";
    all_are(&received, 504, reason, true);
    took(&received, 200);
    moved(
        &client,
        &[
            (ERRORS, &[("error", "response timeout")], 60),
            ("route_request_total", &[], 60),
            ("route_actual_request_total", &[], 60),
            ("route_response_total", &[("classification", "failure"), ("error", "timeout")], 60),
            ("route_actual_response_total", &[], 0),
            ("response_total", &[], 0),
        ],
    );
    client.has_the_keys_of(&["y3"]);
}

#[tokio::test(start_paused = true)]
async fn with_linkerds_discovery_cache_annotations_next_to_a_profile_wait_for_five_idle_seconds() {
    let lab = Lab::default();
    let server = serve(&lab, POD, |_| (1, 500));
    let service = lab.service("web", WEB, &[pod(POD)]);
    service.profile(Profile {
        routes: vec![crate::support::route("other", http::Method::PUT, "/x", false)],
        ..Profile::default()
    });
    let client = Arc::new(Client::new(lab.proxy(&Memory::default(), |config| {
        config.identity = Some(identity(super::pods::CLIENT));
        config.linkerd_discovery_cache = true;
    })));
    load(&client, QUARTER, gets(8)).await;
    service.policy(Policy { retry: retry("5xx", 3, None), ..Policy::default() });
    service.change(&|target| target.profile = None);
    load(&client, QUARTER, gets(48)).await;
    assert_eq!(server.count(), 8 + 48, "the client stays in profile mode");
    moved(&client, &[("route_request_total", &[], 56), (RR, &[], 0)]);
}
