//! Who talks to a service, and which policy its proxy follows.
//!
//! A proxy decides whether a service follows its profile or the newer policy when it discovers the service, and keeps to
//! that until the discovery was idle for five seconds. So a new profile is proven by counting, not by its being there. A
//! connection that the client keeps open to the service's address counts as use, with or without requests (measured).

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service as CoreService;
use kube::api::Api;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::metrics::routes::Service;
use crate::metrics::{self, Pod, Scrape, Sight, Sighted, Workload};

/// After this much silence a proxy discovers a service anew (`LINKERD2_PROXY_OUTBOUND_DISCOVERY_IDLE_TIMEOUT`).
pub const IDLE: Duration = Duration::from_secs(5);
/// How often the counters are read while proof is looked for.
const LOOK: Duration = Duration::from_millis(700);
/// How long one proxy may take to answer.
const PER_PROXY: Duration = Duration::from_secs(3);

/// What counting shows that a policy is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Requests are counted by the profile's routes.
    Profile,
    /// Requests are counted by the newer policy; by this HTTPRoute, if one is named.
    Policy(Option<String>),
    /// No profile is followed any more. A proxy that had one keeps counting the profile's way without a pause, but its
    /// routes are gone (measured): such requests bear no route's name.
    NoProfile,
}

/// What a client's proxy does with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum State {
    /// Its requests are counted as the policy wants it.
    InForce,
    /// It was silent long enough: the next request follows.
    Pending,
    /// It talks, and does not follow.
    Stale,
    /// Its proxy could not be asked.
    Unknown,
}

/// One client.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Client {
    /// Its pod.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// What the pod belongs to.
    pub workload: Workload,
    /// What its proxy does.
    pub state: State,
    /// Whether it ever sent the service a request; its words tell.
    #[serde(skip)]
    pub talked: bool,
    /// Requests counted while it was looked at.
    #[serde(rename = "requests_count")]
    pub requests: u64,
    /// In words.
    pub words: String,
}

/// Requests of one proxy to one service, by the path they took through it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counted {
    by_profile: f64,
    by_profile_route: f64,
    by_policy: f64,
    by_route: f64,
}

impl Counted {
    fn of(service: &Service, scrape: &Scrape, route: Option<&str>) -> Self {
        let outbound = |s: &metrics::Series| s.is("direction", "outbound");
        let ours = |s: &metrics::Series| s.label("dst").is_some_and(|dst| service.is_named_by(&dst));
        let parent = |s: &metrics::Series| {
            s.is("parent_name", &service.name) && s.is("parent_namespace", &service.namespace)
        };
        let mut counted = Counted {
            by_profile: scrape.sum("route_request_total", |s| outbound(s) && ours(s)),
            by_profile_route: scrape.sum("route_request_total", |s| {
                outbound(s) && ours(s) && s.label("rt_route").is_some_and(|r| !r.is_empty())
            }),
            ..Counted::default()
        };
        for name in
            ["outbound_http_route_request_statuses_total", "outbound_grpc_route_request_statuses_total"]
        {
            counted.by_policy += scrape.sum(name, parent);
            counted.by_route +=
                scrape.sum(name, |s| parent(s) && route.is_some_and(|r| s.is("route_name", r)));
        }
        counted
    }
}

impl Evidence {
    fn route(&self) -> Option<&str> {
        match self {
            Self::Policy(Some(route)) => Some(route),
            _ => None,
        }
    }

    /// Requests that followed the policy, and those that did not.
    fn part(&self, counted: Counted) -> (f64, f64) {
        match self {
            Self::Profile => (counted.by_profile, counted.by_policy),
            Self::Policy(None) => (counted.by_policy, counted.by_profile),
            Self::NoProfile => (
                counted.by_policy + (counted.by_profile - counted.by_profile_route).max(0.0),
                counted.by_profile_route,
            ),
            Self::Policy(Some(_)) => {
                (counted.by_route, counted.by_profile + (counted.by_policy - counted.by_route).max(0.0))
            }
        }
    }
}

