//! Bounce requests.

use std::sync::atomic::Ordering;

use http::Request;

use crate::lab::{Lab, SERVICE};

#[tokio::test]
async fn a_bounce_returns_200_with_the_status_of_the_upstream_in_the_body() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let _b = lab.start("b", &[("SEQUENCE", "200,500,503")]).await;
    for expected in ["200 OK", "500 Internal Server Error", "503 Service Unavailable"] {
        let response = lab.bounce("a", "http://b:9090").await;
        assert_eq!(response.status, 200);
        let json = response.json();
        assert_eq!(json["body"], expected);
        assert_eq!(json["attempts"], 1);
        assert_eq!(
            (&json["requestURI"], &json["method"], &json["servedBy"]),
            (&"/bounce".into(), &"POST".into(), &"a".into())
        );
        assert_eq!(json["headers"]["Meshy-Attempt"], "1", "the headers are those of the upstream");
    }
}

#[tokio::test]
async fn the_request_id_is_forwarded_or_generated() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let _b = lab.start("b", &[]).await;
    let body = r#"{"rebound":"true","endpoint":"http://b:9090/x"}"#;
    for attempts in [1, 2] {
        let request = Request::post("/bounce").header("meshy-request-id", "mine");
        let response = lab.send("a", SERVICE, request, body).await;
        assert_eq!(
            (response.header("meshy-request-id"), &response.json()["attempts"]),
            ("mine", &attempts.into())
        );
    }
    let generated = lab.bounce("a", "http://b:9090/x").await;
    let id = generated.header("meshy-request-id");
    assert_eq!(id.len(), 32);
    assert_ne!(lab.bounce("a", "http://b:9090/x").await.header("meshy-request-id"), id);
    assert_eq!(lab.admin("b", &format!("/attempts?ids=mine,{id}")).await["attempts"][id], 1);
}

#[tokio::test]
async fn successive_bounces_use_one_connection() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let _b = lab.start("b", &[]).await;
    let mut client = lab.connect("a", SERVICE).await;
    let before = lab.wire.connects.load(Ordering::Relaxed);
    for _ in 0..50 {
        let body = r#"{"rebound":"true","endpoint":"http://b:9090"}"#;
        let response = crate::lab::send(&mut client, Request::post("/bounce"), body).await.unwrap();
        assert_eq!(response.json()["body"], "200 OK");
    }
    assert_eq!(lab.wire.connects.load(Ordering::Relaxed) - before, 1);
}

#[tokio::test]
async fn a_replaced_upstream_is_reached_over_a_new_connection() {
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
async fn a_request_to_an_upstream_that_crashes_is_not_sent_again() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    let b = lab.start("b", &[]).await;
    let response = lab.bounce("a", "http://b:9090/crash").await;
    assert_eq!(response.status, 502);
    assert!(response.body.starts_with("Bad Gateway\nno response: "), "{}", response.body);
    assert_eq!(b.code.await.unwrap(), 137);
}

#[tokio::test]
async fn an_unreachable_or_invalid_endpoint_is_502_with_the_reason() {
    let lab = Lab::default();
    let a = lab.start("a", &[]).await;
    for (endpoint, reason) in [
        ("http://unknown:9090", "cannot resolve `unknown`: entity not found"),
        ("http://a:1", "cannot connect to 10.0.0.1:1: connection refused"),
        (
            "https://a:9090",
            "invalid endpoint `https://a:9090/`, expected http://HOST:PORT/PATH or grpc://HOST:PORT/SERVICE/METHOD",
        ),
        (
            "a:9090",
            "invalid endpoint `a:9090`, expected http://HOST:PORT/PATH or grpc://HOST:PORT/SERVICE/METHOD",
        ),
    ] {
        let response = lab.bounce("a", endpoint).await;
        assert_eq!((response.status.as_u16(), response.body), (502, format!("Bad Gateway\n{reason}\n")));
    }
    assert!(
        a.lines.lock().unwrap().iter().any(|line| line.starts_with("ERROR bounce to http://unknown:9090/: "))
    );
}

#[tokio::test]
async fn an_invalid_bounce_body_is_a_bad_request() {
    let lab = Lab::default();
    let _a = lab.start("a", &[]).await;
    for body in
        ["", "{}", r#"{"rebound":"false","endpoint":"http://a"}"#, r#"{"rebound":"true","endpoint":"a b"}"#]
    {
        let response = lab.send("a", SERVICE, Request::post("/bounce"), body).await;
        assert_eq!(response.status, 400, "{body}");
        assert!(response.body.starts_with("Bad Request\n"), "{}", response.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_are_exact_with_concurrent_bounces() {
    const CLIENTS: u64 = 20;
    const EACH: u64 = 50;
    let lab = std::sync::Arc::new(Lab::default());
    let _a = lab.start("a", &[]).await;
    let _b = lab.start("b", &[("DISCARD_QUOTA", "70"), ("REJECT", "1")]).await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let lab = lab.clone();
        clients.spawn(async move {
            let mut failed = 0;
            for request in 0..EACH {
                // Every id is sent twice: as the first and as the second attempt.
                let id = format!("{client}-{}", request / 2);
                let body = r#"{"rebound":"true","endpoint":"http://b:9090"}"#;
                let post = Request::post("/bounce").header("meshy-request-id", id);
                let json = lab.send("a", SERVICE, post, body).await.json();
                assert_eq!(json["attempts"], request % 2 + 1);
                failed += u64::from(json["body"] == "500 Internal Server Error");
            }
            failed
        });
    }
    let failed: u64 = clients.join_all().await.into_iter().sum();
    let (near, far) = (lab.admin("a", "/counts").await, lab.admin("b", "/counts").await);
    let all = CLIENTS * EACH;
    assert_eq!((&near["requests"], &near["responses"]["200"]), (&all.into(), &all.into()));
    assert_eq!((&far["requests"], &far["rejected"]), (&all.into(), &failed.into()));
    assert_eq!(
        (&far["responses"]["500"], &far["responses"]["200"]),
        (&failed.into(), &(all - failed).into())
    );
    assert_eq!((&far["attempts"]["1"], &far["attempts"]["2"]), (&(all / 2).into(), &(all / 2).into()));
    let opened = lab.wire.connects.load(Ordering::Relaxed) as u64;
    assert!(
        opened <= all + CLIENTS + 2,
        "{opened} connections: expected one per request and at most one more per client"
    );
}
