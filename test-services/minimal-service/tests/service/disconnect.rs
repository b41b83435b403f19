//! Clients that disconnect before their response.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::lab::{Lab, call};

/// A node `a` with one worker and a service time of 100 ms before a call to `b`, which takes 100 ms.
async fn start(lab: &Lab, cancel: bool) -> [crate::lab::Running; 2] {
    let capacity = json!({"workers": 1, "queue": 5, "serviceTimeMs": 100, "cancel": cancel});
    let b: Value = json!({"script": [{"sleepMs": 100}], "capacity": {"workers": 5, "cancel": cancel}});
    [lab.node("a", &json!({"script": [call("b")], "capacity": capacity})).await, lab.node("b", &b).await]
}

#[tokio::test(start_paused = true)]
async fn work_continues_after_its_client_disconnects_and_counts_as_wasted() {
    let lab = Lab::default();
    let _services = start(&lab, false).await;
    let client = lab.open("a").await;
    sleep(Duration::from_millis(50)).await;
    client.abort();
    let (response, took) = lab.open("a").await.await.unwrap();
    assert_eq!(
        (response.status.as_u16(), took.as_millis()),
        (200, 350),
        "the worker was busy for 150 ms more"
    );
    let counts = lab.counts("a").await;
    assert_eq!((counts.requests, counts.responses, counts.disconnected), (2, [(200, 1)].into(), 1));
    assert_eq!((counts.wasted, counts.wasted_seconds, counts.service_seconds), (1, 0.1, 0.2));
    assert_eq!((counts.calls["b"].requests, &counts.calls["b"].responses), (2, &[(200, 2)].into()));
    let far = lab.counts("b").await;
    assert_eq!((far.disconnected, counts.in_flight), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cancels_stops_work_when_its_client_disconnects() {
    let lab = Lab::default();
    let _services = start(&lab, true).await;
    let client = lab.open("a").await;
    sleep(Duration::from_millis(50)).await;
    client.abort();
    let (response, took) = lab.open("a").await.await.unwrap();
    assert_eq!((response.status.as_u16(), took.as_millis()), (200, 200), "the worker was free at once");
    let counts = lab.counts("a").await;
    assert_eq!((counts.responses, counts.disconnected, counts.wasted), ([(200, 1)].into(), 1, 1));
    assert_eq!((counts.wasted_seconds, counts.service_seconds), (0.05, 0.150_000_000_000_000_02));
    assert_eq!((counts.calls["b"].requests, counts.in_flight), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cancels_also_stops_its_calls() {
    let lab = Lab::default();
    let _services = start(&lab, true).await;
    let client = lab.open("a").await;
    sleep(Duration::from_millis(150)).await;
    client.abort();
    sleep(Duration::from_millis(1)).await;
    let (near, far) = (lab.counts("a").await, lab.counts("b").await);
    assert_eq!((near.in_flight, near.disconnected, near.wasted), (0, 1, 1));
    assert_eq!((far.in_flight, far.disconnected, far.wasted), (0, 1, 1));
    let calls = &near.calls["b"];
    assert_eq!((calls.requests, calls.failed, calls.responses.len()), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_queued_request_without_a_client_is_served_or_leaves_the_queue() {
    for (cancel, wasted, took) in [(false, 1, 550), (true, 0, 350)] {
        let lab = Lab::default();
        let _services = start(&lab, cancel).await;
        let first = lab.open("a").await;
        let queued = lab.open("a").await;
        sleep(Duration::from_millis(50)).await;
        assert_eq!(lab.counts("a").await.queued, 1);
        queued.abort();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(lab.counts("a").await.queued, u64::from(!cancel));
        let start = Instant::now();
        let last = lab.open("a").await;
        assert_eq!(first.await.unwrap().0.status, 200);
        assert_eq!(last.await.unwrap().0.status, 200);
        assert_eq!(start.elapsed().as_millis(), took - 1);
        let counts = lab.counts("a").await;
        assert_eq!((counts.disconnected, counts.wasted, counts.requests), (1, wasted, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_node_ends_when_its_client_disconnects() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("SERVICE_PORT", "8080")]).await;
    lab.fault("a", &json!({"delay": {"mean_ms": 1000.0}})).await;
    let client = lab.open("a").await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(lab.counts("a").await.in_flight, 1);
    client.abort();
    sleep(Duration::from_millis(1)).await;
    let counts = lab.counts("a").await;
    assert_eq!((counts.in_flight, counts.disconnected, counts.requests), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn work_without_a_client_does_not_delay_the_shutdown() {
    let lab = Lab::default();
    let a = lab.node("a", &json!({"script": [{"sleepMs": 20_000}]})).await;
    let client = lab.open("a").await;
    sleep(Duration::from_millis(50)).await;
    client.abort();
    let start = Instant::now();
    a.stop.send(()).unwrap();
    assert_eq!(a.code.await.unwrap(), 0);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