/// Reads the counters of all meshed pods, as the beginning of a proof.
///
/// # Errors
/// The pods cannot be listed.
pub async fn sight(client: &kube::Client) -> anyhow::Result<Sight> {
    let pods = metrics::pods::list(client, None).await?;
    // The control plane's proxies call nobody's services.
    let pods =
        pods.into_iter().filter(|p| !p.labels.contains_key(meshy_mesh::names::COMPONENT_LABEL)).collect();
    Ok(metrics::sight(client, pods, PER_PROXY).await)
}

/// Watches the clients' counters from `before` on until each client's state is certain, at most a little longer than a
/// discovery lives.
///
/// # Errors
/// The pods cannot be listed.
pub async fn observe(
    client: &kube::Client,
    service: &Service,
    evidence: &Evidence,
    before: Sight,
    deadline: Instant,
) -> anyhow::Result<Vec<Client>> {
    let mut clients = watch(client, service, evidence, before, deadline).await?;
    clients.retain(|c| c.talked);
    Ok(clients)
}

/// As [`observe`], with the meshed pods that have never talked to the service.
///
/// # Errors
/// The pods cannot be listed.
pub async fn observe_all(
    client: &kube::Client,
    service: &Service,
    evidence: &Evidence,
    deadline: Instant,
) -> anyhow::Result<Vec<Client>> {
    let before = sight(client).await?;
    watch(client, service, evidence, before, deadline).await
}

async fn watch(
    client: &kube::Client,
    service: &Service,
    evidence: &Evidence,
    before: Sight,
    deadline: Instant,
) -> anyhow::Result<Vec<Client>> {
    let begun = Instant::now();
    // A client may close its connection a little after its last request.
    let until = deadline.min(begun + IDLE + Duration::from_millis(2500));
    let addresses = addresses(client, service).await?;
    let mut last_use: HashMap<String, Instant> = HashMap::new();
    let mut previous = before.clone();
    loop {
        sleep(LOOK).await;
        let now = sight(client).await?;
        let holding =
            now.pods.iter().filter(|s| holds(s.scrape.as_ref().ok(), &addresses)).map(|s| s.pod.name.clone());
        for pod in talking(&previous, &now, service).into_iter().chain(holding) {
            last_use.insert(pod, Instant::now());
        }
        let silence = |sighted: &Sighted| Silence {
            long: last_use.get(&sighted.pod.name).unwrap_or(&begun).elapsed() >= IDLE,
            held: holds(sighted.scrape.as_ref().ok(), &addresses),
        };
        let over = Instant::now() >= until;
        // The last look alone decides between old and new: what came right after the change may still have been the old.
        let clients = judge(&before, &previous, &now, service, evidence, silence);
        if over || clients.iter().filter(|c| c.talked).all(|c| c.state == State::InForce) {
            return Ok(clients);
        }
        previous = now;
    }
}

/// The service's own addresses, which clients connect to; a headless one has none.
async fn addresses(client: &kube::Client, service: &Service) -> anyhow::Result<Vec<String>> {
    let services: Api<CoreService> = Api::namespaced(client.clone(), &service.namespace);
    let there = services.get_opt(&service.name).await.context("cannot read the service")?;
    Ok(there.and_then(|s| s.spec).and_then(|s| s.cluster_ips).unwrap_or_default())
}

/// Whether a proxy's own pod has a connection to one of the addresses. An ingress connects to pods instead, where its
/// proxy looks services up by a header, for each request.
fn holds(scrape: Option<&Scrape>, addresses: &[String]) -> bool {
    let open = |s: &metrics::Series| {
        s.is("direction", "outbound")
            && s.is("peer", "src")
            && s.label("target_ip").is_some_and(|ip| addresses.iter().any(|a| *a == ip))
    };
    scrape.is_some_and(|scrape| scrape.sum("tcp_open_connections", open) > 0.0)
}

/// What is known of a client's silence.
#[derive(Clone, Copy, Debug)]
struct Silence {
    /// Neither request nor open connection for so long that the next request is a new discovery.
    long: bool,
    /// A connection is open, which keeps the discovery.
    held: bool,
}

