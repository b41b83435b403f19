//! Metric names, labels and buckets, compared with those of real Linkerd proxies.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request};
use meshy_dataplane::policy::{Policy, Retry};
use meshy_dataplane::profile::{Profile, RetryBudget};
use meshy_dataplane::{Endpoint, Probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::counters::{failing, retry_all};
use crate::mutual_tls::Authority;
use crate::support::{Client, Lab, Memory, WEB, endpoint, label_names, route, scrape, serve_http, serve_raw};

const POD: &str = "10.244.1.3:9090";
/// The address of an API server, which is not a pod.
const SERVER: &str = "172.18.0.3:6443";
const ID: &str = "default.default.serviceaccount.identity.linkerd.cluster.local";

/// Family and label keys, in order, of four scrapes of real proxies; the scrapes are not part of the repository.
const KEYS: &str = include_str!("linkerd-label-keys.txt");
/// Families of those scrapes that this proxy does not have, each with its reason.
const ABSENT: &str = include_str!("linkerd-absent-families.txt");
const FAMILIES: &str = include_str!("linkerd-families.txt");
const BUCKETS: &str = include_str!("linkerd-buckets.txt");

/// Returns the metrics of a client's proxy and of a server's after traffic of every kind.
async fn scrapes() -> String {
    let authority = Authority::new();
    let lab = Lab::default();
    let app = Memory::default();
    serve_http(&app, POD.parse().unwrap(), failing(&[true, false]));
    let server_proxy = lab.proxy(&app, |config| {
        config.identity = Some(authority.identity(ID).into_watch());
        config.probes = vec![Probe { port: 9090, path: "/health".into() }];
    });
    lab.mesh(&server_proxy, POD.parse().unwrap());
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
    // A caller without an identity, to the server's proxy.
    lab.service("plain", "10.96.0.9:9090", &[endpoint(POD)]);
    let plain = lab.client();
    let _ = plain.send_to("10.96.0.9:9090", post()).await;
    let _ = plain
        .send_to("10.96.0.9:9090", Request::get("/health").header("host", "a").body(Bytes::new()).unwrap())
        .await;
    // A connection without HTTP to a service without pods; in the scrapes that connection was open.
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
    drop((plain, client));
    // Idle connections are closed after 3 to 4.5 s.
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    scrape(&proxy) + &scrape(&server_proxy)
}

#[tokio::test(start_paused = true)]
async fn label_keys_match_real_proxies() {
    let text = scrapes().await;
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
    // And no other keys, except in series without a route, which the scrapes did not have.
    for name in families {
        let expected: BTreeSet<Vec<String>> = KEYS
            .lines()
            .filter_map(|line| line.split_once(' ').filter(|(family, _)| *family == name))
            .map(|(_, keys)| keys.split(',').map(str::to_owned).collect())
            .collect();
        for ours in label_names(&text, name) {
            let unnamed = name.starts_with("route_") && !ours.iter().any(|key| key == "rt_route");
            assert!(expected.contains(&ours) || unnamed, "{name} has {ours:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn buckets_match_real_proxies() {
    let text = scrapes().await;
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
        let (first, _) = series(first);
        let ours: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with(&prefix))
            .map(series)
            .filter(|(rest, _)| *rest == first)
            .map(|(_, bound)| bound)
            .collect();
        let expected: Vec<_> = bounds.split(' ').collect();
        assert_eq!(&ours[..expected.len()], expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_family_of_real_proxies_is_present_or_listed_as_absent_with_a_reason() {
    let text = scrapes().await;
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
        let present = text.contains(&format!("# TYPE {line}\n"));
        assert!(
            present != listed(family),
            "{line} is {}",
            if present { "present and listed as absent" } else { "neither present nor listed as absent" }
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
        let mut response = String::new();
        near.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")) && response.contains(part), "{response}");
    }
}
