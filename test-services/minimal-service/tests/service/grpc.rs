//! gRPC calls: of a client to the service, and of a node to another node.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use minimal_service::grpc::{decode_message, encode_message};
use serde_json::{Value, json};

use crate::lab::{Lab, NODE, SERVICE};

/// A response with its body and its trailers.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Reply {
    /// Returns the gRPC status, from the trailers or else from the headers.
    fn code(&self) -> &str {
        let found = self.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
        found.or_else(|| self.headers.get("grpc-status")).map_or("none", |value| value.to_str().unwrap())
    }
}

async fn connect(lab: &Lab, name: &str, port: u16) -> SendRequest<Full<Bytes>> {
    let stream = lab.wire.open(lab.wire.address(name, port)).unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, frame: Bytes) -> Reply {
    let request = Request::post("http://service.test/minimal.v1.Minimal/Call").version(Version::HTTP_2);
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let request = request.header("meshy-request-id", "one").body(Full::new(frame)).unwrap();
    sender.ready().await.unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    Reply { status: head.status, headers: head.headers, body: body.to_bytes(), trailers }
}

fn grpc_call(service: &str) -> Value {
    json!({"call": {"service": service, "url": format!("grpc://{service}:{NODE}/")}})
}

#[tokio::test]
async fn a_call_returns_its_message_with_the_status_in_trailers() {
    let lab = Lab::default();
    let _service = lab.start("minimal", &[]).await;
    let mut sender = connect(&lab, "minimal", SERVICE).await;
    for (attempt, body) in ["hello", ""].iter().enumerate() {
        let reply = send(&mut sender, encode_message(body.as_bytes())).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, "0"));
        assert!(!reply.headers.contains_key("grpc-status"), "in the trailers only");
        assert_eq!(reply.headers["content-type"], "application/grpc");
        assert_eq!(reply.headers["meshy-attempt"], (attempt + 1).to_string());
        assert_eq!(decode_message(&reply.body).unwrap(), body.as_bytes());
    }
    assert_eq!(lab.wire.opened(), 1, "calls share a connection");
}

#[tokio::test]
async fn a_fault_becomes_a_grpc_status_in_the_headers() {
    let lab = Lab::default();
    let _service = lab.start("minimal", &[]).await;
    lab.fault("minimal", &json!({"sequence": [503, 500, 429, 504, 200]})).await;
    let mut sender = connect(&lab, "minimal", SERVICE).await;
    for code in ["14", "13", "8", "4", "0"] {
        let reply = send(&mut sender, encode_message(b"a")).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, code));
        assert_eq!((reply.body.is_empty(), reply.trailers.is_some()), (code != "0", code == "0"));
    }
    let counts = lab.counts("minimal").await;
    assert_eq!((counts.requests, counts.responses[&503], counts.responses[&200]), (5, 1, 1));
}

#[tokio::test]
async fn a_request_that_is_not_one_message_gets_invalid_argument() {
    let lab = Lab::default();
    let _service = lab.start("minimal", &[]).await;
    let mut sender = connect(&lab, "minimal", SERVICE).await;
    let frame = |bytes: &'static [u8]| Bytes::from_static(bytes);
    for (frame, code) in [(frame(b""), "3"), (frame(b"\0\0\0\0\x01"), "3"), (frame(b"\x01\0\0\0\0"), "12")] {
        let reply = send(&mut sender, frame).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::OK, code));
    }
}

#[tokio::test]
async fn nodes_call_each_other_by_grpc_and_count_the_same() {
    let lab = Lab::default();
    let mut script = grpc_call("b");
    script["call"]["requestBytes"] = 1_000.into();
    let _a = lab.node("a", &json!({"script": [script]})).await;
    let _b = lab.node("b", &json!({"responseBytes": 20_000})).await;
    for _ in 0..3 {
        assert_eq!(lab.call("a").await.status, 200);
    }
    lab.fault("b", &json!({"errors": 1.0})).await;
    let failed = lab.call("a").await;
    assert_eq!(failed.status, 500, "{}", failed.body);
    let (near, far) = (lab.counts("a").await, lab.counts("b").await);
    assert_eq!((near.calls["b"].requests, &near.calls["b"].responses), (4, &far.responses));
    assert_eq!((far.requests, &far.callers), (4, &[("a".to_owned(), 4)].into()));
}

#[tokio::test]
async fn a_full_queue_is_unavailable_and_a_service_that_is_down_a_502() {
    let lab = Lab::default();
    let _a = lab.node("a", &json!({"script": [grpc_call("b")]})).await;
    let capacity = json!({"workers": 1, "queue": 0, "serviceTimeMs": 60_000.0, "distribution": "fixed"});
    let _b = lab.node("b", &json!({"capacity": capacity})).await;
    let mut sender = connect(&lab, "b", NODE).await;
    let open = tokio::spawn(async move { send(&mut sender, encode_message(b"")).await.code().to_owned() });
    while lab.counts("b").await.requests == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(lab.call("a").await.status, 503, "UNAVAILABLE");
    open.abort();
    let _ = open.await;
    lab.fault("b", &json!({"down": true})).await;
    assert_eq!(lab.call("a").await.status, 502);
}

#[tokio::test]
async fn http_1_and_grpc_share_the_port() {
    let lab = Lab::default();
    let _service = lab.start("minimal", &[]).await;
    assert_eq!(lab.get("minimal", "/").await.status, 200);
    let mut sender = connect(&lab, "minimal", SERVICE).await;
    assert_eq!(send(&mut sender, encode_message(b"a")).await.code(), "0");
    assert_eq!(lab.get("minimal", "/").await.status, 200);
}
