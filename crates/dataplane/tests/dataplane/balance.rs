//! Balancing: slow endpoints, changes of the set of endpoints, the queue.

use std::sync::Arc;
use std::time::Duration;

use meshy_dataplane::policy::{LoadBias, Policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::counters::failing;
use crate::measured::{gets, load, serve};
use crate::support::{Lab, Server, WEB, endpoint, serve_http, serve_raw};

fn responding_after(lab: &Lab, addr: &str, millis: u64) -> Server {
    let count = Server::default();
    let counted = count.clone();
    serve_raw(&lab.wire, addr.parse().unwrap(), move |mut io| {
        let counted = counted.clone();
        async move {
            let mut head = [0; 4096];
            while io.read(&mut head).await.is_ok_and(|read| read > 0) {
                counted.add();
                sleep(Duration::from_millis(millis)).await;
                let _ = io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    });
    count
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_of_six_gets_at_most_five_percent_of_the_requests() {
    let lab = Lab::default();
    let addr = |n: usize| format!("10.244.1.{n}:9090");
    let servers: Vec<_> =
        (1..=6).map(|n| responding_after(&lab, &addr(n), if n == 6 { 50 } else { 1 })).collect();
    let endpoints: Vec<_> = (1..=6).map(|n| endpoint(&addr(n))).collect();
    lab.service("web", WEB, &endpoints);
    let client = lab.client();
    for _ in 0..1_000 {
        assert_eq!(client.get("/").await.status, 200);
    }
    let counts: Vec<_> = servers.iter().map(Server::count).collect();
    assert_eq!(counts.iter().sum::<usize>(), 1_000);
    assert!(counts[5] <= 50, "{counts:?}");
    assert!(counts[..5].iter().all(|count| *count > 100), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn with_the_load_biaser_an_endpoint_that_rejects_fast_gets_fewer_requests_than_slow_ones() {
    let share = async |load_bias: Option<LoadBias>| {
        let lab = Lab::default();
        let addrs = ["10.244.1.1:9090", "10.244.1.2:9090", "10.244.1.3:9090"];
        let servers =
            addrs.map(|addr| serve(&lab, addr, move |_| if addr == addrs[0] { (1, 429) } else { (50, 200) }));
        let web = lab.service("web", WEB, &addrs.map(endpoint));
        web.policy(Policy { load_bias, ..Policy::default() });
        let client = Arc::new(lab.client());
        load(&client, Duration::from_millis(50), gets(400)).await;
        assert_eq!(servers.iter().map(Server::count).sum::<usize>(), 400);
        servers[0].count()
    };
    let (without, with) = (share(None).await, share(Some(LoadBias::default())).await);
    assert!(without > 200, "{without}: a fast rejection looks like a fast response");
    assert!(with < 40, "{with}: each rejection counts as 5 s");
}

#[tokio::test]
async fn endpoint_changes_lose_no_request() {
    let lab = Lab::default();
    let addrs = ["10.244.1.1:9090", "10.244.1.2:9090", "10.244.1.3:9090"];
    let servers = addrs.map(|addr| serve_http(&lab.wire, addr.parse().unwrap(), failing(&[false])));
    let web = lab.service("web", WEB, &[endpoint(addrs[0])]);
    let client = lab.client();
    for n in 0..300 {
        let some: Vec<_> = addrs
            .iter()
            .enumerate()
            .filter(|(i, _)| ((n % 7) >> i) & 1 == 0)
            .map(|(_, a)| endpoint(a))
            .collect();
        web.endpoints(if some.is_empty() { &[] } else { &some });
        if some.is_empty() {
            web.endpoints(&[endpoint(addrs[0])]);
        }
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(servers.iter().map(Server::count).sum::<usize>(), 300);
}

#[tokio::test]
async fn connections_to_an_unknown_address_are_forwarded_to_it() {
    let lab = Lab::default();
    let server = serve_http(&lab.wire, "10.9.9.9:80".parse().unwrap(), failing(&[false]));
    let client = lab.client();
    let request = http::Request::get("/").header("host", "a").body(bytes::Bytes::new()).unwrap();
    assert_eq!(client.send_to("10.9.9.9:80", request).await.unwrap().status, 200);
    assert_eq!(server.count(), 1);
    assert_eq!(client.metric("request_total", &[("target_addr", "10.9.9.9:80")]), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_are_sent_when_an_endpoint_appears() {
    let lab = Lab::default();
    let web = lab.service("web", WEB, &[]);
    let client = lab.client();
    let mut waiting = tokio::task::JoinSet::new();
    let client = std::sync::Arc::new(client);
    for _ in 0..1_000 {
        let client = client.clone();
        waiting.spawn(async move { client.get("/").await.status });
    }
    sleep(Duration::from_secs(1)).await;
    serve_http(&lab.wire, "10.244.1.1:9090".parse().unwrap(), failing(&[false]));
    web.endpoints(&[endpoint("10.244.1.1:9090")]);
    let statuses = waiting.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200));
}
