//! The memory of an idle service. It is a separate test program because it measures the whole process.
#![cfg(target_os = "linux")]

use std::sync::Arc;

use meshy_net::Tcp;
use minimal_service::{Config, run};
use tokio::sync::mpsc;

/// The number of services: with two ports each they stay below the usual limit of 1024 file descriptors.
const SERVICES: usize = 200;

/// The memory budget of a task pod in the embedded cluster, in bytes.
const BUDGET: usize = 64 << 10;

#[tokio::test]
async fn an_idle_service_uses_at_most_64_kib() {
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

/// Returns the resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
