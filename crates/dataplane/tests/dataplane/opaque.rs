//! Connections that do not carry HTTP.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::support::{Lab, Memory, WEB, endpoint, serve_raw};

const POD: &str = "10.244.1.1:9090";

/// A server that sends `hello`, then each received byte twice.
fn greeting(network: &Memory) {
    serve_raw(network, POD.parse().unwrap(), |mut io| async move {
        io.write_all(b"hello").await.unwrap();
        let mut byte = [0];
        while io.read(&mut byte).await.is_ok_and(|read| read == 1) {
            io.write_all(&[byte[0], byte[0]]).await.unwrap();
        }
    });
}

#[tokio::test]
async fn other_protocols_pass_a_pair_byte_by_byte() {
    let lab = Lab::default();
    let app = Memory::default();
    greeting(&app);
    lab.mesh(&lab.proxy(&app, |_| {}), POD.parse().unwrap());
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    let mut io = client.dial(WEB);
    io.write_all(&[0, 1, 255, b'\n']).await.unwrap();
    let mut received = [0; 13];
    io.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"hello\x00\x00\x01\x01\xff\xff\n\n");
    drop(io);
    client.wait_for_metric("tcp_open_connections", &[("direction", "outbound")], 0).await;
    assert_eq!(client.metric("tcp_read_bytes_total", &[("peer", "src")]), 4);
    assert_eq!(client.metric("tcp_write_bytes_total", &[("peer", "src")]), 13);
    assert_eq!(client.metric("tcp_open_total", &[]), 2);
    assert_eq!(client.metric("tcp_close_total", &[("errno", "")]), 2);
    assert_eq!(client.metric("request_total", &[]), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_first_waits_ten_seconds_unless_its_port_is_opaque() {
    for (opaque, millis) in [(false, 20_000), (true, 0)] {
        let lab = Lab::default();
        let app = Memory::default();
        greeting(&app);
        let server =
            lab.proxy(&app, |config| config.opaque_ports = if opaque { vec![9090] } else { Vec::new() });
        lab.mesh(&server, POD.parse().unwrap());
        lab.service("web", WEB, &[endpoint(POD)]).change(&|target| target.opaque = opaque);
        let client = lab.client();
        let start = Instant::now();
        let mut hello = [0; 5];
        client.dial(WEB).read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello");
        assert_eq!(
            start.elapsed(),
            Duration::from_millis(millis),
            "each side waits for the detection timeout"
        );
    }
}

#[tokio::test]
async fn a_connection_can_be_upgraded_to_another_protocol() {
    let lab = Lab::default();
    let app = Memory::default();
    serve_raw(&app, POD.parse().unwrap(), |mut io| async move {
        let mut head = vec![0; 4096];
        let read = io.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
        assert!(head.contains("upgrade: chat") && head.contains("connection: upgrade"), "{head}");
        io.write_all(b"HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\nhello").await.unwrap();
        let mut byte = [0];
        while io.read(&mut byte).await.is_ok_and(|read| read == 1) {
            io.write_all(&[byte[0], byte[0]]).await.unwrap();
        }
    });
    lab.mesh(&lab.proxy(&app, |_| {}), POD.parse().unwrap());
    lab.service("web", WEB, &[endpoint(POD)]);
    let client = lab.client();
    let mut io = client.dial(WEB);
    io.write_all(b"GET / HTTP/1.1\r\nhost: web\r\nconnection: Upgrade\r\nupgrade: chat\r\n\r\n")
        .await
        .unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"hello") {
        received.push(io.read_u8().await.unwrap());
    }
    assert!(received.starts_with(b"HTTP/1.1 101"));
    io.write_all(b"ab").await.unwrap();
    let mut twice = [0; 4];
    io.read_exact(&mut twice).await.unwrap();
    assert_eq!(&twice, b"aabb");
}
