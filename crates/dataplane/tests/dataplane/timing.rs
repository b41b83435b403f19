//! When requests, latencies and responses are counted.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::counters::retry_all;
use crate::support::{Client, Lab, WEB, endpoint, serve_raw};

const POD: &str = "10.244.1.1:9090";

/// Returns a client of `web`, which responds with a head, after 100 ms with half of the body and 200 ms later with the rest.
fn halves() -> Client {
    let lab = Lab::default();
    serve_raw(&lab.wire, POD.parse().unwrap(), |mut io| async move {
        let mut head = [0; 4096];
        let _ = io.read(&mut head).await;
        for (millis, piece) in [(0, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"), (100, "ok"), (200, "ok")]
        {
            sleep(Duration::from_millis(millis)).await;
            let _ = io.write_all(piece.as_bytes()).await;
        }
        sleep(Duration::from_secs(60)).await;
    });
    lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
    lab.client()
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_at_once_its_latency_at_the_first_data_and_its_response_at_the_end() {
    let client = halves();
    let mut io = client.dial(WEB);
    io.write_all(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n").await.unwrap();
    let series =
        ["request_total", "response_latency_ms_count", "response_total", "route_response_latency_ms_count"];
    let counts = || series.map(|name| client.metric(name, &[("direction", "outbound")]));
    sleep(Duration::from_millis(50)).await;
    assert_eq!(counts(), [1, 0, 0, 0]);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(counts(), [1, 1, 0, 1]);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(counts(), [1, 1, 1, 1]);
    let latency = client.metric("response_latency_ms_sum", &[]);
    assert!((100..110).contains(&latency), "{latency} ms to the first data");
}

#[tokio::test(start_paused = true)]
async fn a_request_with_a_body_counts_when_its_body_is_first_read() {
    let client = halves();
    let mut io = client.dial(WEB);
    io.write_all(b"POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 2\r\n\r\n").await.unwrap();
    let counted = || ["request_total", "route_request_total"].map(|name| client.metric(name, &[]));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(counted(), [0, 0]);
    io.write_all(b"a").await.unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(counted(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_the_caller_drops_is_counted_once() {
    let client = halves();
    let mut io = client.dial(WEB);
    io.write_all(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(150)).await;
    drop(io);
    client.wait_for_metric("response_total", &[("direction", "outbound"), ("status_code", "200")], 1).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(client.metric("response_total", &[]), 1);
    client.wait_for_metric("tcp_open_connections", &[], 0).await;
}
