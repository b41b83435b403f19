//! What the service port answers.

use http::{Request, StatusCode};
use serde_json::json;

use crate::lab::{Lab, SERVICE};

#[tokio::test]
async fn health_is_ok_whatever_the_quota_and_the_script() {
    let lab = Lab::default();
    let env = [("DISCARD_QUOTA", "100"), ("REJECT", "1"), ("SEQUENCE", "500")];
    let _a = lab.start("a", &env).await;
    for _ in 0..20 {
        let reply = lab.get("a", "/health").await;
        assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, "Status OK"));
    }
    assert_eq!(lab.ask("a", SERVICE, Request::post("/health"), "").await.status, 405);
    assert_eq!(lab.admin("a", "/counts").await["requests"], 0);
}

#[tokio::test]
async fn a_get_is_answered_with_what_it_was() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let request = Request::get("/any/thing?x=1").header("x-some-header", "some value");
    let reply = lab.ask("a", SERVICE, request, "a body").await;
    assert_eq!(reply.header("content-type"), "application/json");
    let mut json = reply.json();
    let headers = json["headers"].as_object_mut().unwrap();
    for timing in ["Request-time", "Response-time", "Duration"] {
        assert!(headers.remove(timing).is_some(), "{timing}");
    }
    let expected = json!({
        "host": "service.test",
        "statuscode": 200,
        "headers": {"Content-Length": "6", "X-Some-Header": "some value"},
        "protocol": "HTTP/1.1",
        "requestURI": "/any/thing?x=1",
        "servedBy": "a",
        "method": "GET",
        "body": "a body",
    });
    assert_eq!(json, expected);
}

#[tokio::test]
async fn plain_text_is_answered_where_it_is_spoken() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let request = Request::get("/x").header("content-type", "text/plain");
    let reply = lab.ask("a", SERVICE, request, "said").await;
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert!(
        reply.body.starts_with("Request served by a\n\nGET /x HTTP/1.1\nHost: service.test\n"),
        "{}",
        reply.body
    );
    assert!(reply.body.ends_with("\n\nsaid"), "{}", reply.body);
}

#[tokio::test]
async fn rejections_have_the_form_that_was_asked_with() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("DISCARD_QUOTA", "100"), ("REJECT", "1")]).await;
    let reply = lab.get("a", "/").await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (500, "Internal Server Error\n"));
    let request = Request::get("/").header("content-type", "application/json");
    let reply = lab.ask("a", SERVICE, request, "").await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (500, "\"Internal Server Error\"\n"));
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn without_reject_what_is_discarded_gets_an_empty_200() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("DISCARD_QUOTA", "100")]).await;
    let reply = lab.get("a", "/").await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, ""));
}

#[tokio::test]
async fn a_script_is_followed() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("SEQUENCE", "500,503,200")]).await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(lab.get("a", "/").await.status.as_u16());
    }
    assert_eq!(seen, [500, 503, 200, 500, 503, 200]);
}

#[tokio::test]
async fn tries_of_one_id_are_numbered_in_the_answers() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("SEQUENCE", "500,500,200")]).await;
    for (try_number, status) in [("1", 500), ("2", 500), ("3", 200)] {
        let reply = lab.ask("a", SERVICE, Request::get("/").header("meshy-request-id", "one"), "").await;
        assert_eq!((reply.status.as_u16(), reply.header("meshy-try")), (status, try_number));
        assert_eq!(reply.header("meshy-request-id"), "one");
    }
    assert_eq!(lab.get("a", "/").await.header("meshy-try"), "", "without an id nothing is numbered");
}

#[tokio::test(start_paused = true)]
async fn answers_wait_no_longer_than_they_may() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("DELAY_MAX", "2")]).await;
    let mut longest = 0.0f64;
    for _ in 0..50 {
        let start = tokio::time::Instant::now();
        assert_eq!(lab.get("a", "/").await.status, 200);
        longest = longest.max(start.elapsed().as_secs_f64());
    }
    // All of 50 even draws below a half: once in 10^15 runs.
    assert!((1.0..=2.01).contains(&longest), "{longest}");
}

#[tokio::test]
async fn other_methods_and_huge_bodies_are_refused() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    assert_eq!(lab.ask("a", SERVICE, Request::delete("/"), "").await.status, 405);
    assert_eq!(lab.ask("a", SERVICE, Request::post("/"), "").await.status, 405);
    assert_eq!(lab.ask("a", SERVICE, Request::get("/"), &"x".repeat(64 * 1024)).await.status, 200);
    assert_eq!(lab.ask("a", SERVICE, Request::get("/"), &"x".repeat(64 * 1024 + 1)).await.status, 413);
}
