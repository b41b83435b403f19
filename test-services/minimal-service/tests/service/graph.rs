//! Nodes of a call graph: calls in sequence and at the same time, and what is counted on each edge.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use serde_json::{Value, json};

use crate::lab::{Lab, NODE, call};

fn optional(service: &str) -> Value {
    let mut step = call(service);
    step["call"]["optional"] = true.into();
    step
}

#[tokio::test]
async fn a_request_passes_a_chain_with_its_id_and_each_edge_counts_it() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [call("b")]})).await;
    let _b = lab.node("b", &json!({"script": [call("c")]})).await;
    let _c = lab.node("c", &json!({})).await;
    for _ in 0..2 {
        let request = Request::get("/").header("meshy-request-id", "mine");
        let response = lab.send("a", NODE, request, "").await;
        assert_eq!((response.status.as_u16(), response.header("meshy-request-id")), (200, "mine"));
    }
    for (caller, service) in [("a", "b"), ("b", "c")] {
        let (near, far) = (lab.counts(caller).await, lab.counts(service).await);
        assert_eq!(near.calls[service].requests, 2);
        assert_eq!(near.calls[service].responses, far.responses);
        assert_eq!((far.requests, far.callers), (2, [(caller.to_owned(), 2)].into()));
        let attempts = lab.admin(service, "/attempts?ids=mine,other").await;
        let expected =
            json!({"attempts": {"mine": 2, "other": 0}, "callers": {"mine": {caller: 2}}, "forgotten": 0});
        assert_eq!(attempts, expected);
    }
    assert_eq!(lab.counts("a").await.callers, [].into());
}

#[tokio::test]
async fn a_request_without_an_id_gets_one_for_its_calls() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [call("b"), call("c")]})).await;
    let (_b, _c) = (lab.node("b", &json!({})).await, lab.node("c", &json!({})).await);
    let id = lab.call("a").await.header("meshy-request-id").to_owned();
    assert_eq!(id.len(), 32);
    for service in ["b", "c"] {
        assert_eq!(lab.admin(service, &format!("/attempts?ids={id}")).await["attempts"][&id], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn parallel_calls_of_a_diamond_take_as_long_as_the_slowest() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [{"parallel": [call("b"), call("c")]}]})).await;
    let _b = lab.node("b", &json!({"script": [{"sleepMs": 300}, call("d")]})).await;
    let _c = lab.node("c", &json!({"script": [{"sleepMs": 200}, call("d")]})).await;
    let _d = lab.node("d", &json!({"script": [{"sleepMs": 50}]})).await;
    let (response, took) = lab.open("a").await.await.unwrap();
    assert_eq!((response.status.as_u16(), took.as_millis()), (200, 350));
    let counts = lab.counts("d").await;
    assert_eq!(counts.callers, [("b".to_owned(), 1), ("c".to_owned(), 1)].into());
    assert_eq!(counts.attempts, [(1, 2)].into(), "the calls of two callers are not attempts of each other");
}

#[tokio::test(start_paused = true)]
async fn steps_run_in_sequence() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [call("b"), {"sleepMs": 20}, call("b")]})).await;
    let _b = lab.node("b", &json!({"script": [{"sleepMs": 100}]})).await;
    let (response, took) = lab.open("a").await.await.unwrap();
    assert_eq!((response.status.as_u16(), took.as_millis()), (200, 220));
}

#[tokio::test]
async fn a_failed_optional_call_does_not_fail_the_request() {
    let lab = Lab::default();
    let script = json!([optional("b"), optional("absent"), call("c")]);
    let _a = lab.node("a", &json!({"script": script})).await;
    let _b = lab.node("b", &json!({"errors": 1.0})).await;
    let _c = lab.node("c", &json!({})).await;
    assert_eq!(lab.call("a").await.status, 200);
    let calls = lab.counts("a").await.calls;
    assert_eq!(calls["b"].responses, [(500, 1)].into());
    assert_eq!((calls["absent"].requests, calls["absent"].failed), (1, 1));
    assert_eq!(calls["c"].responses, [(200, 1)].into());
}

#[tokio::test]
async fn the_status_of_the_first_failed_mandatory_call_is_passed_on_and_later_steps_do_not_run() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [call("b"), call("c")]})).await;
    let _b = lab.node("b", &json!({})).await;
    let _c = lab.node("c", &json!({})).await;
    for status in [404, 503] {
        lab.fault("b", &json!({"sequence": [status]})).await;
        let response = lab.call("a").await;
        assert_eq!(response.status, status);
        assert!(response.body.contains(&format!("call to b returned {status} ")), "{}", response.body);
    }
    assert_eq!(lab.counts("c").await.requests, 0);
    assert_eq!(lab.counts("a").await.responses, [(404, 1), (503, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn parallel_calls_all_complete_and_the_first_failure_in_time_is_passed_on() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [{"parallel": [call("b"), call("c"), call("d")]}]})).await;
    let _b = lab.node("b", &json!({})).await;
    lab.fault("b", &json!({"sequence": [501], "delay": {"mean_ms": 200.0}})).await;
    let _c = lab.node("c", &json!({})).await;
    lab.fault("c", &json!({"sequence": [503], "delay": {"mean_ms": 100.0}})).await;
    let _d = lab.node("d", &json!({"script": [{"sleepMs": 300}]})).await;
    let (response, took) = lab.open("a").await.await.unwrap();
    assert_eq!((response.status.as_u16(), took.as_millis()), (503, 300));
}

