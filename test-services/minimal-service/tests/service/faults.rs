//! Faults that the admin port changes while requests arrive.

use std::time::Duration;

use http::Request;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::lab::{ADMIN, Lab, NODE, call, send};

#[tokio::test(start_paused = true)]
async fn a_service_that_is_down_refuses_connections_closes_idle_ones_and_serves_open_requests() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [{"sleepMs": 100}]})).await;
    let mut idle = lab.connect("a", NODE).await;
    send(&mut idle, Request::get("/"), "").await.unwrap();
    let open = lab.open("a").await;
    sleep(Duration::from_millis(50)).await;

    assert_eq!(lab.fault("a", &json!({"down": true})).await["down"], true);
    assert!(lab.wire.open(lab.wire.address("a", NODE)).is_err(), "the port is closed");
    assert!(send(&mut idle, Request::get("/"), "").await.is_err());
    let (response, took) = open.await.unwrap();
    assert_eq!((response.status.as_u16(), response.header("connection")), (200, "close"));
    assert_eq!(took.as_millis(), 100);
    assert_eq!(lab.send("a", ADMIN, Request::get("/health"), "").await.body, "Status OK");

    assert_eq!(lab.fault("a", &json!({"down": false})).await["down"], false);
    assert_eq!(lab.call("a").await.status, 200);
    assert_eq!(lab.counts("a").await.requests, 3);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_down_for_a_duration_comes_up_by_itself() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [call("b")]})).await;
    let _b = lab.node("b", &json!({})).await;
    assert_eq!(lab.call("a").await.status, 200);
    let report = lab.fault("b", &json!({"down": true, "for_seconds": 8.0})).await;
    assert_eq!(report["remaining_seconds"], json!({"down": 8.0}));
    assert_eq!(lab.call("a").await.status, 502);
    sleep(Duration::from_millis(7_900)).await;
    assert_eq!(lab.call("a").await.status, 502);
    sleep(Duration::from_millis(101)).await;
    assert_eq!(lab.call("a").await.status, 200);
    assert_eq!(lab.admin("b", "/fault").await["down"], false);
    assert_eq!(lab.counts("b").await.requests, 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stops_while_it_is_down_exits_with_0() {
    let lab = Lab::default();
    let a = lab.node("a", &json!({})).await;
    lab.fault("a", &json!({"down": true})).await;
    a.stop.send(()).unwrap();
    assert_eq!(a.code.await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn slow_multiplies_service_time_and_delay_until_its_end() {
    let lab = Lab::default();
    let capacity = json!({"workers": 1, "serviceTimeMs": 100});
    let _a = lab.node("a", &json!({"capacity": capacity, "script": [{"sleepMs": 5}]})).await;
    lab.fault("a", &json!({"delay": {"mean_ms": 20.0}})).await;
    lab.fault("a", &json!({"slow": 3.0, "for_seconds": 1.0})).await;
    let start = Instant::now();
    let (_, took) = lab.open("a").await.await.unwrap();
    assert_eq!(took.as_millis(), 365);
    tokio::time::sleep_until(start + Duration::from_secs(1)).await;
    assert_eq!(lab.open("a").await.await.unwrap().1.as_millis(), 125);
}

#[tokio::test]
async fn a_reset_returns_to_the_faults_of_the_environment() {
    let lab = Lab::default();
    let node = json!({"name": "a", "errors": 0.25}).to_string();
    let _a = lab.start("a", &[("NODE", &node), ("BLOCKS", "1"), ("DELAY_MAX", "0.5")]).await;
    let manifest = lab.admin("a", "/fault").await;
    assert_eq!((&manifest["errors"], &manifest["blocks"]), (&json!(0.25), &json!(true)));
    let change =
        json!({"errors": 1.0, "blocks": false, "slow": 2.0, "delay_max": 0.0, "down": true, "seed": 3});
    assert_ne!(lab.fault("a", &change).await, manifest);
    lab.fault("a", &json!({"sequence": [404], "for_seconds": 60.0})).await;
    assert_eq!(lab.fault("a", &json!({"reset": true})).await, manifest);
    assert_eq!(lab.admin("a", "/fault").await, manifest);
    lab.call("a").await;
}

#[tokio::test]
async fn faults_are_combined() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({})).await;
    lab.fault("a", &json!({"errors": 1.0})).await;
    lab.fault("a", &json!({"slow": 2.0})).await;
    let fault = lab.fault("a", &json!({"delay": {"mean_ms": 1.0, "distribution": "uniform"}})).await;
    let expected = json!({"quota": 0, "reject": false, "sequence": [], "seed": null, "delay_max": 0.0,
        "errors": 1.0, "blocks": false, "delay": {"mean_ms": 1.0, "distribution": "uniform"}, "slow": 2.0,
        "down": false});
    assert_eq!(fault, expected);
    assert_eq!(lab.call("a").await.status, 500);
}

#[tokio::test]
async fn each_block_of_10_requests_has_exactly_7_failures() {
    let lab = Lab::default();
    let env = [("DISCARD_QUOTA", "70"), ("REJECT", "1"), ("BLOCKS", "1")];
    let _a = lab.start("a", &env).await;
    let mut blocks = Vec::new();
    for _ in 0..10 {
        let mut block = Vec::new();
        for _ in 0..10 {
            block.push(lab.get("a", "/").await.status.as_u16());
        }
        assert_eq!(block.iter().filter(|status| **status == 500).count(), 7, "{block:?}");
        blocks.push(block);
    }
    // Ten equal blocks of 120 possible ones: once in 10^18 runs.
    assert!(blocks.iter().any(|block| *block != blocks[0]), "the blocks are shuffled");
}
