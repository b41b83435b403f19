//! Random bytes through a pair: no panic, no request without an end, and a valid request afterwards still works.
//!
//! The bytes are valid messages with random deletions, insertions and replacements; a failure names its random seed. With
//! `MESHY_FUZZ_SECONDS=60` each test runs for that long with new seeds.

use std::time::Duration;

use meshy_dataplane::Mode;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::counters::{failing, retry_all};
use crate::support::{Client, Lab, Memory, WEB, endpoint, scrape, serve_http, serve_raw};

const POD: &str = "10.244.1.1:9090";
const ROUNDS: u64 = 400;

/// Returns the random seeds of a run: always the same, or as many new ones as the time allows.
fn seeds() -> impl Iterator<Item = u64> {
    let seconds = std::env::var("MESHY_FUZZ_SECONDS").ok().map(|text| text.parse().expect("seconds"));
    let until = seconds.map(|seconds| std::time::Instant::now() + Duration::from_secs(seconds));
    let first = if until.is_some() { rand::random::<u64>() / 2 } else { 0 };
    let more = move |seed: &u64| match until {
        Some(until) => std::time::Instant::now() < until,
        None => *seed < ROUNDS,
    };
    let mut count = 0;
    (first..).take_while(more).inspect(move |seed| {
        count += 1;
        if until.is_some() && count % 10_000 == 0 {
            eprintln!("{count} seeds, now {seed}");
        }
    })
}

const REQUESTS: [&[u8]; 6] = [
    b"GET / HTTP/1.1\r\nhost: web\r\nl5d-dst-override: web.default.svc.cluster.local:9090\r\n\r\n",
    b"POST /a?b=c HTTP/1.1\r\nhost: web\r\ncontent-length: 5\r\n\r\nhello",
    b"PUT / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
    b"GET http://web:9090/ HTTP/1.0\r\nl5d-dst-canonical: web.default.svc.cluster.local:9090\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x01\x05\x00\x00\x00\x01\x82\x84\x86\x41\x00",
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03GET / HTTP/1.1\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
];
const RESPONSES: [&[u8]; 5] = [
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 14\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Nothing\r\nl5d-proxy-connection: close\r\n\r\n",
    b"HTTP/1.1 101 Switch\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nbytes",
    b"HTTP/1.0 302 Found\r\nlocation: /\r\nl5d-proxy-error: no\r\nconnection: close\r\n\r\nuntil the end",
];

/// Returns one of the messages with a few random changes.
fn mutated(random: &mut StdRng, messages: &[&[u8]]) -> Vec<u8> {
    let mut bytes = messages[random.random_range(0..messages.len())].to_vec();
    for _ in 0..random.random_range(0..6) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        let until = (at + random.random_range(1..20)).min(bytes.len());
        match random.random_range(0..6) {
            0 => bytes[at] = random.random(),
            1 => drop(bytes.drain(at..until)),
            2 => bytes.splice(at..at, bytes[at..until].to_vec()).for_each(drop),
            3 => bytes.truncate(until),
            4 => {
                bytes
                    .splice(at..at, messages[random.random_range(0..messages.len())].to_vec())
                    .for_each(drop);
            }
            _ => bytes[at] ^= 1 << random.random_range(0..8),
        }
    }
    bytes
}

async fn exchange(client: &Client, bytes: &[u8], seed: u64) {
    let mut io = client.dial(WEB);
    let sent = async {
        let _ = io.write_all(bytes).await;
        let _ = io.shutdown().await;
        let _ = io.read_to_end(&mut Vec::new()).await;
    };
    // The clock is paused: the timeout expires when there is nothing left to do.
    timeout(Duration::from_secs(60), sent)
        .await
        .unwrap_or_else(|_| panic!("random seed {seed}: no end after {bytes:?}"));
}

#[tokio::test(start_paused = true)]
async fn random_bytes_from_callers_neither_stop_nor_block_a_pair() {
    for mode in [Mode::Enabled, Mode::Ingress] {
        let lab = Lab::default();
        let app = Memory::default();
        serve_http(&app, POD.parse().unwrap(), failing(&[false, true]));
        lab.mesh(&lab.proxy(&app, |_| {}), POD.parse().unwrap());
        lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
        let client = Client::new(lab.proxy(&Memory::default(), |config| config.mode = mode));
        for seed in seeds() {
            let bytes = mutated(&mut StdRng::seed_from_u64(seed), &REQUESTS);
            exchange(&client, &bytes, seed).await;
        }
        assert_eq!(client.get("/").await.status, 200);
        client.wait_for_metric("tcp_open_connections", &[("peer", "dst")], 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn random_bytes_from_upstreams_neither_stop_nor_block_a_proxy() {
    let lab = Lab::default();
    let number = std::sync::atomic::AtomicU64::new(0);
    serve_raw(&lab.wire, POD.parse().unwrap(), move |mut io| {
        let seed = number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let bytes = mutated(&mut StdRng::seed_from_u64(seed), &RESPONSES);
        async move {
            let mut head = [0; 4096];
            let _ = io.read(&mut head).await;
            let _ = io.write_all(&bytes).await;
        }
    });
    lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
    let client = lab.client();
    for seed in seeds() {
        let request = REQUESTS[seed as usize % 3];
        exchange(&client, request, seed).await;
    }
    client.wait_for_metric("tcp_open_connections", &[("peer", "dst")], 0).await;
    let text = scrape(&client.proxy);
    assert!(text.lines().count() < 2_000, "{} lines of metrics", text.lines().count());
}
