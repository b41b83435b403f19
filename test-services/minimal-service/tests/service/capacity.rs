//! Nodes with limited capacity: workers, the queue, service times.

use http::Request;
use serde_json::json;
use tokio::time::Instant;

use crate::lab::{ADMIN, Lab, NODE, call, send};

#[tokio::test(start_paused = true)]
async fn a_queued_request_waits_and_a_full_queue_is_503_at_once() {
    let lab = Lab::default();
    let capacity = json!({"workers": 1, "queue": 1, "serviceTimeMs": 100});
    let _a = lab.node("a", &json!({"capacity": capacity})).await;
    let mut results = Vec::new();
    for request in [lab.open("a").await, lab.open("a").await, lab.open("a").await] {
        let (response, took) = request.await.unwrap();
        results.push((response.status.as_u16(), took.as_millis(), response.body));
    }
    let full = "Service Unavailable\nthe queue is full\n".to_owned();
    assert_eq!(results, [(200, 100, String::new()), (200, 200, String::new()), (503, 0, full)]);
    let counts = lab.counts("a").await;
    assert_eq!((counts.queue_rejections, counts.peak_queued, counts.peak_in_flight), (1, 1, 2));
    assert_eq!((counts.queued, counts.in_flight, counts.service_seconds), (0, 0, 0.2));
    assert_eq!(counts.responses, [(200, 2), (503, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn workers_serve_requests_at_the_same_time() {
    let lab = Lab::default();
    let capacity = json!({"workers": 4, "queue": 100, "serviceTimeMs": 80});
    let _a = lab.node("a", &json!({"capacity": capacity})).await;
    let mut open = Vec::new();
    for _ in 0..12 {
        open.push(lab.open("a").await);
    }
    let mut times = Vec::new();
    for request in open {
        times.push(request.await.unwrap().1.as_millis());
    }
    assert_eq!(times, [80, 80, 80, 80, 160, 160, 160, 160, 240, 240, 240, 240]);
    assert_eq!(lab.counts("a").await.peak_queued, 8);
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_busy_until_the_response_is_ready() {
    let lab = Lab::default();
    let capacity = json!({"workers": 1, "queue": 5, "serviceTimeMs": 10});
    let _a = lab.node("a", &json!({"script": [call("b")], "capacity": capacity})).await;
    let _b = lab.node("b", &json!({"script": [{"sleepMs": 100}]})).await;
    let (first, second) = (lab.open("a").await, lab.open("a").await);
    assert_eq!(first.await.unwrap().1.as_millis(), 110);
    assert_eq!(second.await.unwrap().1.as_millis(), 220);
    assert_eq!(lab.counts("b").await.peak_in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_request_uses_a_worker_for_its_service_time() {
    let lab = Lab::default();
    let capacity = json!({"workers": 1, "queue": 5, "serviceTimeMs": 10});
    let _a = lab.node("a", &json!({"errors": 1.0, "capacity": capacity})).await;
    let (first, second) = (lab.open("a").await, lab.open("a").await);
    assert_eq!(first.await.unwrap().1.as_millis(), 10);
    let (response, took) = second.await.unwrap();
    assert_eq!((response.status.as_u16(), took.as_millis()), (500, 20));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_queue_rejects_takes_no_part_in_the_failures() {
    let lab = Lab::default();
    let capacity = json!({"workers": 1, "serviceTimeMs": 10});
    let _a = lab.node("a", &json!({"capacity": capacity})).await;
    lab.fault("a", &json!({"sequence": [200, 404]})).await;
    let (first, second) = (lab.open("a").await, lab.open("a").await);
    assert_eq!(first.await.unwrap().0.status, 200);
    assert_eq!(second.await.unwrap().0.status, 503);
    assert_eq!(lab.call("a").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn service_times_below_a_millisecond_have_their_mean() {
    let lab = Lab::default();
    let capacity = json!({"workers": 1, "serviceTimeMs": 0.3});
    let _a = lab.node("a", &json!({"capacity": capacity})).await;
    let mut client = lab.connect("a", NODE).await;
    let start = Instant::now();
    for _ in 0..1_000 {
        send(&mut client, Request::get("/"), "").await.unwrap();
    }
    // Timers have a resolution of a millisecond, and round up.
    assert!((299..=301).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    let seconds = lab.counts("a").await.service_seconds;
    assert!((seconds - 0.3).abs() < 1e-9, "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn peaks_are_those_since_their_reset() {
    let lab = Lab::default();
    let capacity = json!({"workers": 1, "queue": 5, "serviceTimeMs": 10});
    let _a = lab.node("a", &json!({"capacity": capacity})).await;
    for request in [lab.open("a").await, lab.open("a").await, lab.open("a").await] {
        request.await.unwrap();
    }
    let counts = lab.counts("a").await;
    assert_eq!((counts.peak_in_flight, counts.peak_queued), (3, 2));
    let reset = lab.send("a", ADMIN, Request::delete("/counts/peaks"), "").await.json();
    assert_eq!((&reset["peak_in_flight"], &reset["peak_queued"]), (&json!(0), &json!(0)));
    lab.call("a").await;
    let counts = lab.counts("a").await;
    assert_eq!((counts.requests, counts.peak_in_flight, counts.peak_queued), (4, 1, 0));
}
