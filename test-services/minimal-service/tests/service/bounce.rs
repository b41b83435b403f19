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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_agree_to_the_request_when_many_bounce_at_once() {
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
                // Every id comes twice: as the first and as the second try.
                let id = format!("{client}-{}", request / 2);
                let body = r#"{"rebound":"true","endpoint":"http://b:9090"}"#;
                let post = Request::post("/bounce").header("meshy-request-id", id);
                let json = lab.ask("a", SERVICE, post, body).await.json();
                assert_eq!(json["tries"], request % 2 + 1);
                failed += u64::from(json["body"] == "500 Internal Server Error");
            }
            failed
        });
    }
    let failed: u64 = clients.join_all().await.into_iter().sum();
    let (near, far) = (lab.admin("a", "/counts").await, lab.admin("b", "/counts").await);
    let all = CLIENTS * EACH;
    assert_eq!((&near["requests"], &near["answers"]["200"]), (&all.into(), &all.into()));
    assert_eq!((&far["requests"], &far["rejected"]), (&all.into(), &failed.into()));
    assert_eq!((&far["answers"]["500"], &far["answers"]["200"]), (&failed.into(), &(all - failed).into()));
    assert_eq!((&far["tries"]["1"], &far["tries"]["2"]), (&(all / 2).into(), &(all / 2).into()));
    let opened = lab.wire.connects.load(Ordering::Relaxed) as u64;
    assert!(
        opened <= all + CLIENTS + 2,
        "{opened} streams: one a client's request and at most one a client kept"
    );
}