/// Pods that sent the service something between two looks.
fn talking(before: &Sight, after: &Sight, service: &Service) -> Vec<String> {
    let change = metrics::Window::between(before, after);
    let sent = |scrape: &Scrape| {
        let counted = Counted::of(service, scrape, None);
        counted.by_profile + counted.by_policy > 0.0
    };
    change.pods.into_iter().filter(|p| sent(&p.change)).map(|p| p.pod.name).collect()
}

/// The state of each client. `recent` to `now` shows what holds; `before` to `now` shows whether anything was sent.
fn judge(
    before: &Sight,
    recent: &Sight,
    now: &Sight,
    service: &Service,
    evidence: &Evidence,
    silence: impl Fn(&Sighted) -> Silence,
) -> Vec<Client> {
    let find = |sight: &Sight, pod: &Pod| -> Option<Scrape> {
        let found = sight.pods.iter().find(|s| s.pod.name == pod.name && s.pod.namespace == pod.namespace)?;
        found.scrape.as_ref().ok().cloned()
    };
    let mut clients = Vec::new();
    for sighted in &now.pods {
        let pod = &sighted.pod;
        if pod.leaving {
            continue;
        }
        let mut talked = true;
        let (state, requests, words) = match &sighted.scrape {
            Err(why) => (State::Unknown, 0.0, format!("its proxy does not answer: {why}")),
            Ok(scrape) => {
                let ever = Counted::of(service, scrape, evidence.route());
                talked = ever.by_profile + ever.by_policy > 0.0;
                let counted = |then: &Sight| {
                    evidence.part(Counted::of(
                        service,
                        &scrape.since(find(then, pod).as_ref()),
                        evidence.route(),
                    ))
                };
                let (follows, other) = counted(before);
                let (follows_now, other_now) = counted(recent);
                let mut silence = silence(sighted);
                // A change of what a proxy follows already acts at once; only the other dialect waits for a discovery.
                silence.held &= match evidence {
                    Evidence::Profile => ever.by_policy > 0.0,
                    Evidence::Policy(_) => ever.by_profile > 0.0,
                    Evidence::NoProfile => false,
                };
                let (state, words) = if talked {
                    decide(follows_now, other_now, silence, follows, other)
                } else {
                    (
                        State::Pending,
                        "it has never talked to the service: its first request follows the policy".to_owned(),
                    )
                };
                (state, follows + other, words)
            }
        };
        clients.push(Client {
            pod: pod.name.clone(),
            namespace: pod.namespace.clone(),
            workload: pod.workload.clone(),
            state,
            talked,
            requests: requests as u64,
            words,
        });
    }
    clients
}

