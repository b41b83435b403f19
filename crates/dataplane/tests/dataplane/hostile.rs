//! Peers that misbehave: each gets the documented status, nothing leaks.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use meshy_dataplane::policy::{Policy, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::counting::{failing, retry_all};
use crate::support::{Client, Lab, Memory, Server, WEB, endpoint, scrape, serve_http, serve_raw};

const POD: &str = "10.244.1.1:9090";

/// An upstream that reads a request's head and then writes these pieces, a millisecond apart.
fn says(lab: &Lab, pieces: &'static [&'static [u8]], then_close: bool) -> Server {
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

/// All connections of a proxy are closed again.
async fn nothing_leaks(client: &Client) {
    client.reaches("tcp_open_connections", &[("peer", "dst")], 0).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_never_answers_ends_with_the_timeout_and_its_connection_is_closed() {
    let lab = Lab::default();
    let server = says(&lab, &[], false);
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    let timeouts = Timeouts { request: Some(Duration::from_secs(1)), ..Timeouts::default() };
    web.policy(Policy { timeouts, ..Policy::default() });
    let client = lab.client();
    assert_eq!(status(&client).await.unwrap(), 504);
    nothing_leaks(&client).await;
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_its_upstream_request_with_it() {
    let lab = Lab::default();
    says(&lab, &[], false);
    let client = lab.client();
    assert!(timeout(Duration::from_secs(1), status(&client)).await.is_err());
    nothing_leaks(&client).await;
}

#[tokio::test(start_paused = true)]
async fn slow_headers_are_waited_for() {
    let lab = Lab::default();
    says(&lab, &[b"HTTP/1.1 2", b"00 OK\r\nx", b"-a: b\r\ncontent-", b"length: 0\r\n\r", b"\n"], false);
    assert_eq!(status(&lab.client()).await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_closes_without_an_answer_is_a_500_and_not_retried() {
    let lab = Lab::default();
    let server = says(&lab, &[], true);
    lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
    let client = lab.client();
    assert_eq!(status(&client).await.unwrap(), 500);
    assert_eq!(server.count(), 1);
    nothing_leaks(&client).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http_is_a_500() {
    for nonsense in [b"\x00\x01\x02\x03".as_slice(), b"HTTP/1.1 99999 What\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"] {
        let lab = Lab::default();
        let piece: &'static [&'static [u8]] = Box::leak(Box::new([nonsense]));
        says(&lab, piece, true);
        let client = lab.client();
        assert_eq!(status(&client).await.unwrap(), 500, "{nonsense:?}");
        nothing_leaks(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_cut_or_badly_chunked_breaks_the_answer_and_counts_as_a_failure() {
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
        says(&lab, pieces, true);
        let client = lab.client();
        assert!(status(&client).await.is_err(), "{rest:?}");
        let broken = [("classification", "failure"), ("error", "unclassified"), ("status_code", "200")];
        client.reaches("response_total", &broken, 1).await;
        nothing_leaks(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn ten_times_the_announced_body_is_cut_and_its_connection_not_used_again() {
    let lab = Lab::default();
    let server = says(&lab, &[b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokokokokokokokokokok"], false);
    let client = lab.client();
    for n in 1..=3 {
        let request = Request::get("/").header("host", "web").body(Bytes::new()).unwrap();
        let reply = client.send(request).await;
        assert_eq!((reply.status, &reply.body[..]), (200, b"ok".as_slice()));
        assert_eq!(server.count(), n, "a connection with unasked bytes is not clean");
    }
}

#[tokio::test(start_paused = true)]
async fn informational_answers_are_passed_over_and_trailers_passed_on() {
    let lab = Lab::default();
    says(
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
async fn an_http10_upstreams_answer_is_passed_on_as_http11_and_keeps_the_callers_connection() {
    let lab = Lab::default();
    says(&lab, &[b"HTTP/1.0 200 OK\r\n\r\nuntil the end"], true);
    let mut io = lab.client().dial(WEB);
    for _ in 0..2 {
        io.write_all(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n0\r\n\r\n") {
            assert!(io.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn an_early_answer_reaches_the_caller_and_its_connection_is_not_used_again() {
    let lab = Lab::default();
    let server = says(&lab, &[b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"], false);
    let client = lab.client();
    for n in 1..=2 {
        let mut io = client.dial(WEB);
        io.write_all(b"POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 1000000\r\n\r\nstart").await.unwrap();
        let mut answer = [0; 12];
        io.read_exact(&mut answer).await.unwrap();
        assert_eq!((&answer, server.count()), (b"HTTP/1.1 413", n));
    }
    nothing_leaks(&client).await;
}

/// What a plain application behind a pair saw of raw bytes, and what the caller got first.
async fn through(raw: &[u8]) -> (Option<Request<Bytes>>, usize, String) {
    let lab = Lab::default();
    let app = Memory::default();
    let server = serve_http(&app, POD.parse().unwrap(), failing(&[false]));
    lab.mesh(&lab.proxy(&app, |_| {}), POD.parse().unwrap());
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    let mut io = client.dial(WEB);
    io.write_all(raw).await.unwrap();
    let mut answer = Vec::new();
    // The clock is paused: what does not end has nothing more to say.
    let _ = timeout(Duration::from_secs(5), io.read_to_end(&mut answer)).await;
    let seen = server.count();
    ((seen > 0).then(|| server.last()), seen, String::from_utf8_lossy(&answer).into_owned())
}

/// What the caller gets for a head that two readers could frame differently, a request hidden behind it, and how many
/// requests the application sees.
#[tokio::test(start_paused = true)]
async fn requests_framed_two_ways_reach_the_application_as_one_or_not_at_all() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: web\r\n\r\n";
    let n = smuggled.len();
    let (length, chunked) = (format!("content-length: {n}"), "transfer-encoding: chunked");
    for (head, wanted) in [
        // Chunked wins, as the standard says, and nothing that follows on this connection is believed.
        (format!("{length}\r\n{chunked}\r\n\r\n0\r\n\r\n"), (200, 1)),
        (format!("{chunked}\r\n{length}\r\n\r\n0\r\n\r\n"), (200, 1)),
        (format!("content-length: 0\r\n{length}\r\n\r\n"), (400, 0)),
        ("transfer-encoding: identity, chunked, x\r\n\r\n0\r\n\r\n".to_owned(), (400, 0)),
        ("content-length: +5\r\n\r\n".to_owned(), (400, 0)),
        ("content-length : 5\r\n\r\n".to_owned(), (400, 0)),
        ("x: a\r\n b: folded\r\n\r\n".to_owned(), (400, 0)),
        // Ten times the announced body: the rest is no request.
        ("content-length: 2\r\n\r\nokokokokokokokokokok\r\n\r\n".to_owned(), (200, 1)),
    ] {
        let raw = format!("POST /a HTTP/1.1\r\nhost: web\r\n{head}{smuggled}");
        let (last, seen, answer) = through(raw.as_bytes()).await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        assert_eq!((status, seen), wanted, "{head:?}: {answer}");
        if let Some(last) = last {
            // Whatever passed was framed by us: only one of the two lengths is left.
            let two = last.headers().contains_key("content-length")
                && last.headers().contains_key("transfer-encoding");
            assert!(!two, "{head:?}: {last:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_cannot_hide_headers_from_the_next_hop_by_naming_them() {
    let raw =
        b"GET / HTTP/1.1\r\nhost: web\r\nconnection: close, x-internal, l5d-client-id\r\nx-internal: 1\r\n\
        connection: x-other\r\nx-other: 2\r\n\r\n";
    let (last, _, answer) = through(raw).await;
    let last = last.expect("it passes");
    for name in ["x-internal", "x-other", "connection"] {
        assert!(!last.headers().contains_key(name), "{name} passes: {last:?}");
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_callers_mesh_headers_never_reach_the_application() {
    let raw = b"GET / HTTP/1.1\r\nhost: web\r\nl5d-dst-override: a:1\r\nl5d-dst-canonical: b:2\r\nl5d-client-id: c\r\n\
        l5d-retry-http: 5xx\r\nl5d-timeout: 1ms\r\nL5D-Require-Id: d\r\nconnection: close\r\n\r\n";
    let (last, _, _) = through(raw).await;
    let last = last.expect("it passes");
    let left: Vec<_> = last.headers().keys().filter(|name| name.as_str().starts_with("l5d-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn an_http10_caller_and_an_endless_head_are_answered() {
    let (last, _, answer) = through(b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(last.is_some() && answer.starts_with("HTTP/1.0 200"), "{answer}");
    let mut endless = b"GET / HTTP/1.1\r\nhost: web\r\n".to_vec();
    endless.extend(std::iter::repeat_n(b"x-filler: 0123456789abcdef\r\n".as_slice(), 40_000).flatten());
    let lab = Lab::default();
    serve_http(&lab.wire, POD.parse().unwrap(), failing(&[false]));
    lab.service("web", WEB, &[endpoint(POD)]);
    let mut io = lab.client().dial(WEB);
    let _ = io.write_all(&endless).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(5), io.read_to_end(&mut answer)).await.expect("an end");
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn names_that_callers_make_up_leave_no_series_behind() {
    let lab = Lab::default();
    let app = Memory::default();
    serve_http(&app, POD.parse().unwrap(), failing(&[false]));
    let behind = lab.proxy(&app, |_| {});
    lab.mesh(&behind, POD.parse().unwrap());
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    client.get("/").await;
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let before = (series(&scrape(&client.proxy)), series(&scrape(&behind)));
    for n in 0..300 {
        let request = Request::get(format!("/{n}")).header("host", format!("made-up-{n}.example:{n}"));
        assert_eq!(client.send(request.body(Bytes::new()).unwrap()).await.status, 200);
    }
    assert_eq!(before, (series(&scrape(&client.proxy)), series(&scrape(&behind))));
}
