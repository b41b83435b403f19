//! What the admin port shows and changes.

use http::Request;
use serde_json::{Value, json};

use crate::lab::{ADMIN, Lab, SERVICE};

async fn put_fault(lab: &Lab, change: &Value) -> (u16, Value) {
    let reply = lab.ask("a", ADMIN, Request::put("/fault"), &change.to_string()).await;
    (reply.status.as_u16(), reply.json())
}

#[tokio::test]
async fn faults_are_changed_while_it_runs() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("REJECT", "1")]).await;
    let calm = json!({"quota": 0, "reject": true, "sequence": [], "seed": null, "delay_max": 0.0});
    assert_eq!(lab.admin("a", "/fault").await, calm);
    assert_eq!(lab.get("a", "/").await.status, 200);

    assert_eq!(put_fault(&lab, &json!({"quota": 100})).await.0, 200);
    assert_eq!(lab.get("a", "/").await.status, 500);

    let (status, shown) = put_fault(&lab, &json!({"sequence": [503, 200]})).await;
    assert_eq!((status, &shown["quota"], &shown["sequence"]), (200, &json!(100), &json!([503, 200])));
    assert_eq!(lab.get("a", "/").await.status, 503);
    assert_eq!(lab.get("a", "/").await.status, 200);

    assert_eq!(put_fault(&lab, &json!({"quota": 0, "sequence": []})).await, (200, calm));
    assert_eq!(lab.get("a", "/").await.status, 200);
}

#[tokio::test]
async fn a_wrong_change_is_refused_whole_with_the_reason() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let (status, body) = put_fault(&lab, &json!({"reject": true, "quota": 101})).await;
    assert_eq!((status, body), (400, json!({"error": "quota `101`: a percentage lies in 0 to 100"})));
    let (status, body) = put_fault(&lab, &json!({"qouta": 10})).await;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().starts_with("unknown field `qouta`"), "{body}");
    assert_eq!(lab.admin("a", "/fault").await["reject"], false);
}

#[tokio::test]
async fn a_seed_given_again_repeats_the_failures() {
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
async fn counts_and_tries_tell_what_came() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("SEQUENCE", "500,200")]).await;
    for id in ["x", "x", "y"] {
        lab.ask("a", SERVICE, Request::get("/").header("meshy-request-id", id), "").await;
    }
    lab.get("a", "/").await;
    let expected = json!({
        "requests": 4,
        "rejected": 2,
        "discarded": 0,
        "answers": {"200": 2, "500": 2},
        "tries": {"1": 2, "2": 1},
        "served": {"2": 1},
        "ids": 2,
        "forgotten": 0,
    });
    assert_eq!(lab.admin("a", "/counts").await, expected);

    let tries = json!({"tries": {"x": 2, "y": 1, "z": 0}, "forgotten": 0});
    assert_eq!(lab.admin("a", "/tries?ids=x,y,z").await, tries);
    let asked = lab.ask("a", ADMIN, Request::post("/tries"), r#"{"ids":["x","y","z"]}"#).await;
    assert_eq!(asked.json(), tries);

    let all = lab.admin("a", "/ids").await;
    let mut seen: Vec<_> = all["ids"].as_object().unwrap().values().cloned().collect();
    seen.sort_by_key(ToString::to_string);
    assert_eq!((seen, &all["forgotten"]), (vec![json!([1, false]), json!([2, true])], &json!(0)));
}

#[tokio::test]
async fn other_paths_and_methods_say_what_there_is() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let reply = lab.ask("a", ADMIN, Request::get("/"), "").await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()),
        (404, json!({"error": "known here: /fault, /counts, /ids, /tries"}))
    );
    assert_eq!(lab.ask("a", ADMIN, Request::delete("/fault"), "").await.status, 405);
    assert_eq!(
        lab.get("a", "/fault").await.json()["requestURI"],
        "/fault",
        "the service port has no admin paths"
    );
}
