//! Responses of the admin port.

use http::Request;
use serde_json::{Value, json};

use crate::lab::{ADMIN, Lab, SERVICE};

async fn put_fault(lab: &Lab, change: &Value) -> (u16, Value) {
    let response = lab.send("a", ADMIN, Request::put("/fault"), &change.to_string()).await;
    (response.status.as_u16(), response.json())
}

#[tokio::test]
async fn a_fault_change_applies_to_a_running_service() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("REJECT", "1")]).await;
    let initial = json!({"quota": 0, "reject": true, "sequence": [], "seed": null, "delay_max": 0.0,
        "errors": null, "blocks": false, "delay": null, "slow": 1.0, "down": false});
    assert_eq!(lab.admin("a", "/fault").await, initial);
    assert_eq!(lab.get("a", "/").await.status, 200);

    assert_eq!(put_fault(&lab, &json!({"quota": 100})).await.0, 200);
    assert_eq!(lab.get("a", "/").await.status, 500);

    let (status, fault) = put_fault(&lab, &json!({"sequence": [503, 200]})).await;
    assert_eq!((status, &fault["quota"], &fault["sequence"]), (200, &json!(100), &json!([503, 200])));
    assert_eq!(lab.get("a", "/").await.status, 503);
    assert_eq!(lab.get("a", "/").await.status, 200);

    assert_eq!(put_fault(&lab, &json!({"quota": 0, "sequence": []})).await, (200, initial));
    assert_eq!(lab.get("a", "/").await.status, 200);
}

#[tokio::test]
async fn an_invalid_change_is_rejected_as_a_whole_with_the_reason() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let (status, body) = put_fault(&lab, &json!({"reject": true, "quota": 101})).await;
    assert_eq!(
        (status, body),
        (400, json!({"error": "invalid quota `101`: expected a percentage from 0 to 100"}))
    );
    let (status, body) = put_fault(&lab, &json!({"qouta": 10})).await;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().starts_with("unknown field `qouta`"), "{body}");
    assert_eq!(lab.admin("a", "/fault").await["reject"], false);
}

#[tokio::test]
async fn setting_the_same_seed_again_reproduces_the_failures() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("DISCARD_QUOTA", "50"), ("REJECT", "1"), ("SEED", "7")]).await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        put_fault(&lab, &json!({"seed": 7})).await;
        let mut run = Vec::new();
        for _ in 0..30 {
            run.push(lab.get("a", "/").await.status.as_u16());
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&200) && runs[0].contains(&500));
}

#[tokio::test]
async fn counts_attempts_and_ids_match_the_requests() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("SEQUENCE", "500,200")]).await;
    for id in ["x", "x", "y"] {
        lab.send("a", SERVICE, Request::get("/").header("meshy-request-id", id), "").await;
    }
    lab.get("a", "/").await;
    let expected = json!({
        "requests": 4,
        "rejected": 2,
        "discarded": 0,
        "responses": {"200": 2, "500": 2},
        "attempts": {"1": 2, "2": 1},
        "served": {"2": 1},
        "ids": 2,
        "forgotten": 0,
        "callers": {},
        "calls": {},
        "queue_rejections": 0,
        "disconnected": 0,
        "wasted": 0,
        "wasted_seconds": 0.0,
        "service_seconds": 0.0,
        "in_flight": 0,
        "queued": 0,
        "peak_in_flight": 1,
        "peak_queued": 0,
    });
    assert_eq!(lab.admin("a", "/counts").await, expected);

    let attempts = json!({"attempts": {"x": 2, "y": 1, "z": 0}, "forgotten": 0});
    assert_eq!(lab.admin("a", "/attempts?ids=x,y,z").await, attempts);
    let posted = lab.send("a", ADMIN, Request::post("/attempts"), r#"{"ids":["x","y","z"]}"#).await;
    assert_eq!(posted.json(), attempts);

    let all = lab.admin("a", "/ids").await;
    let mut entries: Vec<_> = all["ids"].as_object().unwrap().values().cloned().collect();
    entries.sort_by_key(ToString::to_string);
    assert_eq!((entries, &all["forgotten"]), (vec![json!([1, false]), json!([2, true])], &json!(0)));
}

#[tokio::test]
async fn unknown_paths_get_404_and_other_methods_405() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let response = lab.send("a", ADMIN, Request::get("/"), "").await;
    assert_eq!(
        (response.status.as_u16(), response.json()),
        (
            404,
            json!({"error": "unknown path /, expected /health, /fault, /counts, /counts/peaks, /ids or /attempts"})
        )
    );
    assert_eq!(lab.send("a", ADMIN, Request::delete("/fault"), "").await.status, 405);
    assert_eq!(
        lab.get("a", "/fault").await.json()["requestURI"],
        "/fault",
        "the service port has no admin paths"
    );
}
