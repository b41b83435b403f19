//! Who is let in over the socket, and the way through it into a pod.

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
use meshy_apiserver::{ApiError, Authority, LogOptions, Options, PodBackend, Served, Server, kubeconfig};
use meshy_net::{BoxFuture, BoxIo};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A server on a socket, and the way in with its token.
struct Door {
    served: Served,
    authority: Authority,
    config: kube::Config,
}

impl Door {
    async fn open(options: Options) -> Self {
        let server = Server::new(options);
        let authority = Authority::new().expect("an authority");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let served = server.serve(listener, &authority).expect("serves");
        let document = kubeconfig("test", &served.url(), &authority, server.token());
        let file = kube::config::Kubeconfig::from_yaml(&document.to_string()).expect("a kubeconfig");
        let mut config =
            kube::Config::from_custom_kubeconfig(file, &Default::default()).await.expect("a context");
        // A 503 is asked for here, not to be tried again.
        config.default_retry = false;
        Self { served, authority, config }
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
    let answer = client.send(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    let (head, body) = answer.into_parts();
    (head.status, body.collect().await.expect("a body").to_bytes())
}

#[tokio::test]
async fn a_certificate_of_the_servers_authority_opens_and_a_foreign_one_does_not() {
    let door = Door::open(Options::default()).await;
    let with = |authority: &Authority| {
        let pair = authority.client("somebody").expect("a certificate");
        let mut config = door.without_token();
        config.auth_info.client_certificate_data = Some(BASE64_STANDARD.encode(pair.certificate));
        config.auth_info.client_key_data = Some(BASE64_STANDARD.encode(pair.key).into());
        config
    };
    let (status, _) = get(&with(&door.authority), MAPS, None).await;
    assert_eq!(status, 200);
    let foreign = with(&Authority::new().expect("an authority"));
    let client = kube::Client::try_from(foreign).expect("a client");
    let request = Request::get(MAPS).body(Body::empty()).expect("a request");
    assert!(client.send(request).await.is_err(), "the handshake ends it");
}

#[tokio::test]
async fn without_a_token_only_health_and_version_are_open() {
    let door = Door::open(Options::default()).await;
    let stranger = door.without_token();
    for open in ["/readyz", "/healthz", "/livez", "/version"] {
        assert_eq!(get(&stranger, open, None).await.0, 200, "{open}");
    }
    for shut in [MAPS, "/api", "/apis", "/openapi/v3", "/nonsense"] {
        assert_eq!(get(&stranger, shut, None).await.0, 401, "{shut}");
    }
    let mut guessing = stranger;
    guessing.auth_info.token = Some("guessed".to_owned().into());
    assert_eq!(get(&guessing, MAPS, None).await.0, 401);
}

#[tokio::test]
async fn a_foreign_host_is_refused_even_with_the_token() {
    let door = Door::open(Options::default()).await;
    let port = door.served.address().port();
    for name in ["127.0.0.1", "localhost", "[::1]", "kubernetes.default.svc"] {
        let host = format!("{name}:{port}");
        assert_eq!(get(&door.config, MAPS, Some(&host)).await.0, 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:6443", "10.0.0.1"] {
        let (status, body) = get(&door.config, MAPS, Some(host)).await;
        assert_eq!(status, 403, "{host}");
        assert!(String::from_utf8_lossy(&body).contains("Host header"), "{host}");
    }
}

#[tokio::test]
async fn no_page_of_another_origin_is_let_in() {
    let door = Door::open(Options::default()).await;
    let client = kube::Client::try_from(door.config.clone()).expect("a client");
    for method in ["GET", "OPTIONS"] {
        let request = Request::builder().method(method).uri(MAPS).header("origin", "https://evil.example");
        let request = request.header("access-control-request-method", "DELETE");
        let answer = client.send(request.body(Body::empty()).expect("a request")).await.expect("an answer");
        let allows = answer.headers().keys().find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(allows, None, "{method}");
        assert_eq!(answer.status().is_success(), method == "GET");
    }
}

/// Pods that answer with what they were asked; none of them listens on port 1.
struct Mirror;

async fn mirror(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let seen = json!({
        "method": head.method.as_str(), "uri": head.uri.to_string(), "host": header("host"),
        "authorization": header("authorization"), "body": String::from_utf8_lossy(&body),
    });
    let answer = Response::builder().status(418).body(Full::new(Bytes::from(seen.to_string())));
    Ok(answer.expect("an answer"))
}

impl PodBackend for Mirror {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: LogOptions,
    ) -> BoxFuture<'a, meshy_apiserver::Result<futures::stream::BoxStream<'static, std::io::Result<Bytes>>>>
    {
        Box::pin(async { Err(ApiError::bad_request("no logs here")) })
    }

    fn connect<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        port: u16,
    ) -> BoxFuture<'a, meshy_apiserver::Result<BoxIo>> {
        Box::pin(async move {
            if port == 1 {
                return Err(ApiError::new(503, "ServiceUnavailable", "nothing listens there"));
            }
            let (near, far) = tokio::io::duplex(4096);
            tokio::spawn(async move {
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server.serve_connection(TokioIo::new(far), service_fn(mirror)).await;
            });
            Ok(Box::new(near) as BoxIo)
        })
    }
}

#[tokio::test]
async fn a_request_goes_through_the_proxy_path_into_the_pod_without_the_token() {
    let door = Door::open(Options { pods: Some(Arc::new(Mirror)), ..Options::default() }).await;
    let client = kube::Client::try_from(door.config.clone()).expect("a client");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "c", "image": "i", "ports": [{"containerPort": 9090}]}]}});
    let pods = kube::Api::<k8s_openapi::api::core::v1::Pod>::default_namespaced(client.clone());
    let pod = serde_json::from_value(pod).expect("a pod");
    pods.create(&Default::default(), &pod).await.expect("creates");
    let ask = async |method: &str, path: &str, body: &'static str| {
        let path = format!("/api/v1/namespaces/default/pods/{path}");
        let request = Request::builder().method(method).uri(path).body(Body::from(body.as_bytes().to_vec()));
        let answer = client.send(request.expect("a request")).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status.as_u16(), serde_json::from_slice::<Value>(&body).expect("JSON"))
    };
    let (status, seen) = ask("POST", "p:9091/proxy/fault/x?quota=3&b=%20", "hello").await;
    assert_eq!(status, 418, "the pod's own status");
    assert_eq!(
        seen,
        json!({"method": "POST", "uri": "/fault/x?quota=3&b=%20", "host": "p:9091", "authorization": null, "body": "hello"})
    );
    let (_, seen) = ask("GET", "p/proxy/", "").await;
    assert_eq!(seen["host"], "p:9090", "its first port");
    assert_eq!(ask("GET", "p:1/proxy/", "").await.0, 503);
    assert_eq!(ask("GET", "q:9091/proxy/", "").await.0, 404);
    assert_eq!(ask("GET", "p:many/proxy/", "").await.0, 400);
    assert_eq!(ask("GET", "https:p:9091/proxy/", "").await.0, 400);
}
