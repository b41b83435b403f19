//! Pods: logs and port-forward over HTTPS, deletion.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, PostParams};
use meshy_apiserver::{
    CertificateAuthority, DeleteOptions, LogOptions, Options, PodBackend, Server, WriteOptions, kubeconfig,
};
use meshy_net::{BoxFuture, BoxIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::requests::exchange;

/// Timeout that is also sufficient on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(20);

struct EchoPods;

impl PodBackend for EchoPods {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        pod: &'a str,
        _: LogOptions,
    ) -> BoxFuture<
        'a,
        meshy_apiserver::Result<futures::stream::BoxStream<'static, std::io::Result<bytes::Bytes>>>,
    > {
        let line = bytes::Bytes::from(format!("log of {pod}\n"));
        Box::pin(async move { Ok(futures::stream::iter([Ok(line)]).boxed()) })
    }

    fn connect<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: u16,
    ) -> BoxFuture<'a, meshy_apiserver::Result<BoxIo>> {
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(far);
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
            Ok(Box::new(near) as BoxIo)
        })
    }
}

#[tokio::test]
async fn logs_and_port_forward_work_over_https() {
    let server = Server::new(Options { pods: Some(Arc::new(EchoPods)), ..Options::default() });
    let authority = CertificateAuthority::new().expect("an authority");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let running = server.serve(listener, &authority).expect("serves");
    let document = kubeconfig("test", &running.url(), &authority, server.token());
    let config = kube::config::Kubeconfig::from_yaml(&document.to_string()).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.expect("a context");
    let pods: Api<Pod> = Api::default_namespaced(kube::Client::try_from(config.clone()).expect("a client"));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).expect("a pod")).await.expect("creates");
    assert_eq!(pods.logs("p", &Default::default()).await.expect("a log"), "log of p\n");
    let mut forwarder = pods.portforward("p", &[9090]).await.expect("forwards");
    let mut stream = forwarder.take_stream(9090).expect("a stream");
    stream.write_all(b"hello").await.expect("writes");
    let mut received = [0; 5];
    tokio::time::timeout(TIMEOUT, stream.read_exact(&mut received)).await.expect("in time").expect("reads");
    assert_eq!(&received, b"hello");

    let mut anonymous = config;
    anonymous.auth_info.token = None;
    let pods: Api<Pod> = Api::default_namespaced(kube::Client::try_from(anonymous).expect("a client"));
    let error = pods.list(&ListParams::default()).await.expect_err("unauthorized");
    assert!(matches!(error, kube::Error::Api(status) if status.code == 401));
}

#[tokio::test]
async fn a_client_in_this_process_forwards_a_port_without_a_socket() {
    let server = Server::new(Options { pods: Some(Arc::new(EchoPods)), ..Options::default() });
    let pods: Api<Pod> = Api::default_namespaced(kube::Client::new(server.service(), "default"));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).expect("a pod")).await.expect("creates");
    let mut forwarder = pods.portforward("p", &[9090]).await.expect("forwards");
    let mut stream = forwarder.take_stream(9090).expect("a stream");
    // In several pieces, less than what stays in buffers while no client reads.
    let sent = vec![7; 8_000];
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let mut received = vec![0; sent.len()];
    let both = async { tokio::join!(writer.write_all(&sent), reader.read_exact(&mut received)) };
    let (written, read) = tokio::time::timeout(TIMEOUT, both).await.expect("in time");
    written.expect("writes");
    read.expect("reads");
    assert_eq!(received, sent);
    let absent = pods.portforward("absent", &[9090]).await.err().expect("there is no such pod");
    assert!(absent.to_string().contains("404") || absent.to_string().contains("not found"), "{absent}");
}

/// What each side of [`FullDuplexPods`] sends.
const LARGE: usize = 8 << 20;

/// Pods that write and read at the same time, each side without waiting for the other one; what they have read to its end goes to the sender.
struct FullDuplexPods(tokio::sync::mpsc::UnboundedSender<Vec<u8>>);

impl PodBackend for FullDuplexPods {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        pod: &'a str,
        _: LogOptions,
    ) -> BoxFuture<
        'a,
        meshy_apiserver::Result<futures::stream::BoxStream<'static, std::io::Result<bytes::Bytes>>>,
    > {
        Box::pin(async move { Err(meshy_apiserver::ApiError::not_found("pods", pod)) })
    }

    fn connect<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: u16,
    ) -> BoxFuture<'a, meshy_apiserver::Result<BoxIo>> {
        let received = self.0.clone();
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(1024);
            let (mut reader, mut writer) = tokio::io::split(far);
            tokio::spawn(async move { writer.write_all(&pattern(3)).await });
            tokio::spawn(async move {
                let mut all = Vec::new();
                let read = reader.read_to_end(&mut all).await;
                received.send(read.map(|_| all).unwrap_or_default())
            });
            Ok(Box::new(near) as BoxIo)
        })
    }
}

/// Bytes that show where one is missing or in another place.
fn pattern(seed: u32) -> Vec<u8> {
    (0..LARGE as u32)
        .map(|index| (index.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24) as u8)
        .collect()
}

