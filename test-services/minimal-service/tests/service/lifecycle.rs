//! Shutdown, crash and failed start of a service.

use std::time::Duration;

use http::Request;
use meshy_net::Network;

use crate::lab::{Lab, SERVICE, send};

#[tokio::test]
async fn a_crash_exits_with_137_without_a_response() {
    let lab = Lab::default();
    let a = lab.start("a", &[]).await;
    let mut client = lab.connect("a", SERVICE).await;
    assert!(send(&mut client, Request::get("/crash"), "").await.is_err());
    assert_eq!(a.code.await.unwrap(), 137);
    assert!(lab.wire.open(lab.wire.address("a", SERVICE)).is_err(), "the port is closed");
}

#[tokio::test(start_paused = true)]
async fn open_requests_complete_before_the_service_stops() {
    let lab = Lab::default();
    let a = lab.start("a", &[("DELAY_MAX", "20"), ("SEED", "1")]).await;
    let mut idle = lab.connect("a", SERVICE).await;
    send(&mut idle, Request::get("/health"), "").await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = lab.connect("a", SERVICE).await;
        clients.push(tokio::spawn(async move { send(&mut client, Request::get("/"), "").await }));
    }
    // The clock is paused: it advances only when all five requests wait for their delay.
    tokio::time::sleep(Duration::from_millis(1)).await;
    a.stop.send(()).unwrap();
    for client in clients {
        assert_eq!(client.await.unwrap().unwrap().status, 200);
    }
    assert_eq!(a.code.await.unwrap(), 0);
    assert!(send(&mut idle, Request::get("/health"), "").await.is_err(), "the idle connection was closed");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_completes_delays_the_shutdown_by_25_seconds() {
    let lab = Lab::default();
    let a = lab.start("a", &[]).await;
    let _silent = lab.wire.join("silent").listen(([0, 0, 0, 0], SERVICE).into()).await.unwrap();
    let mut client = lab.connect("a", SERVICE).await;
    let body = r#"{"rebound":"true","endpoint":"http://silent:9090"}"#;
    let bounce = send(&mut client, Request::post("/bounce"), body);
    let shutdown = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let start = tokio::time::Instant::now();
        a.stop.send(()).unwrap();
        assert_eq!(a.code.await.unwrap(), 0);
        start.elapsed()
    };
    let (response, took) = tokio::join!(bounce, shutdown);
    assert!(response.is_err(), "unexpected response: {response:?}");
    assert_eq!(took.as_secs(), 25);
}

#[tokio::test(start_paused = true)]
async fn a_draining_service_serves_new_connections_and_closes_each() {
    let lab = Lab::default();
    let a = lab.start("a", &[("DRAIN_SECONDS", "2")]).await;
    let mut kept = lab.connect("a", SERVICE).await;
    send(&mut kept, Request::get("/"), "").await.unwrap();
    a.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let response = lab.get("a", "/").await;
    assert_eq!((response.status.as_u16(), response.header("connection")), (200, "close"));
    let response = send(&mut kept, Request::get("/"), "").await.unwrap();
    assert_eq!(response.header("connection"), "close", "an open connection gets its last response");
    let start = tokio::time::Instant::now();
    assert_eq!(a.code.await.unwrap(), 0);
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_port_in_use_exits_with_1_and_an_error_line() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let second = lab.start("a", &[]).await;
    assert_eq!(second.code.await.unwrap(), 1);
    assert!(second.lines.lock().unwrap()[0].starts_with("ERROR cannot listen on service port 9090: "));
}

#[tokio::test]
async fn dropping_the_future_closes_its_ports_and_connections() {
    let lab = Lab::default();
    let a = lab.start("a", &[]).await;
    let mut client = lab.connect("a", SERVICE).await;
    send(&mut client, Request::get("/"), "").await.unwrap();
    a.code.abort();
    assert!(a.code.await.unwrap_err().is_cancelled());
    assert!(send(&mut client, Request::get("/"), "").await.is_err());
    let _a = lab.start("a", &[]).await;
    assert_eq!(lab.get("a", "/").await.status, 200);
}
