//! Requests that make another one.

use std::sync::atomic::Ordering;

use http::Request;

use crate::lab::{Lab, SERVICE};

#[tokio::test]
async fn the_upstreams_status_is_in_the_body_of_a_200() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let _b = lab.start("b", &[("SEQUENCE", "200,500,503")]).await;
    for expected in ["200 OK", "500 Internal Server Error", "503 Service Unavailable"] {
        let reply = lab.bounce("a", "http://b:9090").await;
        assert_eq!(reply.status, 200);
        let json = reply.json();
        assert_eq!(json["body"], expected);
        assert_eq!(json["tries"], 1);
        assert_eq!(
            (&json["requestURI"], &json["method"], &json["servedBy"]),
            (&"/bounce".into(), &"POST".into(), &"a".into())
        );
        assert_eq!(json["headers"]["Meshy-Try"], "1", "the headers are the upstream's");
    }
}

#[tokio::test]
async fn the_id_is_passed_on_or_made() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let _b = lab.start("b", &[]).await;
    let body = r#"{"rebound":"true","endpoint":"http://b:9090/x"}"#;
    for tries in [1, 2] {
        let request = Request::post("/bounce").header("meshy-request-id", "mine");
        let reply = lab.ask("a", SERVICE, request, body).await;
        assert_eq!((reply.header("meshy-request-id"), &reply.json()["tries"]), ("mine", &tries.into()));
    }
    let made = lab.bounce("a", "http://b:9090/x").await;
    let id = made.header("meshy-request-id");
    assert_eq!(id.len(), 32);
    assert_ne!(lab.bounce("a", "http://b:9090/x").await.header("meshy-request-id"), id);
    assert_eq!(lab.admin("b", &format!("/tries?ids=mine,{id}")).await["tries"][id], 1);
}

#[tokio::test]
async fn one_connection_serves_bounce_after_bounce() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let _b = lab.start("b", &[]).await;
    let mut client = lab.connect("a", SERVICE).await;
    let before = lab.wire.connects.load(Ordering::Relaxed);
    for _ in 0..50 {
        let body = r#"{"rebound":"true","endpoint":"http://b:9090"}"#;
        let reply = crate::lab::ask(&mut client, Request::post("/bounce"), body).await.unwrap();
        assert_eq!(reply.json()["body"], "200 OK");
    }
    assert_eq!(lab.wire.connects.load(Ordering::Relaxed) - before, 1);
}

#[tokio::test]
async fn an_upstream_that_was_replaced_is_found_again() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let b = lab.start("b", &[]).await;
    assert_eq!(lab.bounce("a", "http://b:9090").await.json()["body"], "200 OK");
    b.stop.send(()).unwrap();
    assert_eq!(b.code.await.unwrap(), 0);
    assert_eq!(lab.bounce("a", "http://b:9090").await.status, 502);
    let _b = lab.start("b", &[]).await;
    assert_eq!(lab.bounce("a", "http://b:9090").await.json()["body"], "200 OK");
    assert_eq!(lab.admin("b", "/counts").await["requests"], 1);
}

#[tokio::test]
async fn an_upstream_that_crashes_under_a_request_is_not_asked_again() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let b = lab.start("b", &[]).await;
    let reply = lab.bounce("a", "http://b:9090/crash").await;
    assert_eq!(reply.status, 502);
    assert!(reply.body.starts_with("Bad Gateway\nno answer: "), "{}", reply.body);
    assert_eq!(b.code.await.unwrap(), 137);
}

#[tokio::test]
async fn endpoints_that_cannot_be_asked_give_502_with_the_reason() {
    let lab = Lab::default();
    let a = lab.start("a", &[]).await;
    for (endpoint, reason) in [
        ("http://nobody:9090", "resolve `nobody`: entity not found"),
        ("http://a:1", "connect to 10.0.0.1:1: connection refused"),
        (
            "https://a:9090",
            "the endpoint `https://a:9090/` is not an http:// address; TLS is the mesh's matter",
        ),
        ("a:9090", "the endpoint `a:9090` is not an http:// address; TLS is the mesh's matter"),
    ] {
        let reply = lab.bounce("a", endpoint).await;
        assert_eq!((reply.status.as_u16(), reply.body), (502, format!("Bad Gateway\n{reason}\n")));
    }
    assert!(
        a.lines.lock().unwrap().iter().any(|line| line.starts_with("ERROR bounce to http://nobody:9090/: "))
    );
}

#[tokio::test]
async fn another_body_than_an_order_is_a_bad_request() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    for body in
        ["", "{}", r#"{"rebound":"false","endpoint":"http://a"}"#, r#"{"rebound":"true","endpoint":"a b"}"#]
    {
        let reply = lab.ask("a", SERVICE, Request::post("/bounce"), body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.body.starts_with("Bad Request\n"), "{}", reply.body);
    }
}