#[tokio::test]
async fn a_port_forward_carries_much_data_in_both_directions_at_once() {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let pods = Some(Arc::new(FullDuplexPods(sender)) as Arc<dyn PodBackend>);
    let server = Server::new(Options { pods, ..Options::default() });
    let authority = CertificateAuthority::new().expect("an authority");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let running = server.serve(listener, &authority).expect("serves");
    let document = kubeconfig("test", &running.url(), &authority, server.token());
    let config = kube::config::Kubeconfig::from_yaml(&document.to_string()).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.expect("a context");
    let over_https = kube::Client::try_from(config).expect("a client");
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(exchange(&server, "POST", "/api/v1/namespaces/default/pods", "", &pod).await.0, 201);
    for client in [over_https, kube::Client::new(server.service(), "default")] {
        let pods: Api<Pod> = Api::default_namespaced(client);
        let mut forwarder = pods.portforward("p", &[9090]).await.expect("forwards");
        let stream = forwarder.take_stream(9090).expect("a stream");
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (sent, mut response) = (pattern(7), vec![0; LARGE]);
        let both = async {
            let (written, read) = tokio::join!(writer.write_all(&sent), reader.read_exact(&mut response));
            written.expect("writes");
            read.expect("reads");
            writer.shutdown().await.expect("ends what it sends");
            received.recv().await.expect("the pod has read to the end")
        };
        let request = tokio::time::timeout(3 * TIMEOUT, both).await.expect("both directions go on");
        assert!(request == sent, "the pod read other bytes");
        assert!(response == pattern(3), "the client read other bytes");
    }
}

#[tokio::test]
async fn scheduled_pod_gets_its_grace_period() {
    let local = Server::new(Options::default()).client();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    local.create("pods", "default", pod, &WriteOptions::default()).await.expect("creates");
    let deletion = local.delete("pods", "default", "p", &DeleteOptions::default()).await.expect("deletes");
    assert!(!deletion.removed && deletion.object["metadata"]["deletionGracePeriodSeconds"] == 30);
    let immediately = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    assert!(local.delete("pods", "default", "p", &immediately).await.expect("deletes").removed);
}

#[tokio::test]
async fn eviction_obeys_its_delete_options() {
    let server = Server::new(Options::default());
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(exchange(&server, "POST", pods, "", &pod).await.0, 201);
    let evict = async |options: Value| {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}, "deleteOptions": options});
        exchange(&server, "POST", &format!("{pods}/p/eviction"), "", &eviction).await.0
    };
    let found = async || exchange(&server, "GET", &format!("{pods}/p"), "", &Value::Null).await;
    assert_eq!(evict(json!({"dryRun": ["All"]})).await, 201);
    assert_eq!(found().await.2["metadata"]["deletionTimestamp"], Value::Null, "a dry run changes nothing");
    assert_eq!(evict(json!({"preconditions": {"uid": "other"}})).await, 409);
    assert_eq!(evict(json!({"gracePeriodSeconds": 7})).await, 201);
    assert_eq!(found().await.2["metadata"]["deletionGracePeriodSeconds"], 7);
    assert_eq!(evict(json!({"gracePeriodSeconds": 0})).await, 201);
    assert_eq!(found().await.0, 404);
}

#[tokio::test]
async fn actions_that_are_not_implemented_name_their_resource() {
    let server = Server::new(Options::default());
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let (status, _, body) = exchange(&server, "POST", path, "", &json!({})).await;
    assert_eq!(status, 501);
    assert!(
        body["message"].as_str().unwrap_or_default().ends_with("does not serve serviceaccounts/token"),
        "{body}"
    );
}

#[tokio::test]
async fn port_forward_without_a_protocol_is_accepted() {
    let server = Server::new(Options { pods: Some(Arc::new(EchoPods)), ..Options::default() });
    let authority = CertificateAuthority::new().expect("an authority");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let running = server.serve(listener, &authority).expect("serves");
    let document = kubeconfig("test", &running.url(), &authority, server.token());
    let config = kube::config::Kubeconfig::from_yaml(&document.to_string()).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.expect("a context");
    let client = kube::Client::try_from(config).expect("a client");
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(exchange(&server, "POST", "/api/v1/namespaces/default/pods", "", &pod).await.0, 201);
    let status = async |protocol: Option<&str>| {
        let mut request = http::Request::get("/api/v1/namespaces/default/pods/p/portforward?ports=9090")
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        if let Some(protocol) = protocol {
            request = request.header("sec-websocket-protocol", protocol);
        }
        let request = request.body(kube::client::Body::empty()).expect("a request");
        let response = client.send(request).await.expect("a response");
        let chosen = response.headers().get("sec-websocket-protocol");
        (response.status().as_u16(), chosen.and_then(|value| value.to_str().ok()).map(str::to_owned))
    };
    assert_eq!(status(None).await, (101, None));
    assert_eq!(status(Some("v4.channel.k8s.io")).await, (101, Some("v4.channel.k8s.io".to_owned())));
    assert_eq!(status(Some("v5.channel.k8s.io")).await.0, 400);
}
