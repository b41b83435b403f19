//! Sections d and e: rate limits and authorization of a server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use meshy_dataplane::policy::{
    Authorization, Identities, IdentityMatch, InboundPolicies, InboundPolicy, Network, ObjectRef, Policy,
    RateLimit, Retry,
};
use meshy_dataplane::{Probe, Proxy};
use tokio::sync::watch;

pub(crate) use super::pods::{CLIENT, CLIENT2};
use super::pods::{SERVER, client_of, identity, pod};
use super::{POD, Received, all_are, count, gets, load, moved, serve_on};
use crate::support::{Client, Lab, Memory, Server, Service, WEB, scrape, sum};

const FIFTH: Duration = Duration::from_millis(200);

/// One policy for every port.
struct EveryPort(watch::Receiver<Arc<InboundPolicy>>);

impl InboundPolicies for EveryPort {
    fn of_port(&self, _: u16) -> watch::Receiver<Arc<InboundPolicy>> {
        self.0.clone()
    }
}

/// A meshed `web` with a policy that can be changed, two meshed clients and one without a proxy identity.
pub(crate) struct Pair {
    pub(crate) policy: watch::Sender<Arc<InboundPolicy>>,
    pub(crate) client: Arc<Client>,
    pub(crate) client2: Arc<Client>,
    pub(crate) plain: Arc<Client>,
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    web: Service,
}

pub(crate) fn pair(policy: InboundPolicy) -> Pair {
    let (lab, app) = (Lab::default(), Memory::default());
    let server = serve_on(&app, POD, |_| (1, 200));
    let sender = watch::Sender::new(Arc::new(policy));
    let proxy = lab.proxy(&app, |config| {
        config.identity = Some(identity(SERVER));
        config.probes = vec![Probe { port: 9090, path: "/health".into() }];
        config.inbound_policies = Some(Arc::new(EveryPort(sender.subscribe())));
    });
    lab.mesh(&proxy, POD.parse().unwrap());
    let web = lab.service("web", WEB, &[pod(POD)]);
    let (client, client2) = (client_of(&lab, CLIENT), client_of(&lab, CLIENT2));
    Pair { policy: sender, client, client2, plain: Arc::new(lab.client()), server, proxy, web }
}

pub(crate) fn server(name: &str) -> ObjectRef {
    ObjectRef { group: "policy.linkerd.io".into(), kind: "server".into(), name: name.into() }
}

/// Returns what a Server without AuthorizationPolicies allows.
pub(crate) fn denying() -> InboundPolicy {
    InboundPolicy { server: server("web-http"), authorizations: Vec::new(), ..InboundPolicy::default() }
}

/// Returns a Server's policy that allows some identities by an AuthorizationPolicy.
fn allowing(identities: Identities) -> InboundPolicy {
    let object = ObjectRef { kind: "authorizationpolicy".into(), ..server("web-client") };
    let authorization = Authorization { object, networks: Network::all(), identities };
    InboundPolicy { authorizations: vec![authorization], ..denying() }
}

pub(crate) fn authenticated(name: &str) -> Identities {
    let one = if name == "*" { IdentityMatch::Any } else { IdentityMatch::Exact(name.into()) };
    Identities::Authenticated(vec![vec![one]])
}

pub(crate) fn probes(n: usize) -> Vec<Request<Bytes>> {
    let get = || Request::get("/health").header("host", "web").body(Bytes::new()).unwrap();
    (0..n).map(|_| get()).collect()
}

