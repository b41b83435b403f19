//! The role of a sender.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Request, StatusCode};
use meshy_load::protocol::{LEASE, Part, Progress, SenderPlan, State};
use meshy_load::{Outcome, Report, Share, TargetSpec};
use serde_json::json;
use tokio::time::sleep;

use crate::lab::{ADMIN, Lab};

const SENDER: &[(&str, &str)] = &[("ROLE", "sender")];

fn plan(index: u32, of: u32) -> SenderPlan {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    SenderPlan {
        run: "run-1".to_owned(),
        start_unix_micros: u64::try_from(now.as_micros()).unwrap() + 100_000,
        share: Share { index, of },
        parts: vec![Part { after_ms: 0, duration_ms: 3_000, rate: 100.0 }],
        connections: 8,
        timeout_ms: 5_000,
        targets: vec![TargetSpec { url: "http://cart:8080/".to_owned(), ..TargetSpec::default() }],
    }
}

async fn put(lab: &Lab, sender: &str, plan: &SenderPlan) -> StatusCode {
    let text = serde_json::to_string(plan).unwrap();
    lab.send(sender, ADMIN, Request::put("/sender/plan"), &text).await.status
}

async fn progress(lab: &Lab, sender: &str, from: u32) -> Progress {
    let path = format!("/sender/report?from={from}");
    let response = lab.send(sender, ADMIN, Request::get(path), "").await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.body);
    serde_json::from_str(&response.body).unwrap()
}

async fn ended(lab: &Lab, sender: &str) -> Progress {
    loop {
        let progress = progress(lab, sender, 0).await;
        if progress.state == State::Ended {
            return progress;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn senders_send_their_shares_and_their_merged_report_has_each_request() {
    let lab = Lab::default();
    let cart = lab.node("cart", &json!({})).await;
    let (first, second) = (lab.start("sender-0", SENDER).await, lab.start("sender-1", SENDER).await);
    for (index, sender) in ["sender-0", "sender-1"].into_iter().enumerate() {
        assert_eq!(put(&lab, sender, &plan(u32::try_from(index).unwrap(), 2)).await, StatusCode::OK);
    }
    let mut merged = Report::default();
    for sender in ["sender-0", "sender-1"] {
        let progress = ended(&lab, sender).await;
        assert_eq!((progress.report.requests(), progress.interrupted), (150, false));
        assert!(progress.started_unix_micros.is_some());
        merged.merge(&progress.report);
    }
    assert_eq!(merged.outcomes()[&Outcome::Answer(200)].count(), 300);
    let counts = lab.send("cart", ADMIN, Request::get("/counts"), "").await.json();
    assert_eq!(counts["requests"], 300, "{counts}");
    drop((cart, first, second));
}

#[tokio::test(start_paused = true)]
async fn a_sender_has_one_plan_and_takes_it_again() {
    let lab = Lab::default();
    let _sender = lab.start("sender", SENDER).await;
    let plan = plan(0, 1);
    assert_eq!(put(&lab, "sender", &plan).await, StatusCode::OK);
    assert_eq!(put(&lab, "sender", &plan).await, StatusCode::OK);
    let other = SenderPlan { run: "run-2".to_owned(), ..plan };
    assert_eq!(put(&lab, "sender", &other).await, StatusCode::CONFLICT);
}

#[tokio::test(start_paused = true)]
async fn plans_that_are_not_valid_are_rejected_with_the_reason() {
    let lab = Lab::default();
    let _sender = lab.start("sender", SENDER).await;
    let mut plan = plan(0, 1);
    plan.start_unix_micros *= 1_000;
    let text = serde_json::to_string(&plan).unwrap();
    for (text, reason) in [(text.as_str(), "the start is"), ("{}", "missing field"), ("", "EOF")] {
        let response = lab.send("sender", ADMIN, Request::put("/sender/plan"), text).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
        assert!(response.body.contains(reason), "{}", response.body);
    }
    let report = lab.send("sender", ADMIN, Request::get("/sender/report"), "").await;
    assert_eq!(report.status, StatusCode::CONFLICT, "{}", report.body);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_stopped_keeps_what_was_counted() {
    let lab = Lab::default();
    let _cart = lab.node("cart", &json!({})).await;
    let _sender = lab.start("sender", SENDER).await;
    put(&lab, "sender", &plan(0, 1)).await;
    while progress(&lab, "sender", 0).await.report.requests() < 50 {
        sleep(Duration::from_millis(10)).await;
    }
    lab.send("sender", ADMIN, Request::put("/sender/stop"), "").await;
    let progress = ended(&lab, "sender").await;
    assert!(progress.interrupted);
    assert!((50..300).contains(&progress.report.requests()), "{}", progress.report.requests());
}

#[tokio::test(start_paused = true)]
async fn a_sender_whose_controller_is_gone_exits() {
    let lab = Lab::default();
    let _cart = lab.node("cart", &json!({})).await;
    let sender = lab.start("sender", SENDER).await;
    let mut plan = plan(0, 1);
    plan.parts[0].duration_ms = 10 * u64::try_from(LEASE.as_millis()).unwrap();
    put(&lab, "sender", &plan).await;
    assert_eq!(sender.code.await.unwrap(), 0);
    let lines = sender.lines.lock().unwrap().join("\n");
    assert!(lines.contains("the controller is gone"), "{lines}");
}

#[tokio::test]
async fn the_test_service_has_no_path_of_a_sender() {
    let lab = Lab::default();
    let _cart = lab.node("cart", &json!({})).await;
    let response = lab.send("cart", ADMIN, Request::put("/sender/plan"), "{}").await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
}
