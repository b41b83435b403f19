//! How it ends.

use std::time::Duration;

use http::Request;
use meshy_net::Network;

use crate::lab::{Lab, SERVICE, ask};

#[tokio::test]
async fn a_crash_gives_137_and_no_answer() {
    let lab = Lab::default();
    let a = lab.start("a", &[]).await;
    let mut client = lab.connect("a", SERVICE).await;
    assert!(ask(&mut client, Request::get("/crash"), "").await.is_err());
    assert_eq!(a.code.await.unwrap(), 137);
    assert!(lab.wire.open(lab.wire.address("a", SERVICE)).is_err(), "nobody listens any more");
}

#[tokio::test(start_paused = true)]
async fn what_is_open_is_answered_before_the_end() {
    let lab = Lab::default();
    let a = lab.start("a", &[("DELAY_MAX", "20"), ("SEED", "1")]).await;
    let mut idle = lab.connect("a", SERVICE).await;
    ask(&mut idle, Request::get("/health"), "").await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = lab.connect("a", SERVICE).await;
        clients.push(tokio::spawn(async move { ask(&mut client, Request::get("/"), "").await }));
    }
    // In the paused clock this passes only when all five are waiting for their delay.
    tokio::time::sleep(Duration::from_millis(1)).await;
    a.stop.send(()).unwrap();
    for client in clients {
        assert_eq!(client.await.unwrap().unwrap().status, 200);
    }
    assert_eq!(a.code.await.unwrap(), 0);
    assert!(ask(&mut idle, Request::get("/health"), "").await.is_err(), "the idle connection was closed");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_does_not_hold_it_for_ever() {
    let lab = Lab::default();
    let a = lab.start("a", &[]).await;
    let _silent = lab.wire.join("silent").listen(([0, 0, 0, 0], SERVICE).into()).await.unwrap();
    let mut client = lab.connect("a", SERVICE).await;
    let body = r#"{"rebound":"true","endpoint":"http://silent:9090"}"#;
    let bounce = ask(&mut client, Request::post("/bounce"), body);
    let ending = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let start = tokio::time::Instant::now();
        a.stop.send(()).unwrap();
        assert_eq!(a.code.await.unwrap(), 0);
        start.elapsed()
    };
    let (reply, took) = tokio::join!(bounce, ending);
    assert!(reply.is_err(), "nobody answered, and yet: {reply:?}");
    assert_eq!(took.as_secs(), 25);
}

#[tokio::test(start_paused = true)]
async fn while_it_lingers_new_connections_are_served_once() {
    let lab = Lab::default();
    let a = lab.start("a", &[("DRAIN_SECONDS", "2")]).await;
    let mut kept = lab.connect("a", SERVICE).await;
    ask(&mut kept, Request::get("/"), "").await.unwrap();
    a.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let reply = lab.get("a", "/").await;
    assert_eq!((reply.status.as_u16(), reply.header("connection")), (200, "close"));
    let reply = ask(&mut kept, Request::get("/"), "").await.unwrap();
    assert_eq!(reply.header("connection"), "close", "a kept connection gets its last answer");
    let start = tokio::time::Instant::now();
    assert_eq!(a.code.await.unwrap(), 0);
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_taken_port_is_an_end_with_1_and_a_line() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let again = lab.start("a", &[]).await;
    assert_eq!(again.code.await.unwrap(), 1);
    assert!(again.lines.lock().unwrap()[0].starts_with("ERROR listen on port 9090: "));
}

#[tokio::test]
async fn dropping_the_run_frees_its_ports_and_cuts_its_connections() {
    let lab = Lab::default();
    let a = lab.start("a", &[]).await;
    let mut client = lab.connect("a", SERVICE).await;
    ask(&mut client, Request::get("/"), "").await.unwrap();
    a.code.abort();
    assert!(a.code.await.unwrap_err().is_cancelled());
    assert!(ask(&mut client, Request::get("/"), "").await.is_err());
    let _a = lab.start("a", &[]).await;
    assert_eq!(lab.get("a", "/").await.status, 200);
}
