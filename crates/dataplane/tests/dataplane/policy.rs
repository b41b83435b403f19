//! Retries and timeouts by annotation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use meshy_dataplane::policy::{Policy, Retry, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use crate::support::{Client, Lab, Responder, Server, WEB, endpoint, scrape, serve_http, serve_raw};

const POD: &str = "10.244.1.1:9090";

pub(crate) fn web(policy: Policy, responder: Responder) -> (Client, Server) {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, POD.parse().unwrap(), responder);
    lab.service("web", WEB, &[endpoint(POD)]).policy(policy);
    (lab.client(), server)
}

pub(crate) fn retries(http: &str, limit: u16) -> Policy {
    Policy { retry: Some(Retry::parse(http, Some(limit), None).unwrap()), ..Policy::default() }
}

/// Responds with these statuses in turn.
pub(crate) fn statuses(list: &'static [u16]) -> Responder {
    Arc::new(move |n, _| Response::builder().status(list[n % list.len()]).body(Bytes::new()).unwrap())
}

pub(crate) fn counters(client: &Client) -> [u64; 4] {
    ["requests", "successes", "limit_exceeded", "overflow"]
        .map(|name| client.metric(&format!("outbound_http_route_retry_{name}_total"), &[]))
}

#[tokio::test(start_paused = true)]
async fn retries_stop_at_the_limit_and_back_off() {
    let (client, server) = web(retries("5xx", 3), statuses(&[500]));
    let start = Instant::now();
    assert_eq!(client.get("/").await.status, 500);
    assert_eq!(server.count(), 4);
    // 25, 50 and 100 ms, each with up to the same time added.
    let took = start.elapsed();
    assert!((Duration::from_millis(175)..Duration::from_millis(356)).contains(&took), "{took:?}");
    assert_eq!(counters(&client), [3, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn only_the_listed_statuses_are_retried_and_each_success_is_counted() {
    let (client, server) = web(retries("502-503,429", 2), statuses(&[500, 429, 502, 200, 503, 404]));
    let mut received = Vec::new();
    for _ in 0..3 {
        received.push(client.get("/").await.status);
    }
    assert_eq!((received, server.count()), (vec![500, 200, 404], 6));
    assert_eq!(counters(&client), [3, 2, 0, 0]);
    let of = |name| client.metric(&format!("outbound_http_route_{name}"), &[]);
    assert_eq!(of("backend_requests_total"), 6, "every attempt");
    assert_eq!(of("backend_response_statuses_total"), 6);
    assert_eq!(of("request_statuses_total"), 3, "every request");
    assert_eq!(client.metric("request_total", &[]), 6);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_64_kib_is_not_retried() {
    let (client, server) = web(retries("5xx", 1), statuses(&[500, 200]));
    for (length, status) in [(65_537, 500), (65_536, 200)] {
        let body = Bytes::from(vec![b'x'; length]);
        let request = Request::post("/").header("host", "web").body(body).unwrap();
        // Skips the server's second response, so that the first attempt of the second request fails as well.
        if server.count() == 1 {
            client.get("/").await;
        }
        assert_eq!(client.send(request).await.status, status, "{length}");
    }
}

/// Responds 200 after these milliseconds, in turn.
fn slow(lab: &Lab, addr: &str, millis: &'static [u64]) -> Server {
    let turn = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    serve_raw(&lab.wire, addr.parse().unwrap(), move |mut io| {
        let turn = turn.clone();
        async move {
            let mut head = [0; 4096];
            while io.read(&mut head).await.is_ok_and(|read| read > 0) {
                let n = turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                sleep(Duration::from_millis(millis[n % millis.len()])).await;
                let _ = io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_retry_timeout_applies_to_each_attempt_but_the_last() {
    let lab = Lab::default();
    let server = slow(&lab, POD, &[1_000]);
    let retry = Retry {
        statuses: vec![500..=599],
        limit: 2,
        timeout: Some(Duration::from_millis(100)),
        ..Retry::default()
    };
    lab.service("web", WEB, &[endpoint(POD)]).policy(Policy { retry: Some(retry), ..Policy::default() });
    let client = lab.client();
    let start = Instant::now();
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(server.count(), 3, "an attempt that timed out closes its connection");
    assert!(start.elapsed() >= Duration::from_millis(1_200), "{:?}", start.elapsed());
    let timed_out = [("error", "RESPONSE_HEADERS_TIMEOUT")];
    assert_eq!(client.metric("outbound_http_route_backend_response_statuses_total", &timed_out), 2);
    assert_eq!(counters(&client), [2, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_request_timeout_spans_all_attempts_and_is_a_504_that_keeps_the_connection() {
    let (client, _) = web(
        Policy {
            timeouts: Timeouts { request: Some(Duration::from_millis(60)), ..Timeouts::default() },
            ..retries("5xx", 100)
        },
        statuses(&[500]),
    );
    let start = Instant::now();
    let reply = client.get("/").await;
    // At the end of the backoff of up to 100 ms that the deadline is in.
    let took = start.elapsed().as_millis();
    assert!(reply.status == 504 && (60..=152).contains(&took), "{} after {took} ms", reply.status);
    assert!(!reply.headers.contains_key("connection"));
    assert_eq!(
        client.metric("outbound_http_route_request_statuses_total", &[("error", "REQUEST_TIMEOUT")]),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_timeout_is_not_retried() {
    let lab = Lab::default();
    let server = slow(&lab, POD, &[1_000]);
    let timeouts = Timeouts { response: Some(Duration::from_millis(100)), ..Timeouts::default() };
    lab.service("web", WEB, &[endpoint(POD)]).policy(Policy { timeouts, ..retries("5xx", 2) });
    let client = lab.client();
    assert_eq!((client.get("/").await.status, server.count()), (504, 1));
    let ended = [("error", "RESPONSE_STREAM_TIMEOUT")];
    assert_eq!(client.metric("outbound_http_route_request_statuses_total", &ended), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_the_idle_timeout_breaks_the_response() {
    let lab = Lab::default();
    serve_raw(&lab.wire, POD.parse().unwrap(), |mut io| async move {
        let mut head = [0; 4096];
        let _ = io.read(&mut head).await;
        let _ = io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok").await;
        sleep(Duration::from_secs(60)).await;
    });
    let timeouts = Timeouts { idle: Some(Duration::from_millis(100)), ..Timeouts::default() };
    lab.service("web", WEB, &[endpoint(POD)]).policy(Policy { timeouts, ..Policy::default() });
    let client = lab.client();
    let request = Request::get("/").header("host", "web").body(Bytes::new()).unwrap();
    assert!(client.send_to(WEB, request).await.is_err());
    client
        .wait_for_metric("outbound_http_route_request_statuses_total", &[("error", "IDLE_TIMEOUT")], 1)
        .await;
}

/// Resets the first streams with a reason, then responds 200.
fn resetting(lab: &Lab, times: usize, reason: h2::Reason) -> Server {
    let count = Server::default();
    let counted = count.clone();
    serve_raw(&lab.wire, POD.parse().unwrap(), move |io| {
        let counted = counted.clone();
        async move {
            let mut connection = h2::server::handshake(io).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let number = counted.count();
                counted.add();
                if number < times {
                    respond.send_reset(reason);
                } else {
                    respond.send_response(Response::new(()), true).unwrap();
                }
            }
        }
    });
    count
}

fn over_http2() -> Request<Bytes> {
    Request::get("http://web:9090/").version(http::Version::HTTP_2).body(Bytes::new()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_refused_stream_is_retried_and_a_canceled_one_is_not() {
    for (reason, status, attempts, label) in [
        (h2::Reason::REFUSED_STREAM, 200, 2, "REFUSED"),
        (h2::Reason::CANCEL, 500, 1, "CANCEL"),
        (h2::Reason::INTERNAL_ERROR, 500, 1, "RESET"),
    ] {
        let lab = Lab::default();
        let server = resetting(&lab, 1, reason);
        lab.service("web", WEB, &[endpoint(POD)]).policy(retries("5xx", 2));
        let client = lab.client();
        assert_eq!(
            (client.send(over_http2()).await.status, server.count()),
            (status, attempts),
            "{reason:?}"
        );
        let name = "outbound_http_route_backend_response_statuses_total";
        assert_eq!(client.metric(name, &[("error", label)]), 1, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_labeled_with_its_reason() {
    let lab = Lab::default();
    resetting(&lab, 1, h2::Reason::ENHANCE_YOUR_CALM);
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    client.send(over_http2()).await;
    let labels = [("error", "h2(ENHANCE_YOUR_CALM)"), ("classification", "failure")];
    assert_eq!(client.metric("response_total", &labels), 1, "{}", scrape(&client.proxy));
}
