//! Access over the socket: authentication, the Host header, other origins, and the proxy to pods.

use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use meshy_apiserver::{
    ApiError, CertificateAuthority, LogOptions, Options, PodBackend, RunningServer, Server, kubeconfig,
};
use meshy_net::{BoxFuture, BoxIo};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A server on a socket and the client configuration with its token.
struct TestServer {
    running: RunningServer,
    authority: CertificateAuthority,
    config: kube::Config,
}

impl TestServer {
    async fn start(options: Options) -> Self {
        let server = Server::new(options);
        let authority = CertificateAuthority::new().expect("an authority");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let running = server.serve(listener, &authority).expect("serves");
        let document = kubeconfig("test", &running.url(), &authority, server.token());
        let file = kube::config::Kubeconfig::from_yaml(&document.to_string()).expect("a kubeconfig");
        let mut config =
            kube::Config::from_custom_kubeconfig(file, &Default::default()).await.expect("a context");
        // The tests expect status 503, so it must not be retried.
        config.default_retry = false;
        Self { running, authority, config }
    }

    fn without_token(&self) -> kube::Config {
        let mut config = self.config.clone();
        config.auth_info.token = None;
        config
    }
}

async fn get(config: &kube::Config, path: &str, host: Option<&str>) -> (StatusCode, Bytes) {
    let mut request = Request::get(path);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let client = kube::Client::try_from(config.clone()).expect("a client");
    let response = client.send(request.body(Body::empty()).expect("a request")).await.expect("a response");
    let (head, body) = response.into_parts();
    (head.status, body.collect().await.expect("a body").to_bytes())
}

#[tokio::test]
async fn client_certificate_must_be_signed_by_the_authority_of_the_server() {
    let server = TestServer::start(Options::default()).await;
    let config_with_certificate = |authority: &CertificateAuthority| {
        let signed = authority.client("user").expect("a certificate");
        let mut config = server.without_token();
        config.auth_info.client_certificate_data = Some(BASE64_STANDARD.encode(signed.certificate));
        config.auth_info.client_key_data = Some(BASE64_STANDARD.encode(signed.key).into());
        config
    };
    let (status, _) = get(&config_with_certificate(&server.authority), MAPS, None).await;
    assert_eq!(status, 200);
    let foreign = config_with_certificate(&CertificateAuthority::new().expect("an authority"));
    let client = kube::Client::try_from(foreign).expect("a client");
    let request = Request::get(MAPS).body(Body::empty()).expect("a request");
    assert!(client.send(request).await.is_err(), "the TLS handshake must fail");
}

#[tokio::test]
async fn only_health_and_version_need_no_authentication() {
    let server = TestServer::start(Options::default()).await;
    let anonymous = server.without_token();
    for path in ["/readyz", "/healthz", "/livez", "/version"] {
        assert_eq!(get(&anonymous, path, None).await.0, 200, "{path}");
    }
    for path in [MAPS, "/api", "/apis", "/openapi/v3", "/nonsense"] {
        assert_eq!(get(&anonymous, path, None).await.0, 401, "{path}");
    }
    let mut wrong_token = anonymous;
    wrong_token.auth_info.token = Some("wrong".to_owned().into());
    assert_eq!(get(&wrong_token, MAPS, None).await.0, 401);
}

#[tokio::test]
async fn foreign_host_header_is_rejected_even_with_a_valid_token() {
    let server = TestServer::start(Options::default()).await;
    let port = server.running.address().port();
    for name in ["127.0.0.1", "localhost", "[::1]", "kubernetes.default.svc"] {
        let host = format!("{name}:{port}");
        assert_eq!(get(&server.config, MAPS, Some(&host)).await.0, 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:6443", "10.0.0.1"] {
        let (status, body) = get(&server.config, MAPS, Some(host)).await;
        assert_eq!(status, 403, "{host}");
        assert!(String::from_utf8_lossy(&body).contains("Host header"), "{host}");
    }
}

#[tokio::test]
async fn cors_is_not_enabled_for_other_origins() {
    let server = TestServer::start(Options::default()).await;
    let client = kube::Client::try_from(server.config.clone()).expect("a client");
    for method in ["GET", "OPTIONS"] {
        let request = Request::builder().method(method).uri(MAPS).header("origin", "https://evil.example");
        let request = request.header("access-control-request-method", "DELETE");
        let response =
            client.send(request.body(Body::empty()).expect("a request")).await.expect("a response");
        let cors_header = response.headers().keys().find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(cors_header, None, "{method}");
        assert_eq!(response.status().is_success(), method == "GET");
    }
}

/// Pods that return each request as JSON in the response. Port 1 is closed.
struct EchoPods;

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let received = json!({
        "method": head.method.as_str(), "uri": head.uri.to_string(), "host": header("host"),
        "authorization": header("authorization"), "body": String::from_utf8_lossy(&body),
    });
    let response = Response::builder().status(418).body(Full::new(Bytes::from(received.to_string())));
    Ok(response.expect("a response"))
}

impl PodBackend for EchoPods {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: LogOptions,
    ) -> BoxFuture<'a, meshy_apiserver::Result<futures::stream::BoxStream<'static, std::io::Result<Bytes>>>>
    {
        Box::pin(async { Err(ApiError::bad_request("no logs")) })
    }

    fn connect<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        port: u16,
    ) -> BoxFuture<'a, meshy_apiserver::Result<BoxIo>> {
        Box::pin(async move {
            if port == 1 {
                return Err(ApiError::new(503, "ServiceUnavailable", "connection refused"));
            }
            let (near, far) = tokio::io::duplex(4096);
            tokio::spawn(async move {
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server.serve_connection(TokioIo::new(far), service_fn(echo)).await;
            });
            Ok(Box::new(near) as BoxIo)
        })
    }
}

#[tokio::test]
async fn proxy_forwards_a_request_to_the_pod_without_the_token() {
    let server = TestServer::start(Options { pods: Some(Arc::new(EchoPods)), ..Options::default() }).await;
    let client = kube::Client::try_from(server.config.clone()).expect("a client");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "c", "image": "i", "ports": [{"containerPort": 9090}]}]}});
    let pods = kube::Api::<k8s_openapi::api::core::v1::Pod>::default_namespaced(client.clone());
    let pod = serde_json::from_value(pod).expect("a pod");
    pods.create(&Default::default(), &pod).await.expect("creates");
    let send = async |method: &str, path: &str, body: &'static str| {
        let path = format!("/api/v1/namespaces/default/pods/{path}");
        let request = Request::builder().method(method).uri(path).body(Body::from(body.as_bytes().to_vec()));
        let response = client.send(request.expect("a request")).await.expect("a response");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status.as_u16(), serde_json::from_slice::<Value>(&body).expect("JSON"))
    };
    let (status, received) = send("POST", "p:9091/proxy/fault/x?quota=3&b=%20", "hello").await;
    assert_eq!(status, 418, "the status of the pod");
    assert_eq!(
        received,
        json!({"method": "POST", "uri": "/fault/x?quota=3&b=%20", "host": "p:9091", "authorization": null, "body": "hello"})
    );
    let (_, received) = send("GET", "p/proxy/", "").await;
    assert_eq!(received["host"], "p:9090", "the first container port");
    assert_eq!(send("GET", "p:1/proxy/", "").await.0, 503);
    assert_eq!(send("GET", "q:9091/proxy/", "").await.0, 404);
    assert_eq!(send("GET", "p:many/proxy/", "").await.0, 400);
    assert_eq!(send("GET", "https:p:9091/proxy/", "").await.0, 400);
}
