//! Framing of requests and responses, and reuse of connections.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fuzzed;
use crate::support::{Lab, WEB, endpoint, serve_http, serve_raw};

const POD: &str = "10.244.1.1:9090";

#[test]
fn responses_of_every_framing_are_read_as_hyper_reads_them() {
    let responses = [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\nok",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 7\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 7\r\ntransfer-encoding: gzip, Chunked\r\n\r\n2;a=b\r\nok\r\n00\r\nx: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n 2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n;x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a\nb\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switch\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nbytes",
        "HTTP/1.1 200 Everything  is fine\r\nX-A:  b \r\nx-a: \u{e4}\r\nconnection: x-b, keep-alive\r\nx-b: c\r\n\r\n",
        "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 099 Less\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-",
    ];
    for response in responses {
        for which in 0..4 {
            for piece in [0, 1, 5] {
                fuzzed::upstream(&[&[which, piece], response.as_bytes()].concat());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_reused_only_after_a_complete_response_that_does_not_close_it() {
    for (response, reused) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n", true),
        // hyper would send the next request as HTTP/1.0.
        ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok", false),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", false),
        ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 2\r\n\r\nok", false),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 Unexpected\r\ncontent-length: 0\r\n\r\n",
            false,
        ),
    ] {
        let lab = Lab::default();
        let server = serve_raw(&lab.wire, POD.parse().unwrap(), move |mut io| async move {
            let mut head = [0; 4096];
            while io.read(&mut head).await.is_ok_and(|read| read > 0) {
                let _ = io.write_all(response.as_bytes()).await;
            }
        });
        lab.service("web", WEB, &[endpoint(POD)]);
        let client = lab.client();
        for _ in 0..3 {
            let request = Request::get("/").header("host", "web").body(Bytes::new()).unwrap();
            let reply = client.send(request).await;
            assert!(
                matches!((reply.status, &reply.body[..]), (200, b"ok") | (204, b"")),
                "{response:?}: {reply:?}"
            );
        }
        assert_eq!(server.count(), if reused { 1 } else { 3 }, "{response:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_announced_request_trailers_that_do_not_frame_pass() {
    let lab = Lab::default();
    let (sender, mut requests) = tokio::sync::mpsc::unbounded_channel();
    serve_raw(&lab.wire, POD.parse().unwrap(), move |mut io| {
        let sender = sender.clone();
        async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") || !request.windows(5).any(|part| part == b"\r\n0\r\n") {
                if io.read_buf(&mut request).await.unwrap() == 0 {
                    return;
                }
            }
            let _ = io.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            let _ = sender.send(String::from_utf8(request).unwrap());
        }
    });
    lab.service("web", WEB, &[endpoint(POD)]);
    let mut io = lab.client().dial(WEB);
    let head = "POST /a?b HTTP/1.1\r\nhost: web\r\ntrailer: x-sum, content-length\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = "2\r\nok\r\n0\r\nx-sum: 7\r\nx-other: 1\r\ncontent-length: 9\r\n\r\n";
    io.write_all([head, body].concat().as_bytes()).await.unwrap();
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("POST /a?b HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"), "{request}");
}

/// Records each request as it arrived and responds with `response`; the connection stays open.
fn recording(lab: &Lab, response: &'static str) -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (sender, requests) = tokio::sync::mpsc::unbounded_channel();
    serve_raw(&lab.wire, POD.parse().unwrap(), move |mut io| {
        let sender = sender.clone();
        async move {
            let mut request = Vec::new();
            while io.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                let chunked = request.windows(9).any(|part| part == b": chunked");
                if request.ends_with(if chunked { b"\r\n0\r\n\r\n".as_slice() } else { b"\r\n\r\n" }) {
                    let _ = sender.send(String::from_utf8(std::mem::take(&mut request)).unwrap());
                    let _ = io.write_all(response.as_bytes()).await;
                }
            }
        }
    });
    lab.service("web", WEB, &[endpoint(POD)]);
    requests
}

#[tokio::test(start_paused = true)]
async fn a_chunked_body_arrives_with_every_method_and_after_an_http10_response() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
    ] {
        let lab = Lab::default();
        let mut requests = recording(&lab, response);
        let mut io = lab.client().dial(WEB);
        for method in ["GET", "POST", "DELETE"] {
            let head = format!("{method} / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n");
            io.write_all(format!("{head}3\r\nabc\r\n0\r\n\r\n").as_bytes()).await.unwrap();
            let request = requests.recv().await.unwrap();
            assert!(request.starts_with(&format!("{method} / HTTP/1.1\r\n")), "{response:?}: {request:?}");
            assert!(request.ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), "{response:?}: {request:?}");
            let mut response = Vec::new();
            while !response.ends_with(b"\r\n\r\n") {
                io.read_buf(&mut response).await.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_meets_a_closing_idle_connection_is_sent_on_a_new_one() {
    let lab = Lab::default();
    let (sender, mut responded) = tokio::sync::mpsc::unbounded_channel();
    let server = serve_raw(&lab.wire, POD.parse().unwrap(), move |mut io| {
        let sender = sender.clone();
        async move {
            let _ = io.read(&mut [0; 4096]).await;
            let _ = io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            let _ = sender.send(io);
        }
    });
    lab.service("web", WEB, &[endpoint(POD)]);
    let mut io = lab.client().dial(WEB);
    let mut upstream = None;
    for _ in 0..2 {
        io.write_all(b"POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 4\r\n\r\nbody").await.unwrap();
        // Closes the idle connection while the request is on its way to it.
        drop(upstream.take());
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            io.read_buf(&mut response).await.unwrap();
        }
        assert!(response.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&response));
        upstream = responded.recv().await;
    }
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn megabytes_pass_both_ways_unchanged_with_a_length_and_in_chunks() {
    let lab = Lab::default();
    let echo = |_, request: Request<Bytes>| Response::new(request.into_body());
    let server = serve_http(&lab.wire, POD.parse().unwrap(), Arc::new(echo));
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    let body: Bytes = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(5_000_001).collect();
    for _ in 0..2 {
        let request = Request::post("/").header("host", "web").body(body.clone()).unwrap();
        let reply = client.send(request).await;
        assert!(reply.status == 200 && reply.body == body);
        assert_eq!(server.last().headers()["content-length"], "5000001");
    }
    let (mut read, mut write) = tokio::io::split(client.dial(WEB));
    let chunked = tokio::spawn(async move {
        write
            .write_all(
                b"PUT / HTTP/1.1\r\nhost: web\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
            )
            .await?;
        for chunk in body.chunks(70_001) {
            write.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
            write.write_all(chunk).await?;
            write.write_all(b"\r\n").await?;
        }
        write.write_all(b"0\r\n\r\n").await?;
        // The write half stays open until the response has arrived.
        std::io::Result::Ok((write, body))
    });
    let mut response = Vec::new();
    read.read_to_end(&mut response).await.unwrap();
    let (_write, body) = chunked.await.unwrap().unwrap();
    assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n") && response.ends_with(&body));
    assert!(server.last().headers().contains_key("transfer-encoding"));
}
