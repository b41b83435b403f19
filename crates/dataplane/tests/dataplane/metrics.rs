//! Names, labels and buckets as on a real Linkerd.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request};
use meshy_dataplane::policy::{Policy, Retry};
use meshy_dataplane::profile::{Profile, RetryBudget};
use meshy_dataplane::{Endpoint, Probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::counting::{failing, retry_all};
use crate::mutual_tls::Authority;
use crate::support::{Client, Lab, Memory, WEB, endpoint, label_names, route, scrape, serve_http, serve_raw};

const POD: &str = "10.244.1.3:9090";
/// An API server outside of the pods.
const SERVER: &str = "172.18.0.3:6443";
const ID: &str = "default.default.serviceaccount.identity.linkerd.cluster.local";

/// What the four dumps of real proxies show: family, label keys in order. Written down by
/// reading them; the dumps themselves are not part of the repository.
const KEYS: &str = include_str!("linkerd-label-keys.txt");
/// Families of the dumps that are not rendered here, each with its reason.
const ABSENT: &str = include_str!("linkerd-absent-families.txt");
const FAMILIES: &str = include_str!("linkerd-families.txt");
const BUCKETS: &str = include_str!("linkerd-buckets.txt");

/// The text of a client's proxy and of a server's after traffic of every kind.
async fn texts() -> String {
    let authority = Authority::new();
    let lab = Lab::default();
    let app = Memory::default();
    serve_http(&app, POD.parse().unwrap(), failing(&[true, false]));
    let behind = lab.proxy(&app, |config| {
        config.identity = Some(authority.identity(ID).into_watch());
        config.probes = vec![Probe { port: 9090, path: "/health".into() }];
    });
    lab.mesh(&behind, POD.parse().unwrap());
    let labels = [
        ("dst_control_plane_ns", "linkerd"),
        ("dst_deployment", "bounced-service"),
        ("dst_namespace", "default"),
        ("dst_pod", "bounced-service-768b44b545-fnkss"),
        ("dst_pod_template_hash", "768b44b545"),
        ("dst_service", "bounced-service"),
        ("dst_serviceaccount", "default"),
        ("dst_zone", ""),
        ("dst_zone_locality", "unknown"),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let web = lab.service("web", WEB, &[Endpoint { identity: Some(ID.into()), labels, ..endpoint(POD) }]);
    let identity = authority.identity(ID);
    let client =
        Client::new(lab.proxy(&Memory::default(), |config| config.identity = Some(identity.into_watch())));
    let post = || Request::post("/").header("host", "web").body(Bytes::from_static(b"body")).unwrap();
    web.policy(Policy { retry: Some(Retry::parse("5xx", Some(1), None).unwrap()), ..Policy::default() });
    client.send(post()).await;
    client.get("/health").await;
    let budget = RetryBudget { retry_ratio: 0.0, min_retries_per_second: 0, ..RetryBudget::default() };
    web.profile(Profile {
        retry_budget: Some(budget),
        routes: vec![route("POST /", Method::POST, "/", true)],
        ..retry_all()
    });
    for _ in 0..2 {
        client.send(post()).await;
    }
    client.get("/unrouted").await;
    // A caller without an identity, straight to the server's proxy.
    lab.service("plain", "10.96.0.9:9090", &[endpoint(POD)]);
    let stranger = lab.client();
    let _ = stranger.send_to("10.96.0.9:9090", post()).await;
    let _ = stranger
        .send_to("10.96.0.9:9090", Request::get("/health").header("host", "a").body(Bytes::new()).unwrap())
        .await;
    // Bytes to a service without pods, as the API server's is; in the dumps that connection was still open.
    let labels =
        [("dst_namespace", "default"), ("dst_service", "kubernetes"), ("dst_zone_locality", "unknown")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    serve_raw(&lab.wire, SERVER.parse().unwrap(), |mut io| async move {
        while io.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
    });
    lab.service("kubernetes", "10.96.0.1:443", &[Endpoint { labels, ..endpoint(SERVER) }]);
    let mut bytes = client.dial("10.96.0.1:443");
    bytes.write_all(b"\0bytes").await.unwrap();
    let proxy = client.proxy.clone();
    drop((stranger, client));
    // Idle connections are closed after 3 s, looked for every 3 s.
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    scrape(&proxy) + &scrape(&behind)
}

#[tokio::test(start_paused = true)]
async fn label_keys_are_those_of_the_real_proxies() {
    let text = texts().await;
    let mut missing = Vec::new();
    let mut families = BTreeSet::new();
    for line in KEYS.lines().filter(|line| !line.starts_with('#')) {
        let (name, keys) = line.split_once(' ').expect("a name and its keys");
        families.insert(name);
        let keys: Vec<_> = keys.split(',').map(str::to_owned).collect();
        if !label_names(&text, name).contains(&keys) {
            missing.push(format!("{name} {keys:?}, has {:?}", label_names(&text, name)));
        }
    }
    assert!(missing.is_empty(), "{}\n{text}", missing.join("\n"));
    // And nothing else: every family here is one of theirs with keys they have, but for what only a plain caller shows.
    for name in families {
        let theirs: BTreeSet<Vec<String>> = KEYS
            .lines()
            .filter_map(|line| line.split_once(' ').filter(|(family, _)| *family == name))
            .map(|(_, keys)| keys.split(',').map(str::to_owned).collect())
            .collect();
        for ours in label_names(&text, name) {
            let unnamed = name.starts_with("route_") && !ours.iter().any(|key| key == "rt_route");
            assert!(theirs.contains(&ours) || unnamed, "{name} has {ours:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn buckets_are_those_of_the_real_proxies() {
    let text = texts().await;
    for line in BUCKETS.lines().filter(|line| !line.starts_with('#')) {
        let (name, bounds) = line.split_once(' ').expect("a name and its bounds");
        let prefix = format!("{name}_bucket{{");
        let first = text.lines().find(|line| line.starts_with(&prefix)).expect(name);
        let series = |line: &str| {
            let (labels, _) = line.rsplit_once("} ").unwrap();
            let start = labels.find("le=\"").unwrap();
            let end = start + 4 + labels[start + 4..].find('"').unwrap() + 1;
            (
                format!("{}{}", &labels[..start], &labels[end..])
                    .replace("{,", "{")
                    .trim_end_matches(',')
                    .to_owned(),
                labels[start + 4..end - 1].to_owned(),
            )
        };
        let (wanted, _) = series(first);
        let ours: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with(&prefix))
            .map(series)
            .filter(|(rest, _)| *rest == wanted)
            .map(|(_, bound)| bound)
            .collect();
        let theirs: Vec<_> = bounds.split(' ').collect();
        assert_eq!(&ours[..theirs.len()], theirs, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_family_of_the_real_proxies_is_here_or_listed_as_absent_with_a_reason() {
    let text = texts().await;
    let absent: Vec<_> = ABSENT
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| line.split_once(": ").expect("families and a reason").0.split(", "))
        .collect();
    let listed = |family: &str| {
        absent
            .iter()
            .any(|name| name.strip_suffix('*').map_or(*name == family, |start| family.starts_with(start)))
    };
    for line in FAMILIES.lines().filter(|line| !line.starts_with('#')) {
        let (family, _) = line.split_once(' ').expect("a family and its kind");
        let here = text.contains(&format!("# TYPE {line}\n"));
        assert!(
            here != listed(family),
            "{line} is {}",
            if here { "here and listed" } else { "neither here nor listed" }
        );
    }
    assert!(text.contains("\nprocess_start_time_seconds "));
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_admin_port_serves_metrics_and_health() {
    let lab = Lab::default();
    let proxy = lab.proxy(&Memory::default(), |_| {});
    for (path, status, part) in [
        ("/metrics", "200", "process_start_time_seconds"),
        ("/ready", "200", "ready"),
        ("/live", "200", "live"),
        ("/shutdown", "404", ""),
    ] {
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        let served = proxy.clone();
        tokio::spawn(async move { served.admin(Box::new(far)).await });
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        near.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(part), "{answer}");
    }
}