#[tokio::test]
async fn a_call_without_a_connection_is_502_with_its_name_and_is_made_once() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [call("b")]})).await;
    let _b = lab.wire.join("b");
    let response = lab.call("a").await;
    let expected = "Bad Gateway\ncall to b failed: cannot connect to 10.0.0.2:8080: connection refused\n";
    assert_eq!((response.status.as_u16(), response.body.as_str()), (502, expected));
    let calls = &lab.counts("a").await.calls["b"];
    assert_eq!((calls.requests, calls.failed, calls.responses.len()), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_response_is_504_after_60_seconds() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [call("b")]})).await;
    let _b = lab.node("b", &json!({"script": [{"sleepMs": 90_000}]})).await;
    let (response, took) = lab.open("a").await.await.unwrap();
    assert_eq!((response.status.as_u16(), took.as_secs()), (504, 60));
    assert_eq!(response.body, "Gateway Timeout\ncall to b failed: no response within 60 s\n");
}

#[tokio::test]
async fn errors_are_decided_before_the_calls() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [call("b")], "errors": 1.0})).await;
    let _b = lab.node("b", &json!({})).await;
    assert_eq!(lab.call("a").await.status, 500);
    assert_eq!(lab.counts("b").await.requests, 0);
}

#[tokio::test]
async fn bodies_have_the_sizes_of_the_node() {
    let lab = Lab::default();
    // `b` is not a node: a bounce request with a body of more than 64 KiB gets 413, another invalid one 400.
    let _b = lab.start("b", &[("SERVICE_PORT", "8080")]).await;
    for (size, status) in [(65_536, 400), (65_537, 413)] {
        let step = json!({"call": {"service": "b", "url": "http://b:8080/bounce", "requestBytes": size}});
        let _a = lab.node(&format!("a-{size}"), &json!({"script": [step]})).await;
        assert_eq!(lab.call(&format!("a-{size}")).await.status, status);
    }
    let _c = lab.node("c", &json!({"responseBytes": 200_000})).await;
    let response = lab.send("c", NODE, Request::post("/"), &"x".repeat(100_000)).await;
    assert_eq!((response.status.as_u16(), response.body.len()), (200, 200_000));
}

#[tokio::test]
async fn a_large_response_of_a_call_does_not_end_its_connection() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [call("b")]})).await;
    let _b = lab.node("b", &json!({"responseBytes": 1_000_000})).await;
    let before = lab.wire.opened();
    for _ in 0..5 {
        assert_eq!(lab.call("a").await.status, 200);
    }
    assert_eq!(lab.wire.opened() - before, 5 + 1, "five of the clients and one of the calls");
}

/// Each request of 20 clients has a mandatory call with a probability and an optional one; every edge is compared.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_counts_of_both_ends_of_each_edge_are_equal_when_no_request_is_open() {
    const CLIENTS: u64 = 20;
    const EACH: u64 = 25;
    let lab = Arc::new(Lab::default());
    let mut half = call("b");
    half["call"]["probability"] = 0.5.into();
    let _a = lab.node("a", &json!({"script": [{"parallel": [half, optional("c")]}]})).await;
    let capacity = json!({"workers": 2, "queue": 2});
    let _b = lab.node("b", &json!({"script": [call("c")], "capacity": capacity})).await;
    let _c = lab.node("c", &json!({"errors": 0.3})).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let lab = lab.clone();
        clients.spawn(async move {
            for _ in 0..EACH {
                lab.call("a").await;
            }
        });
    }
    clients.join_all().await;
    let [a, b, c] = [lab.counts("a").await, lab.counts("b").await, lab.counts("c").await];
    assert_eq!((a.requests, a.responses.values().sum::<u64>()), (CLIENTS * EACH, CLIENTS * EACH));
    assert_eq!((a.calls["b"].requests, &a.calls["b"].responses), (b.requests, &b.responses));
    assert_eq!(c.callers, [("a".into(), a.calls["c"].requests), ("b".into(), b.calls["c"].requests)].into());
    let mut both = a.calls["c"].responses.clone();
    b.calls["c"].responses.iter().for_each(|(status, count)| *both.entry(*status).or_default() += count);
    assert_eq!(both, c.responses);
    assert_eq!(b.requests, b.responses.values().sum::<u64>());
    assert_eq!(
        b.requests - b.queue_rejections,
        b.calls["c"].requests,
        "each admitted request makes its call"
    );
    // 500 draws at 50 %: six standard deviations are 67.
    assert!((183..=317).contains(&b.requests), "{}", b.requests);
    assert_eq!([a.in_flight, b.in_flight, c.in_flight], [0; 3]);
    assert_eq!(a.calls["c"].requests, a.requests);
}

#[tokio::test]
async fn callers_beyond_64_are_counted_as_one() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({})).await;
    for number in 0..100 {
        let request = Request::get("/").header("meshy-caller", format!("caller-{number}"));
        lab.send("a", NODE, request, "").await;
    }
    let callers = lab.counts("a").await.callers;
    assert_eq!((callers.len(), callers["(other)"]), (65, 36));
}

#[tokio::test(start_paused = true)]
async fn idle_connections_of_calls_are_closed_after_a_second_and_bounded() {
    const CALLS: usize = 300;
    let lab = Lab::default();
    let script = vec![call("b"); CALLS];
    let _a = lab.node("a", &json!({"script": [{"parallel": script}]})).await;
    let _b = lab.node("b", &json!({"script": [{"sleepMs": 10}]})).await;
    let before = lab.wire.opened();
    assert_eq!(lab.call("a").await.status, 200);
    assert_eq!(lab.wire.opened() - before, 1 + CALLS, "each call at the same time has its own connection");
    assert_eq!(lab.call("a").await.status, 200);
    let kept = CALLS - (lab.wire.opened() - before - 2 - CALLS);
    assert_eq!(kept, 256, "connections that were used again");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = lab.wire.opened();
    assert_eq!(lab.call("a").await.status, 200);
    assert_eq!(lab.wire.opened() - before, 1 + CALLS, "idle connections were closed");
}
