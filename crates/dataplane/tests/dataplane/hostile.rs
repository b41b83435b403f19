//! Peers that violate the protocol: each gets the documented status, and all connections are closed.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use meshy_dataplane::policy::{Policy, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::counters::{failing, retry_all};
use crate::support::{Client, Lab, Memory, Server, WEB, endpoint, scrape, serve_http, serve_raw};

const POD: &str = "10.244.1.1:9090";

/// An upstream that reads a request's head and then writes these pieces, a millisecond apart.
fn responding(lab: &Lab, pieces: &'static [&'static [u8]], then_close: bool) -> Server {
    let count = serve_raw(&lab.wire, POD.parse().unwrap(), move |mut io| async move {
        let mut head = [0; 4096];
        while io.read(&mut head).await.is_ok_and(|read| read > 0) {
            for piece in pieces {
                if io.write_all(piece).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(1)).await;
            }
            if then_close {
                return;
            }
        }
    });
    lab.service("web", WEB, &[endpoint(POD)]);
    count
}

async fn status(client: &Client) -> Result<u16, hyper::Error> {
    let request = Request::get("/").header("host", "web").body(Bytes::new()).unwrap();
    client.send_to(WEB, request).await.map(|reply| reply.status)
}

/// Waits until all upstream connections are closed.
async fn connections_are_closed(client: &Client) {
    client.wait_for_metric("tcp_open_connections", &[("peer", "dst")], 0).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_never_responds_is_a_504_and_its_connection_is_closed() {
    let lab = Lab::default();
    let server = responding(&lab, &[], false);
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    let timeouts = Timeouts { request: Some(Duration::from_secs(1)), ..Timeouts::default() };
    web.policy(Policy { timeouts, ..Policy::default() });
    let client = lab.client();
    assert_eq!(status(&client).await.unwrap(), 504);
    connections_are_closed(&client).await;
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_disconnects_cancels_its_upstream_request() {
    let lab = Lab::default();
    responding(&lab, &[], false);
    let client = lab.client();
    assert!(timeout(Duration::from_secs(1), status(&client)).await.is_err());
    connections_are_closed(&client).await;
}

#[tokio::test(start_paused = true)]
async fn the_proxy_waits_for_slow_headers() {
    let lab = Lab::default();
    responding(&lab, &[b"HTTP/1.1 2", b"00 OK\r\nx", b"-a: b\r\ncontent-", b"length: 0\r\n\r", b"\n"], false);
    assert_eq!(status(&lab.client()).await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_closes_without_a_response_is_a_500_and_not_retried() {
    let lab = Lab::default();
    let server = responding(&lab, &[], true);
    lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
    let client = lab.client();
    assert_eq!(status(&client).await.unwrap(), 500);
    assert_eq!(server.count(), 1);
    connections_are_closed(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_http_is_a_500() {
    for invalid in [b"\x00\x01\x02\x03".as_slice(), b"HTTP/1.1 99999 What\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"] {
        let lab = Lab::default();
        let piece: &'static [&'static [u8]] = Box::leak(Box::new([invalid]));
        responding(&lab, piece, true);
        let client = lab.client();
        assert_eq!(status(&client).await.unwrap(), 500, "{invalid:?}");
        connections_are_closed(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_or_badly_chunked_breaks_the_response_and_counts_as_a_failure() {
    let cut = "content-length: 100\r\n\r\nshort".to_owned();
    let chunked = [
        "5\r\nhell",
        "5\r\nhello",
        "5\r\nhello\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\r\nzz\r\n",
        "5\r\nhello\r\n0\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "\r\n\r\n",
        ";x\r\n\r\n",
        " \r\n\r\n",
        "-1\r\n",
        "ffffffffffffffffff\r\n",
        "0\r\nno trailer\r\n\r\n",
        "1;a\nb\r\nx\r\n0\r\n\r\n",
        "0\r\na: b\n\r\n",
    ];
    let chunked = chunked.map(|body| format!("transfer-encoding: chunked\r\n\r\n{body}"));
    for rest in chunked.into_iter().chain([cut]) {
        let lab = Lab::default();
        let response = format!("HTTP/1.1 200 OK\r\n{rest}").into_bytes();
        let pieces: &'static [&'static [u8]] =
            Box::leak(Box::new([&*Box::leak(response.into_boxed_slice())]));
        responding(&lab, pieces, true);
        let client = lab.client();
        assert!(status(&client).await.is_err(), "{rest:?}");
        let broken = [("classification", "failure"), ("error", "unclassified"), ("status_code", "200")];
        client.wait_for_metric("response_total", &broken, 1).await;
        connections_are_closed(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_after_the_announced_body_are_dropped_and_their_connection_is_not_used_again() {
    let lab = Lab::default();
    let server =
        responding(&lab, &[b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokokokokokokokokokok"], false);
    let client = lab.client();
    for n in 1..=3 {
        let request = Request::get("/").header("host", "web").body(Bytes::new()).unwrap();
        let reply = client.send(request).await;
        assert_eq!((reply.status, &reply.body[..]), (200, b"ok".as_slice()));
        assert_eq!(server.count(), n, "a connection with unexpected bytes is closed");
    }
}

#[tokio::test(start_paused = true)]
async fn informational_responses_are_skipped_and_trailers_are_passed_on() {
    let lab = Lab::default();
    responding(
        &lab,
        &[
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n",
        ],
        false,
    );
    let client = lab.client();
    let request =
        Request::get("/").header("host", "web").header("te", "trailers").body(Bytes::new()).unwrap();
    let reply = client.send(request).await;
    assert_eq!((reply.status, &reply.body[..]), (200, b"ok".as_slice()));
    assert_eq!(reply.trailers.expect("trailers")["x-sum"], "7");
}

#[tokio::test(start_paused = true)]
async fn an_http10_upstreams_response_is_passed_on_as_http11_and_keeps_the_callers_connection() {
    let lab = Lab::default();
    responding(&lab, &[b"HTTP/1.0 200 OK\r\n\r\nuntil the end"], true);
    let mut io = lab.client().dial(WEB);
    for _ in 0..2 {
        io.write_all(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n").await.unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n0\r\n\r\n") {
            let read = io.read_buf(&mut response).await.unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&response));
        }
        let text = String::from_utf8_lossy(&response);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    }
}

#[tokio::test]
async fn an_early_response_reaches_the_caller_and_its_connection_is_not_used_again() {
    let lab = Lab::default();
    let server = responding(&lab, &[b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"], false);
    let client = lab.client();
    for n in 1..=2 {
        let mut io = client.dial(WEB);
        io.write_all(b"POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 1000000\r\n\r\nstart").await.unwrap();
        let mut status = [0; 12];
        io.read_exact(&mut status).await.unwrap();
        assert_eq!((&status, server.count()), (b"HTTP/1.1 413", n));
    }
    connections_are_closed(&client).await;
}

/// Sends raw bytes through a pair; returns the application's last request and their number, and the response.
async fn through(raw: &[u8]) -> (Option<Request<Bytes>>, usize, String) {
    let lab = Lab::default();
    let app = Memory::default();
    let server = serve_http(&app, POD.parse().unwrap(), failing(&[false]));
    lab.mesh(&lab.proxy(&app, |_| {}), POD.parse().unwrap());
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    let mut io = client.dial(WEB);
    io.write_all(raw).await.unwrap();
    let mut response = Vec::new();
    // The clock is paused: the timeout expires when there is nothing left to do.
    let _ = timeout(Duration::from_secs(5), io.read_to_end(&mut response)).await;
    let requests = server.count();
    let last = (requests > 0).then(|| server.last());
    (last, requests, String::from_utf8_lossy(&response).into_owned())
}

/// Sends a request whose head two readers could frame differently, with a request hidden behind it.
#[tokio::test(start_paused = true)]
async fn a_request_with_two_framings_reaches_the_application_as_one_or_not_at_all() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: web\r\n\r\n";
    let n = smuggled.len();
    let (length, chunked) = (format!("content-length: {n}"), "transfer-encoding: chunked");
    for (head, expected) in [
        // Chunked wins, by RFC 9112, and the connection is closed after the response.
        (format!("{length}\r\n{chunked}\r\n\r\n0\r\n\r\n"), (200, 1)),
        (format!("{chunked}\r\n{length}\r\n\r\n0\r\n\r\n"), (200, 1)),
        (format!("content-length: 0\r\n{length}\r\n\r\n"), (400, 0)),
        ("transfer-encoding: identity, chunked, x\r\n\r\n0\r\n\r\n".to_owned(), (400, 0)),
        ("content-length: +5\r\n\r\n".to_owned(), (400, 0)),
        ("content-length : 5\r\n\r\n".to_owned(), (400, 0)),
        ("x: a\r\n b: folded\r\n\r\n".to_owned(), (400, 0)),
        // Ten times the announced body: the rest is not a request.
        ("content-length: 2\r\n\r\nokokokokokokokokokok\r\n\r\n".to_owned(), (200, 1)),
    ] {
        let raw = format!("POST /a HTTP/1.1\r\nhost: web\r\n{head}{smuggled}");
        let (last, requests, response) = through(raw.as_bytes()).await;
        let status = response.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        assert_eq!((status, requests), expected, "{head:?}: {response}");
        if let Some(last) = last {
            // The proxy framed the request: only one of the two lengths is left.
            let both = last.headers().contains_key("content-length")
                && last.headers().contains_key("transfer-encoding");
            assert!(!both, "{head:?}: {last:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn headers_that_connection_names_are_not_passed_on() {
    let raw =
        b"GET / HTTP/1.1\r\nhost: web\r\nconnection: close, x-internal, l5d-client-id\r\nx-internal: 1\r\n\
        connection: x-other\r\nx-other: 2\r\n\r\n";
    let (last, _, response) = through(raw).await;
    let last = last.expect("a request");
    for name in ["x-internal", "x-other", "connection"] {
        assert!(!last.headers().contains_key(name), "{name} is passed on: {last:?}");
    }
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn a_callers_l5d_headers_never_reach_the_application() {
    let raw = b"GET / HTTP/1.1\r\nhost: web\r\nl5d-dst-override: a:1\r\nl5d-dst-canonical: b:2\r\nl5d-client-id: c\r\n\
        l5d-retry-http: 5xx\r\nl5d-timeout: 1ms\r\nL5D-Require-Id: d\r\nconnection: close\r\n\r\n";
    let (last, _, _) = through(raw).await;
    let last = last.expect("a request");
    let left: Vec<_> = last.headers().keys().filter(|name| name.as_str().starts_with("l5d-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn an_http10_caller_gets_an_http10_response_and_an_endless_head_a_431() {
    let (last, _, response) = through(b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(last.is_some() && response.starts_with("HTTP/1.0 200"), "{response}");
    let mut endless = b"GET / HTTP/1.1\r\nhost: web\r\n".to_vec();
    endless.extend(std::iter::repeat_n(b"x-filler: 0123456789abcdef\r\n".as_slice(), 40_000).flatten());
    let lab = Lab::default();
    serve_http(&lab.wire, POD.parse().unwrap(), failing(&[false]));
    lab.service("web", WEB, &[endpoint(POD)]);
    let mut io = lab.client().dial(WEB);
    let _ = io.write_all(&endless).await;
    let mut response = Vec::new();
    let _ = timeout(Duration::from_secs(5), io.read_to_end(&mut response)).await.expect("a response");
    assert!(response.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&response));
}

#[tokio::test]
async fn host_names_that_callers_invent_create_no_series() {
    let lab = Lab::default();
    let app = Memory::default();
    serve_http(&app, POD.parse().unwrap(), failing(&[false]));
    let server_proxy = lab.proxy(&app, |_| {});
    lab.mesh(&server_proxy, POD.parse().unwrap());
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    client.get("/").await;
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let before = (series(&scrape(&client.proxy)), series(&scrape(&server_proxy)));
    for n in 0..300 {
        let request = Request::get(format!("/{n}")).header("host", format!("invented-{n}.example:{n}"));
        assert_eq!(client.send(request.body(Bytes::new()).unwrap()).await.status, 200);
    }
    assert_eq!(before, (series(&scrape(&client.proxy)), series(&scrape(&server_proxy))));
}
