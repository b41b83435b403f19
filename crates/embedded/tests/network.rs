//! The network between pods: addresses and names that exist only inside the process.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use meshy_embedded::network::{Fabric, PodNetwork, Redirect, Redirected, ServiceEntry, ServicePort};
use meshy_net::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A pod that answers each stream on a port with its own name.
async fn named(fabric: &Arc<Fabric>, name: &'static str, port: u16) -> PodNetwork {
    let network = fabric.join("default", name).expect("a place");
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
async fn twenty_services_on_one_port_do_not_clash() {
    let fabric = Fabric::new();
    let client = fabric.join("default", "client").expect("a place");
    for last in 10..30 {
        let name: &'static str = format!("web-{last}").leak();
        let pod = named(&fabric, name, 9090).await;
        fabric.set_service(service(name, last, 9090, vec![(pod.address(), 9090).into()]));
    }
    for last in 10..30 {
        let host = format!("web-{last}.default.svc.cluster.local");
        let found = client.resolve(&host).await.expect("known");
        assert_eq!(found, [Ipv4Addr::new(10, 96, 0, last)]);
        assert_eq!(read(&client, (found[0], 9090).into()).await.expect("answered"), format!("web-{last}"));
    }
}

#[tokio::test]
async fn names_are_those_of_the_pods_own_namespace_first() {
    let fabric = Fabric::new();
    fabric.set_service(service("web", 9, 80, Vec::new()));
    let (own, foreign) =
        (fabric.join("default", "a").expect("a place"), fabric.join("shop", "b").expect("a place"));
    assert!(own.resolve("web").await.is_ok() && foreign.resolve("web.default").await.is_ok());
    assert_eq!(foreign.resolve("web").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(own.resolve("www.example.org").await.unwrap_err().kind(), ErrorKind::NotFound);
    fabric.remove_service("default", "web");
    assert_eq!(own.resolve("web").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_nobody_serves_is_refused_and_the_world_is_out_of_reach() {
    let fabric = Fabric::new();
    let pod = named(&fabric, "web", 80).await;
    let kind = |error: std::io::Error| error.kind();
    let to = |address: [u8; 4], port| SocketAddr::from((address, port));
    let own = SocketAddr::from((pod.address(), 81));
    assert_eq!(kind(read(&pod, own).await.unwrap_err()), ErrorKind::ConnectionRefused);
    assert_eq!(kind(read(&pod, to([127, 0, 0, 1], 81)).await.unwrap_err()), ErrorKind::ConnectionRefused);
    assert_eq!(kind(read(&pod, to([192, 0, 2, 1], 80)).await.unwrap_err()), ErrorKind::HostUnreachable);
    fabric.set_service(service("empty", 7, 80, Vec::new()));
    assert_eq!(kind(read(&pod, to([10, 96, 0, 7], 80)).await.unwrap_err()), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_port_is_free_again_when_its_listener_has_gone() {
    let fabric = Fabric::new();
    let pod = fabric.join("default", "web").expect("a place");
    let on = SocketAddr::from(([0, 0, 0, 0], 9090));
    let first = pod.listen(on).await.expect("free");
    assert_eq!(first.local_addr(), (pod.address(), 9090).into());
    assert_eq!(pod.listen(on).await.err().expect("taken").kind(), ErrorKind::AddrInUse);
    drop(first);
    assert!(pod.listen(on).await.is_ok());
}

#[tokio::test]
async fn loopback_is_the_pods_own_and_a_port_forward_enters_it() {
    let fabric = Fabric::new();
    let pod = fabric.join("default", "web").expect("a place");
    let mut listener = pod.listen(([127, 0, 0, 1], 9091).into()).await.expect("free");
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let other = fabric.join("default", "other").expect("a place");
    let from_outside = other.connect((pod.address(), 9091).into()).await;
    assert_eq!(from_outside.err().expect("refused").kind(), ErrorKind::ConnectionRefused);
    assert!(fabric.inside(pod.address()).connect(([127, 0, 0, 1], 9091).into()).await.is_ok());
}

#[tokio::test]
async fn a_proxy_takes_its_pods_streams_and_reaches_past_itself() {
    let fabric = Fabric::new();
    let server = named(&fabric, "server", 9090).await;
    let client = fabric.join("default", "client").expect("a place");
    let taken: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
    let redirect = |via: PodNetwork| -> Redirect {
        let taken = taken.clone();
        Arc::new(move |stream: Redirected| {
            taken.lock().expect("no panic").push(stream.original);
            let via = via.clone();
            tokio::spawn(async move {
                let Redirected { mut io, original, .. } = stream;
                let mut onward = via.connect(original).await.expect("reached");
                let _ = tokio::io::copy_bidirectional(&mut io, &mut onward).await;
            });
        })
    };
    fabric.redirect(client.address(), None, Some(redirect(client.direct())));
    fabric.redirect(server.address(), Some(redirect(server.direct())), None);
    let to = SocketAddr::from((server.address(), 9090));
    let answer = tokio::time::timeout(std::time::Duration::from_secs(5), read_half(&client, to)).await;
    assert_eq!(answer.expect("in time"), "server");
    assert_eq!(*taken.lock().expect("no panic"), [to, to], "once outbound, once inbound");
}

/// As [`read`], with the writing side closed: a copy ends when both sides have.
async fn read_half(network: &PodNetwork, to: SocketAddr) -> String {
    let mut io = network.connect(to).await.expect("connected");
    io.shutdown().await.expect("closed");
    let mut text = String::new();
    io.read_to_string(&mut text).await.expect("read");
    text
}
