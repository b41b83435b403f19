//! The subresource `services/NAME:PORT/proxy`.

use std::sync::Arc;

use futures::stream::BoxStream;
use meshy_apiserver::{ApiError, LogOptions, Options, PodBackend, Server};
use meshy_net::{BoxFuture, BoxIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::requests::exchange;

/// Pods that respond with their name and port.
struct NamedPods;

impl PodBackend for NamedPods {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: LogOptions,
    ) -> BoxFuture<'a, meshy_apiserver::Result<BoxStream<'static, std::io::Result<bytes::Bytes>>>> {
        Box::pin(async { Err(ApiError::bad_request("no logs")) })
    }

    fn connect<'a>(
        &'a self,
        _: &'a str,
        pod: &'a str,
        port: u16,
    ) -> BoxFuture<'a, meshy_apiserver::Result<BoxIo>> {
        Box::pin(async move {
            let (near, mut far) = tokio::io::duplex(4096);
            let body = format!("\"{pod}:{port}\"");
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = far.read(&mut head).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = far.write_all(head.as_bytes()).await;
            });
            Ok(Box::new(near) as BoxIo)
        })
    }
}

#[tokio::test]
async fn request_to_a_service_reaches_the_named_port_of_a_pod() {
    let server = Server::new(Options { pods: Some(Arc::new(NamedPods)), ..Options::default() });
    let send = async |method: &str, path: &str, body: Value| {
        let path = format!("/api/v1/namespaces/default/{path}");
        let (status, _, body) = exchange(&server, method, &path, "", &body).await;
        (status, body)
    };
    let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [
        {"name": "http", "port": 80, "targetPort": 9090}, {"name": "admin", "port": 81, "targetPort": 9091}]}});
    assert_eq!(send("POST", "services", service).await.0, 201);
    assert_eq!(send("GET", "services/web:http/proxy/", Value::Null).await.0, 503, "no endpoints");
    let endpoints = json!({"metadata": {"name": "web"}, "subsets": [{
        "addresses": [{"ip": "10.244.0.5", "targetRef": {"kind": "Pod", "name": "web-1"}}],
        "notReadyAddresses": [{"ip": "10.244.0.6", "targetRef": {"kind": "Pod", "name": "web-2"}}],
        "ports": [{"name": "http", "port": 9090}, {"name": "admin", "port": 9091}]}]});
    assert_eq!(send("POST", "endpoints", endpoints).await.0, 201);
    for (name, expected) in [
        ("web:http", "web-1:9090"),
        ("web:80", "web-1:9090"),
        ("web:81", "web-1:9091"),
        ("http:web:admin", "web-1:9091"),
    ] {
        assert_eq!(
            send("GET", &format!("services/{name}/proxy/x"), Value::Null).await,
            (200, expected.into())
        );
    }
    for (name, status) in
        [("web", 503), ("web:other", 503), ("web:82", 503), ("absent:80", 404), ("https:web:80", 400)]
    {
        assert_eq!(send("GET", &format!("services/{name}/proxy/"), Value::Null).await.0, status, "{name}");
    }
}
