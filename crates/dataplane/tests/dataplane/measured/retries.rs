//! Section c: retries by annotation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use meshy_dataplane::policy::Policy;

use super::pods::{client, pod, serve};
use super::{BR, BS, ERRORS, POD, RLIM, RR, RS, RSUC, count, gets, load, moved};
use crate::policy::retries;
use crate::support::{Client, Lab, Server, WEB};

const TENTH: Duration = Duration::from_millis(100);

fn web(policy: Policy, status: impl Fn(usize) -> u16 + Send + Sync + 'static) -> (Arc<Client>, Server) {
    let lab = Lab::default();
    let server = serve(&lab, POD, move |n| (1, status(n)));
    lab.service("web", WEB, &[pod(POD)]).policy(policy);
    (client(&lab), server)
}

/// Fails seven of ten attempts, in an order that looks random.
fn seventy_percent(n: usize) -> u16 {
    let mixed = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40;
    if mixed % 10 < 7 { 500 } else { 200 }
}

#[tokio::test(start_paused = true)]
async fn at_seventy_percent_failures_each_limit_has_its_success_rate() {
    for limit in [0, 1, 3, 4] {
        let policy = if limit == 0 { Policy::default() } else { retries("5xx", limit) };
        let (client, server) = web(policy, seventy_percent);
        let received = load(&client, TENTH, gets(300)).await;
        let expected = 1.0 - 0.7_f64.powi(i32::from(limit) + 1);
        let succeeded = count(&received, 200);
        let deviation = (300.0 * expected * (1.0 - expected)).sqrt();
        assert!((succeeded as f64 - 300.0 * expected).abs() < 3.0 * deviation, "{limit}: {succeeded}");
        let attempts = server.count() as u64;
        let first = client.metric(RR, &[]);
        moved(
            &client,
            &[
                (BR, &[], attempts),
                (RS, &[], 300),
                (RLIM, &[], if limit == 0 { 0 } else { count(&received, 500) as u64 }),
            ],
        );
        assert_eq!(first, attempts - 300, "every attempt but the first is a retry");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_retries_once() {
    let (client, _) = web(retries("5xx", 0), |_| 500);
    assert_eq!(count(&load(&client, TENTH, gets(50)).await, 500), 50);
    moved(&client, &[(BR, &[], 100), (RR, &[], 50), (RSUC, &[], 0), (RLIM, &[], 50)]);
    // The body of a response that a retry replaces is dropped.
    let replaced = [("http_status", "500"), ("error", "UNKNOWN")];
    moved(&client, &[(BS, &replaced, 50), (BS, &[("http_status", "500")], 100)]);
    client.has_the_keys_of(&["c06"]);
}

#[tokio::test(start_paused = true)]
async fn bodies_of_up_to_64_kib_are_retried() {
    for (length, attempts) in [(100, 3), (65_536, 3), (65_537, 1), (102_400, 1)] {
        let (client, _) = web(retries("5xx", 2), |_| 500);
        let post = || {
            let body = Bytes::from(vec![b'x'; length]);
            Request::post("/a").header("host", "web:9090").body(body).unwrap()
        };
        assert_eq!(count(&load(&client, TENTH, (0..40).map(|_| post())).await, 500), 40);
        let (retried, limited) = if attempts == 3 { (80, 40) } else { (0, 0) };
        moved(&client, &[(BR, &[], 40 * attempts), (RR, &[], retried), (RLIM, &[], limited)]);
        client.has_the_keys_of(&[&format!("c07-{length}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn only_listed_statuses_are_retried_and_any_other_ends_as_a_success() {
    const SEQUENCE: [u16; 6] = [500, 501, 502, 503, 504, 429];
    for (http, retried, succeeded, limited) in [
        ("503", 12, 12, 0),
        ("500-502", 30, 15, 15),
        ("gateway-error", 30, 15, 15),
        ("5xx", 60, 20, 40),
        ("503,500-501", 30, 15, 15),
        ("429", 11, 11, 0),
    ] {
        let (client, _) = web(retries(http, 1), |n| SEQUENCE[n % 6]);
        let received = load(&client, TENTH, gets(60)).await;
        assert_eq!(received.len(), 60);
        // The row's last request may be the one that would be retried.
        for (name, expected) in [(RR, retried), (RSUC, succeeded), (RLIM, limited)] {
            let value = client.metric(name, &[]);
            assert!(value.abs_diff(expected) <= 1, "{http} {name}: {value}, {expected} was measured");
        }
        moved(&client, &[(BR, &[], 60 + client.metric(RR, &[]))]);
    }
}

#[tokio::test(start_paused = true)]
async fn without_valid_conditions_no_status_is_retried() {
    const SEQUENCE: [u16; 6] = [500, 501, 502, 503, 504, 429];
    let (client, server) = web(Policy::default(), |n| SEQUENCE[n % 6]);
    let received = load(&client, TENTH, gets(60)).await;
    assert_eq!(server.count(), 60);
    moved(&client, &[(BR, &[], 60), (RR, &[], 0), (RSUC, &[], 0), (RLIM, &[], 0), (ERRORS, &[], 0)]);
    for status in SEQUENCE {
        assert_eq!(count(&received, status), 10);
        let text = status.to_string();
        let ended = [("http_status", &*text), ("error", "")];
        moved(&client, &[(BS, &ended, 10), (RS, &ended, 10)]);
    }
    client.has_the_keys_of(&["c08-bogus"]);
}

#[tokio::test(start_paused = true)]
async fn the_backoff_doubles_from_25_ms_and_is_capped_at_250_ms_with_its_jitter() {
    let lab = Lab::default();
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let record = times.clone();
    serve(&lab, POD, move |_| {
        record.lock().unwrap().push(tokio::time::Instant::now());
        (0, 500)
    });
    lab.service("web", WEB, &[pod(POD)]).policy(retries("5xx", 5));
    let client = client(&lab);
    load(&client, Duration::from_secs(2), gets(30)).await;
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 180);
    for attempts in times.chunks(6) {
        for (pair, (least, most)) in
            attempts.windows(2).zip([(25, 51), (50, 102), (100, 202), (200, 252), (250, 252)])
        {
            let pause = (pair[1] - pair[0]).as_millis();
            assert!((least..=most).contains(&pause), "{pause} ms, {least} to {most}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_settings_have_no_effect() {
    let with = |name: &'static str, value: &'static str| {
        let request = Request::get("/a").header("host", "web:9090").header("l5d-retry-limit", "3");
        request.header(name, value).body(Bytes::new()).unwrap()
    };
    let (client, server) = web(Policy::default(), |_| 500);
    let received = load(&client, TENTH, (0..20).map(|_| with("l5d-retry-http", "5xx"))).await;
    assert_eq!((count(&received, 500), server.count()), (20, 20));
    client.has_the_keys_of(&["w1"]);
    let lab = Lab::default();
    serve(&lab, POD, |_| (500, 200));
    lab.service("web", WEB, &[pod(POD)]);
    let client = super::pods::client(&lab);
    let received = load(&client, TENTH, (0..20).map(|_| with("l5d-timeout", "100ms"))).await;
    assert_eq!(count(&received, 200), 20);
    client.has_the_keys_of(&["w2"]);
}

#[tokio::test(start_paused = true)]
async fn chunked_bodies_of_up_to_64_kib_are_retried() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for (length, attempts) in [(100, 3), (102_400, 1)] {
        let (client, server) = web(retries("5xx", 2), |_| 500);
        for _ in 0..40 {
            let mut io = client.dial(WEB);
            let head =
                "POST /a HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
            let body = vec![b'x'; length];
            io.write_all(head.as_bytes()).await.unwrap();
            io.write_all(format!("{length:x}\r\n").as_bytes()).await.unwrap();
            io.write_all(&body).await.unwrap();
            io.write_all(b"\r\n0\r\n\r\n").await.unwrap();
            let mut response = String::new();
            io.read_to_string(&mut response).await.unwrap();
            assert!(response.starts_with("HTTP/1.1 500"), "{response}");
        }
        assert_eq!(server.count(), 40 * attempts);
        let (retried, limited) = if attempts == 3 { (80, 40) } else { (0, 0) };
        moved(&client, &[(BR, &[], 40 * attempts as u64), (RR, &[], retried), (RLIM, &[], limited)]);
        client.has_the_keys_of(&[&format!("c07-chunked-{length}")]);
    }
}
