//! The OpenAPI 2 document in the formats that clients accept.

use http_body_util::BodyExt as _;
use meshy_apiserver::{Options, Server};

/// What kubectl and client-go send.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

#[tokio::test]
async fn openapi_2_is_served_in_protobuf_and_json() {
    let server = Server::new(Options::default());
    for (accept, content_type, start) in [
        (PROTOBUF, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", &b"\x0a\x032.0"[..]),
        ("application/json", "application/json", b"{"),
        ("*/*", "application/json", b"{"),
        ("", "application/json", b"{"),
    ] {
        let request = http::Request::get("/openapi/v2").header("accept", accept);
        let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).expect("a request");
        let response = tower::ServiceExt::oneshot(server.service(), request).await.expect("a response");
        assert_eq!(response.status(), 200, "{accept}");
        assert_eq!(response.headers()["content-type"], content_type, "{accept}");
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(bytes.starts_with(start), "{accept}");
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            text.contains("io.k8s.api.core.v1.ConfigMap") && text.contains("fieldValidation"),
            "{accept}"
        );
    }
}
