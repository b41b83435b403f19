//! The memory of idle services and of open requests. It is a separate test program because it measures the whole process.
#![cfg(target_os = "linux")]

use std::sync::Arc;

use meshy_net::Tcp;
use minimal_service::{Config, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// The number of services: with two ports each, and four sockets per open request, they stay below the usual limit of 1024
/// file descriptors.
const SERVICES: usize = 200;
const OPEN: usize = 100;

/// The memory budget of a task pod in the embedded cluster, in bytes.
const BUDGET: usize = 64 << 10;

/// The memory budget of an open request, in bytes: 1024 of them, the most of a node without capacity, fit into a pod.
const OPEN_BUDGET: usize = 56 << 10;

#[tokio::test]
async fn an_idle_service_uses_at_most_64_kib_and_an_open_request_at_most_56() {
    // The open requests stay open, so that the idle services cannot use their memory again.
    let _open = open_requests().await;
    let (ready, mut listening) = mpsc::unbounded_channel();
    let logs = Arc::new(move |line: String| drop(ready.send(line)));
    let before = resident();
    let mut services = Vec::new();
    for _ in 0..SERVICES {
        let config = Config { service_port: 0, admin_port: 0, ..Config::default() };
        services.push(tokio::spawn(run(config, Arc::new(Tcp), logs.clone(), std::future::pending())));
    }
    for _ in 0..2 * SERVICES {
        let line = listening.recv().await.unwrap();
        assert!(line.contains("listens on"), "{line}");
    }
    let each = resident().saturating_sub(before) / SERVICES;
    eprintln!("an idle service uses {each} bytes");
    assert!(each <= BUDGET, "{each} bytes");
}

/// Opens requests to a node whose calls get no response, and compares their memory with the budget.
async fn open_requests() -> Vec<TcpStream> {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", upstream.local_addr().unwrap());
    let node = format!(r#"{{"name":"a","script":[{{"call":{{"service":"b","url":"{url}"}}}}]}}"#);
    let mut config = Config::from_env([("NODE".to_owned(), node)]).unwrap();
    (config.service_port, config.admin_port) = (0, 0);
    let (ready, mut listening) = mpsc::unbounded_channel();
    let logs = Arc::new(move |line: String| drop(ready.send(line)));
    tokio::spawn(run(config, Arc::new(Tcp), logs, std::future::pending()));
    let line = listening.recv().await.unwrap();
    let port: u16 = line.rsplit(':').next().unwrap().parse().unwrap();

    let mut streams = Vec::new();
    let mut open = async || {
        let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nmeshy-request-id: one\r\n\r\n").await.unwrap();
        let mut call = upstream.accept().await.unwrap().0;
        assert!(call.read(&mut [0; 512]).await.unwrap() > 0);
        streams.extend([client, call]);
    };
    // The first request allocates the tables of the attempts.
    open().await;
    let before = resident();
    for _ in 0..OPEN {
        open().await;
    }
    let each = resident().saturating_sub(before) / OPEN;
    eprintln!("an open request uses {each} bytes");
    assert!(each <= OPEN_BUDGET, "{each} bytes");
    streams
}

/// Returns the resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
