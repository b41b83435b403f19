//! Single requests and their status.

use http::HeaderMap;
use http_body_util::BodyExt as _;
use meshy_apiserver::{DeleteOptions, Options, Server, WriteOptions};
use serde_json::{Value, json};

/// Sends a request with a JSON body (none for null) and returns status, headers and body of the response.
pub(crate) async fn exchange(
    server: &Server,
    method: &str,
    path: &str,
    accept: &str,
    body: &Value,
) -> (u16, HeaderMap, Value) {
    let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = http::Request::builder().method(method).uri(path);
    let request = request.header("content-type", content).header("accept", accept);
    let request = request.body(http_body_util::Full::new(bytes::Bytes::from(bytes))).expect("a request");
    let response = tower::ServiceExt::oneshot(server.service(), request).await.expect("a response");
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (head.status.as_u16(), head.headers, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Sends a request and returns the status of the response.
pub(crate) async fn send(server: &Server, method: &str, path: &str, content: &str, body: Vec<u8>) -> u16 {
    let request = http::Request::builder().method(method).uri(path).header("content-type", content);
    let request = request.body(http_body_util::Full::new(bytes::Bytes::from(body))).expect("a request");
    tower::ServiceExt::oneshot(server.service(), request).await.expect("a response").status().as_u16()
}

#[tokio::test]
async fn invalid_requests_get_the_right_status() {
    let server = Server::new(Options::default());
    let path = "/api/v1/namespaces/default/configmaps";
    let json = "application/json";
    assert_eq!(send(&server, "POST", path, json, vec![b' '; 3 * 1024 * 1024 + 1]).await, 413);
    assert_eq!(send(&server, "POST", path, json, vec![b'['; 100_000]).await, 400);
    assert_eq!(send(&server, "POST", path, json, vec![0xff, 0xfe]).await, 400);
    assert_eq!(send(&server, "POST", path, "text/html", b"{}".to_vec()).await, 415);
    assert_eq!(
        send(
            &server,
            "PATCH",
            &format!("{path}/a?fieldManager=x"),
            "application/apply-patch+yaml",
            vec![0xff]
        )
        .await,
        400
    );
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &(1..30)
            .map(|n| {
                format!(
                    "a{n}: &a{n} [{}]\n",
                    vec![format!("*a{}", if n == 1 { String::new() } else { (n - 1).to_string() }); 9]
                        .join(",")
                )
            })
            .collect::<String>();
    assert_eq!(
        send(
            &server,
            "PATCH",
            &format!("{path}/a?fieldManager=x"),
            "application/apply-patch+yaml",
            bomb.into_bytes()
        )
        .await,
        400
    );
    assert_eq!(
        send(&server, "POST", path, "application/vnd.kubernetes.protobuf", b"k8s\0\x12\xff\xff".to_vec())
            .await,
        400
    );
    assert_eq!(send(&server, "GET", "/api/v1/namespaces/%zz/configmaps", json, Vec::new()).await, 400);
    assert_eq!(
        send(&server, "GET", "/api/v1/namespaces/default/configmaps/..%2f..", json, Vec::new()).await,
        404
    );
    assert_eq!(send(&server, "BREW", path, json, Vec::new()).await, 405);
}

#[tokio::test]
async fn system_namespaces_cannot_be_deleted() {
    let local = Server::new(Options::default()).client();
    for name in ["default", "kube-system", "kube-public"] {
        let result = local.delete("namespaces", "", name, &DeleteOptions::default()).await;
        assert_eq!(result.expect_err("protected").code, 403, "{name}");
    }
}

#[tokio::test]
async fn rejected_update_of_a_service_keeps_its_node_port() {
    let client = Server::new(Options::default()).client();
    let service = |name: &str, node_port: u16| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": node_port}]}})
    };
    let options = WriteOptions::default();
    client.create("services", "default", service("a", 30100), &options).await.expect("creates");
    let mut invalid = service("a", 30200);
    invalid["spec"]["clusterIP"] = "10.96.9.9".into();
    let error = client.update("services", invalid, &options).await.expect_err("the cluster IP is immutable");
    assert_eq!(error.code, 422);
    let error = client.create("services", "default", service("b", 30100), &options).await;
    assert_eq!(error.expect_err("the port is still allocated").code, 422);
    client.create("services", "default", service("b", 30200), &options).await.expect("the port is free");
}