impl Pair {
    pub(crate) fn at_server(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        sum(&scrape(&self.proxy), name, labels)
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_authorizations_denies_every_caller_with_a_403_and_keeps_the_connection() {
    let pair = pair(denying());
    all_are(&load(&pair.client, FIFTH, gets(60)).await, 403, "", false);
    all_are(&load(&pair.plain, FIFTH, gets(20)).await, 403, "", false);
    assert_eq!(pair.server.count(), 0);
    let server = [("srv_kind", "server"), ("srv_name", "web-http"), ("route_name", "default")];
    let denied = |more: (&str, &str)| {
        pair.at_server("inbound_http_authz_deny_total", &[&server[..], &[more]].concat())
    };
    assert_eq!((denied(("client_id", CLIENT)), denied(("tls", "no_identity"))), (60, 20));
    for name in ["request_total", "inbound_http_requests_total", "inbound_http_authz_allow_total"] {
        assert_eq!(pair.at_server(name, &[]), 0, "{name}");
    }
    let success = [("status_code", "403"), ("classification", "success")];
    moved(&pair.client, &[("response_total", &success, 60), ("tcp_open_total", &[("peer", "src")], 1)]);
    pair.client.has_the_keys_of(&["e01"]);
}

#[tokio::test(start_paused = true)]
async fn an_authorization_allows_its_identities_only() {
    let pair = pair(allowing(authenticated(CLIENT)));
    all_are(&load(&pair.client, FIFTH, gets(60)).await, 200, "", false);
    all_are(&load(&pair.client2, FIFTH, gets(30)).await, 403, "", false);
    all_are(&load(&pair.plain, FIFTH, gets(20)).await, 403, "", false);
    let by = [
        ("authz_group", "policy.linkerd.io"),
        ("authz_kind", "authorizationpolicy"),
        ("authz_name", "web-client"),
    ];
    for name in ["inbound_http_authz_allow_total", "request_total"] {
        assert_eq!(pair.at_server(name, &[&by[..], &[("client_id", CLIENT)]].concat()), 60, "{name}");
    }
    let parent = [("parent_kind", "server"), ("parent_name", "web-http"), ("parent_port", "9090")];
    assert_eq!(pair.at_server("inbound_http_requests_total", &parent), 60);
    assert_eq!(
        pair.at_server("inbound_http_statuses_total", &[&parent[..], &[("status", "200")]].concat()),
        60
    );
    pair.client.has_the_keys_of(&["e02"]);
}

#[tokio::test(start_paused = true)]
async fn an_access_policy_for_authenticated_callers_denies_the_others() {
    let object = ObjectRef::default_policy("cluster-authenticated");
    let authorizations =
        vec![Authorization { object, networks: Network::all(), identities: authenticated("*") }];
    for (rows, server) in [
        (&["e04"][..], server("web-http")),
        (
            &["e05-cluster-authenticated", "e05-all-authenticated"][..],
            ObjectRef::default_policy("cluster-authenticated"),
        ),
    ] {
        let pair = pair(InboundPolicy { server, authorizations: authorizations.clone(), ..denying() });
        all_are(&load(&pair.client, FIFTH, gets(30)).await, 200, "", false);
        all_are(&load(&pair.plain, FIFTH, gets(20)).await, 403, "", false);
        assert_eq!(
            pair.at_server("inbound_http_authz_allow_total", &[("authz_name", "cluster-authenticated")]),
            30
        );
        pair.client.has_the_keys_of(rows);
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_policy_deny_denies_meshed_and_unmeshed_callers() {
    let pair = pair(InboundPolicy { server: ObjectRef::default_policy("deny"), ..denying() });
    all_are(&load(&pair.client, FIFTH, gets(30)).await, 403, "", false);
    all_are(&load(&pair.plain, FIFTH, gets(20)).await, 403, "", false);
    assert_eq!(
        pair.at_server("inbound_http_authz_deny_total", &[("srv_kind", "default"), ("srv_name", "deny")]),
        50
    );
    pair.client.has_the_keys_of(&["e05-deny"]);
}

#[tokio::test(start_paused = true)]
async fn an_unauthenticated_policy_allows_every_caller() {
    let pair = pair(allowing(Identities::Unauthenticated));
    all_are(&load(&pair.client, FIFTH, gets(30)).await, 200, "", false);
    all_are(&load(&pair.plain, FIFTH, gets(20)).await, 200, "", false);
    pair.client.has_the_keys_of(&["e05-cluster-unauthenticated", "e05-all-unauthenticated"]);
}

#[tokio::test(start_paused = true)]
async fn authorization_never_denies_probes() {
    let pair = pair(denying());
    all_are(&load(&pair.plain, FIFTH, probes(20)).await, 200, "", false);
    let probe = [("route_name", "probe"), ("authz_name", "probe"), ("srv_name", "web-http")];
    assert_eq!(pair.at_server("inbound_http_authz_allow_total", &probe), 20);
    let post = Request::post("/health").header("host", "web").body(Bytes::new()).unwrap();
    assert_eq!(pair.plain.send(post).await.status, 403, "the kubelet sends GET");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_policy_applies_to_open_connections() {
    let pair = pair(InboundPolicy::default());
    assert_eq!(pair.client.get("/a").await.status, 200);
    pair.policy.send_replace(Arc::new(denying()));
    assert_eq!(pair.client.get("/a").await.status, 403);
    pair.policy.send_replace(Arc::new(allowing(authenticated(CLIENT))));
    assert_eq!(pair.client.get("/a").await.status, 200);
    moved(&pair.client, &[("tcp_open_total", &[("peer", "dst")], 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_403_is_retried_if_it_is_listed() {
    let pair = pair(denying());
    let retry = Some(Retry::parse("403", Some(2), None).unwrap());
    pair.web.policy(Policy { retry, ..Policy::default() });
    assert_eq!(pair.client.get("/a").await.status, 403);
    assert_eq!(pair.at_server("inbound_http_authz_deny_total", &[]), 3);
}

fn limited(total: Option<u32>, identity: Option<u32>) -> InboundPolicy {
    let kind = "HTTPLocalRateLimitPolicy".to_owned();
    let object = ObjectRef { kind, ..server("web-limit") };
    let rate_limit = Some(RateLimit { object, total, identity, overrides: Vec::new() });
    InboundPolicy { server: server("web-http"), rate_limit, ..InboundPolicy::default() }
}

fn passed(received: &[Received]) -> usize {
    assert_eq!(count(received, 200) + count(received, 429), received.len());
    let rejected: Vec<_> = received.iter().filter(|one| one.status == 429).cloned().collect();
    all_are(&rejected, 429, "", false);
    count(received, 200)
}

#[tokio::test(start_paused = true)]
async fn a_total_limit_rejects_with_a_429_and_also_throttles_probes() {
    let pair = pair(limited(Some(5), None));
    let probing = load(&pair.plain, Duration::from_secs(2), probes(10));
    let requests = load(&pair.client, Duration::from_millis(100), gets(200));
    let (received, probed) = tokio::join!(requests, probing);
    let (own, probes) = (passed(&received), passed(&probed));
    // The bucket of 5 and 5 per second for 20 s, shared with the probes.
    assert!((103..=106).contains(&(own + probes)), "{own} and {probes}");
    assert!(probes < 10, "a probe is throttled");
    let name = "inbound_http_local_ratelimit_total";
    let labels = [
        ("ratelimit_kind", "HTTPLocalRateLimitPolicy"),
        ("ratelimit_name", "web-limit"),
        ("ratelimit_scope", "total"),
    ];
    let of = |more: (&str, &str)| pair.at_server(name, &[&labels[..], &[more]].concat());
    assert_eq!(of(("client_id", CLIENT)), 200 - own as u64);
    assert_eq!(of(("tls", "no_identity")), 10 - probes as u64);
    assert_eq!(
        pair.at_server("inbound_http_errors_total", &[("error", "unexpected")]),
        210 - (own + probes) as u64
    );
    assert_eq!(pair.at_server("inbound_http_authz_allow_total", &[]), 210, "authorization comes first");
    assert_eq!(pair.at_server("request_total", &[]), (own + probes) as u64);
    let success = [("status_code", "429"), ("classification", "success")];
    moved(&pair.client, &[("response_total", &success, 200 - own as u64)]);
}

#[tokio::test(start_paused = true)]
async fn requests_below_the_limit_pass_and_of_a_burst_the_bucket_passes() {
    let below = pair(limited(Some(5), None));
    assert_eq!(passed(&load(&below.client, Duration::from_millis(250), gets(60)).await), 60);
    below.client.has_the_keys_of(&["d02"]);
    let burst = pair(limited(Some(5), None));
    assert_eq!(passed(&load(&burst.client, Duration::from_millis(5), gets(50)).await), 6);
    burst.client.has_the_keys_of(&["d03"]);
}

#[tokio::test(start_paused = true)]
async fn an_identity_limit_gives_each_identity_a_bucket_and_unmeshed_callers_share_one() {
    let pair = pair(limited(None, Some(3)));
    let sixth = Duration::from_micros(166_667);
    let (one, two, plain) = tokio::join!(
        load(&pair.client, sixth, gets(120)),
        load(&pair.client2, sixth, gets(120)),
        load(&pair.plain, sixth, gets(60)),
    );
    // 3 per second for 20 and 10 s and the bucket of 3; 62, 61 and 31 were measured.
    for (received, measured) in [(one, 62), (two, 61), (plain, 31)] {
        let passed = passed(&received);
        assert!(passed.abs_diff(measured) <= 2, "{passed}, {measured} was measured");
    }
    let by_identity = [("ratelimit_scope", "identity"), ("client_id", CLIENT2)];
    assert!(pair.at_server("inbound_http_local_ratelimit_total", &by_identity) > 50);
}
