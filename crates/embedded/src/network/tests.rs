use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meshy_net::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Fabric, PodNetwork, RedirectHandler, RedirectedStream, ServiceEntry, ServicePort};

fn join(fabric: &Arc<Fabric>, namespace: &str, name: &str) -> PodNetwork {
    PodNetwork::join(fabric, namespace, name).expect("a free address")
}

/// Adds a pod that sends its name on each stream to a port.
async fn pod_that_sends_its_name(fabric: &Arc<Fabric>, name: &'static str, port: u16) -> PodNetwork {
    let network = join(fabric, "default", name);
    let mut listener = network.listen(([0, 0, 0, 0], port).into()).await.expect("a free port");
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            let _ = io.write_all(name.as_bytes()).await;
            let _ = io.shutdown().await;
        }
    });
    network
}

async fn read(network: &PodNetwork, to: SocketAddr) -> std::io::Result<String> {
    let mut text = String::new();
    network.connect(to).await?.read_to_string(&mut text).await?;
    Ok(text)
}

fn service(name: &str, last: u8, port: u16, endpoints: Vec<SocketAddr>) -> Arc<ServiceEntry> {
    let ports = vec![ServicePort { port, name: String::new(), endpoints }];
    let cluster_ip = Some(Ipv4Addr::new(10, 96, 0, last));
    Arc::new(ServiceEntry { namespace: "default".into(), name: name.into(), cluster_ip, ports })
}

#[tokio::test]
async fn twenty_services_can_use_the_same_port() {
    let fabric = Fabric::new();
    let client = join(&fabric, "default", "client");
    for last in 10..30 {
        let name: &'static str = format!("web-{last}").leak();
        let pod = pod_that_sends_its_name(&fabric, name, 9090).await;
        fabric.set_service(service(name, last, 9090, vec![(pod.address(), 9090).into()]));
    }
    for last in 10..30 {
        let host = format!("web-{last}.default.svc.cluster.local");
        let found = client.resolve(&host).await.expect("an address");
        assert_eq!(found, [Ipv4Addr::new(10, 96, 0, last)]);
        assert_eq!(read(&client, (found[0], 9090).into()).await.expect("a response"), format!("web-{last}"));
    }
}

#[tokio::test]
async fn short_names_resolve_in_the_namespace_of_the_pod() {
    let fabric = Fabric::new();
    fabric.set_service(service("web", 9, 80, Vec::new()));
    let (same, other) = (join(&fabric, "default", "a"), join(&fabric, "shop", "b"));
    assert!(same.resolve("web").await.is_ok() && other.resolve("web.default").await.is_ok());
    assert_eq!(other.resolve("web").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(same.resolve("www.example.org").await.unwrap_err().kind(), ErrorKind::NotFound);
    fabric.remove_service("default", "web");
    assert_eq!(same.resolve("web").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn unused_ports_are_refused_and_outside_addresses_are_unreachable() {
    let fabric = Fabric::new();
    let pod = pod_that_sends_its_name(&fabric, "web", 80).await;
    let kind = |error: std::io::Error| error.kind();
    let to = |address: [u8; 4], port| SocketAddr::from((address, port));
    let unused_port = SocketAddr::from((pod.address(), 81));
    assert_eq!(kind(read(&pod, unused_port).await.unwrap_err()), ErrorKind::ConnectionRefused);
    assert_eq!(kind(read(&pod, to([127, 0, 0, 1], 81)).await.unwrap_err()), ErrorKind::ConnectionRefused);
    assert_eq!(kind(read(&pod, to([192, 0, 2, 1], 80)).await.unwrap_err()), ErrorKind::HostUnreachable);
    fabric.set_service(service("empty", 7, 80, Vec::new()));
    assert_eq!(kind(read(&pod, to([10, 96, 0, 7], 80)).await.unwrap_err()), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_server_in_the_process_answers_for_a_documentation_network() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let fabric = Fabric::new();
    let pod = join(&fabric, "default", "web");
    for port in [80, 19_090] {
        let mut io = pod.connect(([198, 51, 100, 7], port).into()).await.expect("a connection");
        io.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.expect("a request");
        let mut response = String::new();
        io.read_to_string(&mut response).await.expect("a response");
        assert!(
            response.starts_with("HTTP/1.1 200") && response.contains(&format!("198.51.100.7:{port}")),
            "{response}"
        );
    }
    let other = pod.connect(([198, 51, 101, 7], 80).into()).await.err().expect("an error");
    assert_eq!(other.kind(), ErrorKind::HostUnreachable);
}

#[tokio::test]
async fn a_dropped_listener_frees_its_port() {
    let fabric = Fabric::new();
    let pod = join(&fabric, "default", "web");
    let on = SocketAddr::from(([0, 0, 0, 0], 9090));
    let first = pod.listen(on).await.expect("a free port");
    assert_eq!(first.local_addr(), (pod.address(), 9090).into());
    assert_eq!(pod.listen(on).await.err().expect("an error").kind(), ErrorKind::AddrInUse);
    drop(first);
    assert!(pod.listen(on).await.is_ok());
}

#[tokio::test]
async fn only_the_pod_and_a_port_forward_reach_a_loopback_listener() {
    let fabric = Fabric::new();
    let pod = join(&fabric, "default", "web");
    let mut listener = pod.listen(([127, 0, 0, 1], 9091).into()).await.expect("a free port");
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let other = join(&fabric, "default", "other");
    let from_other_pod = other.connect((pod.address(), 9091).into()).await;
    assert_eq!(from_other_pod.err().expect("an error").kind(), ErrorKind::ConnectionRefused);
    let forward = PodNetwork::inside(&fabric, pod.address());
    assert!(forward.connect(([127, 0, 0, 1], 9091).into()).await.is_ok());
}

#[tokio::test]
async fn connections_of_a_meshed_pod_are_redirected_to_its_proxy() {
    let fabric = Fabric::new();
    let server = pod_that_sends_its_name(&fabric, "server", 9090).await;
    let client = join(&fabric, "default", "client");
    let redirected: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
    let handler = |via: PodNetwork| -> RedirectHandler {
        let redirected = redirected.clone();
        Arc::new(move |stream: RedirectedStream| {
            redirected.lock().expect("no panic").push(stream.original);
            let via = via.clone();
            tokio::spawn(async move {
                let RedirectedStream { mut io, original, .. } = stream;
                let mut upstream = via.connect(original).await.expect("a connection");
                let _ = tokio::io::copy_bidirectional(&mut io, &mut upstream).await;
            });
        })
    };
    client.redirect(None, Some(handler(client.direct())));
    server.redirect(Some(handler(server.direct())), None);
    let to = SocketAddr::from((server.address(), 9090));
    let response = timeout(Duration::from_secs(5), read_after_shutdown(&client, to)).await;
    assert_eq!(response.expect("a response in time"), "server");
    assert_eq!(*redirected.lock().expect("no panic"), [to, to], "first outbound, then inbound");
}

/// Like [`read`], but closes the writing side first: a copy ends only when both sides are closed.
async fn read_after_shutdown(network: &PodNetwork, to: SocketAddr) -> String {
    let mut io = network.connect(to).await.expect("a connection");
    io.shutdown().await.expect("a shutdown");
    let mut text = String::new();
    io.read_to_string(&mut text).await.expect("a response");
    text
}