/// The decision for one client: what it did since the last look, whether it was silent, and whether it followed or
/// went another way at all.
fn decide(
    follows_now: f64,
    other_now: f64,
    silence: Silence,
    followed: f64,
    strayed: f64,
) -> (State, String) {
    if follows_now > 0.0 && other_now == 0.0 {
        return (State::InForce, "its requests are counted by the policy".to_owned());
    }
    if other_now > 0.0 {
        let words = "it talks without a pause, so its proxy keeps what it discovered before; 5 s of silence or a restart \
                     changes that";
        return (State::Stale, words.to_owned());
    }
    if followed > 0.0 {
        return (State::InForce, "its requests since the change were counted by the policy".to_owned());
    }
    if silence.held {
        let words = "it sends nothing but keeps a connection open, and with it what its proxy discovered before; closing \
                     that for 5 s or a restart changes it";
        return (State::Stale, words.to_owned());
    }
    if silence.long {
        return (State::Pending, "no request for 5 s: the next one follows the policy".to_owned());
    }
    if strayed > 0.0 {
        return (State::Pending, "silent for less than 5 s: the old holds until then".to_owned());
    }
    (State::Pending, "no request since the change".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service { name: "bounced-service".to_owned(), namespace: "default".to_owned() }
    }

    fn scrape(text: &str) -> Scrape {
        metrics::text::parse(text).unwrap()
    }

    #[test]
    fn requests_are_told_apart_by_the_path_they_took_through_the_proxy() {
        let text = r#"
route_request_total{direction="outbound",dst="bounced-service.default.svc.cluster.local:9090",rt_route="GET /"} 7
route_request_total{direction="outbound",dst="other.default.svc.cluster.local:9090",rt_route="GET /"} 100
route_request_total{direction="inbound",dst="bounced-service.default.svc.cluster.local:9090",rt_route="GET /"} 100
outbound_http_route_request_statuses_total{parent_name="bounced-service",parent_namespace="default",route_name="http",http_status="200"} 3
outbound_http_route_request_statuses_total{parent_name="bounced-service",parent_namespace="default",route_name="mine",http_status="500"} 2
outbound_http_route_request_statuses_total{parent_name="bounced-service",parent_namespace="shop",route_name="http",http_status="200"} 100
"#;
        let counted = Counted::of(&service(), &scrape(text), Some("mine"));
        assert_eq!(
            counted,
            Counted { by_profile: 7.0, by_profile_route: 7.0, by_policy: 5.0, by_route: 2.0 }
        );
        assert_eq!(Evidence::Profile.part(counted), (7.0, 5.0));
        assert_eq!(Evidence::Policy(None).part(counted), (5.0, 7.0));
        assert_eq!(Evidence::Policy(Some("mine".to_owned())).part(counted), (2.0, 10.0));
    }

    #[test]
    fn requests_of_a_grpc_route_are_evidence_of_the_policy() {
        let text = "outbound_grpc_route_request_statuses_total{parent_name=\"bounced-service\",\
                    parent_namespace=\"default\",route_name=\"mine\",grpc_status=\"OK\"} 4\n";
        let counted = Counted::of(&service(), &scrape(text), Some("mine"));
        assert_eq!((counted.by_policy, counted.by_route), (4.0, 4.0));
    }

    #[test]
    fn a_connection_to_the_services_own_address_is_seen() {
        let open = |peer: &str, ip: &str, count: u32| {
            let text = format!(
                "tcp_open_connections{{direction=\"outbound\",peer=\"{peer}\",target_ip=\"{ip}\"}} {count}\n"
            );
            holds(Some(&scrape(&text)), &["10.96.1.2".to_owned()])
        };
        assert!(open("src", "10.96.1.2", 1));
        assert!(!open("src", "10.96.1.2", 0));
        assert!(!open("src", "10.244.0.9", 1), "a pod's address is not the service's");
        assert!(!open("dst", "10.96.1.2", 1), "the proxy's own side");
    }

    #[test]
    fn a_deleted_profile_leaves_requests_without_a_routes_name() {
        let of = |label: &str| {
            let text = format!(
                "route_request_total{{direction=\"outbound\",dst=\"bounced-service.default.svc.cluster.local:9090\"{label}}} 9\n"
            );
            Evidence::NoProfile.part(Counted::of(&service(), &scrape(&text), None))
        };
        assert_eq!(of(""), (9.0, 0.0), "without a pause the proxy counts the same way, with no route");
        assert_eq!(of(",rt_route=\"GET /\""), (0.0, 9.0), "the profile still holds");
    }

    #[test]
    fn what_a_client_does_decides_its_state() {
        let of = |long, held| Silence { long, held };
        let none = of(false, false);
        assert_eq!(decide(5.0, 0.0, none, 5.0, 0.0).0, State::InForce);
        assert_eq!(decide(0.0, 5.0, none, 0.0, 5.0).0, State::Stale);
        assert_eq!(decide(0.0, 0.0, of(true, false), 0.0, 9.0).0, State::Pending);
        assert_eq!(decide(0.0, 0.0, none, 3.0, 0.0).0, State::InForce);
        assert_eq!(
            decide(0.0, 0.0, of(false, true), 0.0, 0.0).0,
            State::Stale,
            "an open connection keeps the old through any silence"
        );
        assert_eq!(
            decide(2.0, 5.0, none, 2.0, 5.0).0,
            State::Stale,
            "one connection of two still goes the old way"
        );
    }
}
