//! Responses of the service port.

use http::{Request, StatusCode};
use serde_json::json;

use crate::lab::{Lab, SERVICE};

#[tokio::test]
async fn health_checks_succeed_with_any_quota_and_sequence() {
    let lab = Lab::default();
    let env = [("DISCARD_QUOTA", "100"), ("REJECT", "1"), ("SEQUENCE", "500")];
    let _a = lab.start("a", &env).await;
    for _ in 0..20 {
        let response = lab.get("a", "/health").await;
        assert_eq!((response.status, response.body.as_str()), (StatusCode::OK, "Status OK"));
    }
    assert_eq!(lab.send("a", SERVICE, Request::post("/health"), "").await.status, 405);
    assert_eq!(lab.admin("a", "/counts").await["requests"], 0);
}

#[tokio::test]
async fn the_response_to_a_get_describes_the_request() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let request = Request::get("/any/thing?x=1").header("x-some-header", "some value");
    let response = lab.send("a", SERVICE, request, "a body").await;
    assert_eq!(response.header("content-type"), "application/json");
    let mut json = response.json();
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
async fn the_response_to_a_plain_text_request_is_plain_text() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let request = Request::get("/x").header("content-type", "text/plain");
    let response = lab.send("a", SERVICE, request, "a body").await;
    assert_eq!(response.header("content-type"), "text/plain; charset=utf-8");
    assert!(
        response.body.starts_with("Request served by a\n\nGET /x HTTP/1.1\nHost: service.test\n"),
        "{}",
        response.body
    );
    assert!(response.body.ends_with("\n\na body"), "{}", response.body);
}

#[tokio::test]
async fn a_rejection_has_the_content_type_of_the_request() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("DISCARD_QUOTA", "100"), ("REJECT", "1")]).await;
    let response = lab.get("a", "/").await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (500, "Internal Server Error\n"));
    let request = Request::get("/").header("content-type", "application/json");
    let response = lab.send("a", SERVICE, request, "").await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (500, "\"Internal Server Error\"\n"));
    assert_eq!(response.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_discarded_request_gets_an_empty_200_without_reject() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("DISCARD_QUOTA", "100")]).await;
    let response = lab.get("a", "/").await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (200, ""));
}

#[tokio::test]
async fn responses_follow_the_sequence() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("SEQUENCE", "500,503,200")]).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(lab.get("a", "/").await.status.as_u16());
    }
    assert_eq!(statuses, [500, 503, 200, 500, 503, 200]);
}

#[tokio::test]
async fn responses_have_the_attempt_number_of_their_request_id() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("SEQUENCE", "500,500,200")]).await;
    for (attempt, status) in [("1", 500), ("2", 500), ("3", 200)] {
        let response = lab.send("a", SERVICE, Request::get("/").header("meshy-request-id", "one"), "").await;
        assert_eq!((response.status.as_u16(), response.header("meshy-attempt")), (status, attempt));
        assert_eq!(response.header("meshy-request-id"), "one");
    }
    assert_eq!(
        lab.get("a", "/").await.header("meshy-attempt"),
        "",
        "a request without an id has no attempt number"
    );
}

#[tokio::test(start_paused = true)]
async fn delays_are_at_most_delay_max() {
    let lab = Lab::default();
    let _a = lab.start("a", &[("DELAY_MAX", "2")]).await;
    let mut longest = 0.0f64;
    for _ in 0..50 {
        let start = tokio::time::Instant::now();
        assert_eq!(lab.get("a", "/").await.status, 200);
        longest = longest.max(start.elapsed().as_secs_f64());
    }
    // All of 50 uniformly distributed delays are below half of the maximum once in 10^15 runs.
    assert!((1.0..=2.01).contains(&longest), "{longest}");
}

#[tokio::test]
async fn other_methods_get_405_and_too_large_bodies_413() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    assert_eq!(lab.send("a", SERVICE, Request::delete("/"), "").await.status, 405);
    assert_eq!(lab.send("a", SERVICE, Request::post("/"), "").await.status, 405);
    assert_eq!(lab.send("a", SERVICE, Request::get("/"), &"x".repeat(64 * 1024)).await.status, 200);
    assert_eq!(lab.send("a", SERVICE, Request::get("/"), &"x".repeat(64 * 1024 + 1)).await.status, 413);
}
