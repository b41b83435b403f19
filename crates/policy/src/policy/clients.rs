//! The clients of one service, and the one wait until they use a policy.
//!
//! Pods are watched; their proxies are scraped until each has responded once, and from then on only those of candidates: pods
//! of workloads whose proxies have counted a request to the service or hold a connection to it. A pod that sends its first
//! request later discovers the service then, and so uses the present policy. If no client counts a probe, all are scraped again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::anyhow;
use k8s_openapi::api::core::v1::Pod as CorePod;
use kube::runtime::reflector::Store;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

mod watch;

use self::watch::{addresses, watched};
use super::evidence::{Behaviour, Counted, Evidence, State, decide};
use super::probe::{DISCOVERY_IDLE, Pauses, until};
use meshy_kube::failure::SharedError;
use meshy_metrics::routes::Service;
use meshy_metrics::{self, Pod, Scrape, Series, Workload};

/// A client may close its connection a little after its last request.
const CLOSING: Duration = Duration::from_millis(2500);
/// Between two scrapes of the candidates.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long one proxy may take to respond.
const PER_PROXY: Duration = Duration::from_secs(3);

/// One client.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Client {
    /// Its pod.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// The workload of the pod.
    pub workload: Workload,
    /// What its proxy does.
    pub state: State,
    /// Requests counted during the wait.
    #[serde(rename = "requests_count")]
    pub requests: u64,
    /// In words.
    pub words: String,
    #[serde(skip)]
    settled: bool,
}

impl Client {
    /// The proxy of a server, with the requests that it counted.
    pub(super) fn of_server(pod: &Pod, state: State, requests: u64, words: &str) -> Self {
        Self {
            pod: pod.name.clone(),
            namespace: pod.namespace.clone(),
            workload: pod.workload.clone(),
            state,
            requests,
            words: words.to_owned(),
            settled: true,
        }
    }
}

/// Namespace and name of a pod.
type Key = (String, String);

/// One proxy over time.
struct Track {
    pod: Pod,
    /// When the wait began; none for a pod that came later, which counts from zero.
    before: Option<Scrape>,
    /// The scrape before the last; none likewise.
    recent: Option<Scrape>,
    now: Result<Scrape, SharedError>,
    /// When a request was counted last; the first scrape, if none was.
    last_use: Instant,
    /// Its first scrape is what the others are compared with, and not zero.
    unknown: bool,
}

impl Track {
    fn new(pod: Pod, initial: bool) -> Self {
        let now = Err(anyhow!("it was not scraped yet").into());
        Self { pod, before: None, recent: None, now, last_use: Instant::now(), unknown: initial }
    }

    /// The wait begins with the present counters.
    fn begin(&mut self) {
        if let Ok(now) = &self.now {
            (self.before, self.recent, self.unknown) = (Some(now.clone()), Some(now.clone()), false);
        }
    }

    fn note(&mut self, scrape: Result<Scrape, SharedError>, service: &Service) {
        if let Ok(now) = &self.now {
            self.recent = Some(now.clone());
        }
        self.now = scrape;
        if self.unknown {
            self.begin();
        }
        let Ok(now) = &self.now else { return };
        let change = Counted::of(service, &now.since(self.recent.as_ref()), &Evidence::Profile);
        if change.requests() > 0.0 {
            self.last_use = Instant::now();
        }
    }
}

/// A watch of the clients of one service.
pub struct Clients {
    client: kube::Client,
    service: Service,
    addresses: Vec<String>,
    pods: Store<CorePod>,
    _watch: AbortOnDropHandle<()>,
    /// The only workloads whose proxies are scraped; all, where empty.
    only: Vec<(String, Workload)>,
    callers: BTreeSet<(String, Workload)>,
    tracks: BTreeMap<Key, Track>,
    pauses: Pauses,
    /// All proxies are scraped the next time: the last probe was counted by none of the known clients.
    look_again: bool,
}

impl Clients {
    /// Watches all pods, and scrapes every proxy once to find the clients of the service.
    ///
    /// # Errors
    /// The pods cannot be watched, or not in time; the Service cannot be read.
    pub async fn of(client: &kube::Client, service: &Service, deadline: Instant) -> anyhow::Result<Self> {
        Self::watch(client, service, Vec::new(), deadline).await
    }

    /// As [`Clients::of`], where the workload that sends the requests is known: no other proxy is scraped.
    ///
    /// # Errors
    /// As there.
    pub async fn known(
        client: &kube::Client,
        service: &Service,
        caller: (String, Workload),
        deadline: Instant,
    ) -> anyhow::Result<Self> {
        Self::watch(client, service, vec![caller], deadline).await
    }

    async fn watch(
        client: &kube::Client,
        service: &Service,
        only: Vec<(String, Workload)>,
        deadline: Instant,
    ) -> anyhow::Result<Self> {
        let addresses = addresses(client, service).await?;
        let (pods, watch) = watched(client, deadline).await?;
        let (callers, tracks) = Default::default();
        let (client, service) = (client.clone(), service.clone());
        let pauses = Pauses::Short;
        let mut clients = Self {
            client,
            service,
            addresses,
            pods,
            _watch: watch,
            only,
            callers,
            tracks,
            pauses,
            look_again: false,
        };
        clients.scrape().await;
        Ok(clients)
    }

    /// Waits until each client uses the policy or is idle, at most a little longer than a discovery lives. Where proxies keep a
    /// discovery, a client that may still have an old one is idle only once that has ended: its next request would
    /// renew it otherwise. Without clients there is nothing to wait for. Call it right after the change.
    pub async fn settled(&mut self, evidence: &Evidence, pauses: Pauses, deadline: Instant) -> Vec<Client> {
        self.pauses = pauses;
        let until = deadline.min(Instant::now() + DISCOVERY_IDLE + CLOSING);
        // Requests from before the change are no evidence.
        self.scrape().await;
        self.tracks.values_mut().for_each(Track::begin);
        while self.tracks.values().any(|track| self.is_candidate(&track.pod)) {
            sleep_until(until.min(Instant::now() + INTERVAL)).await;
            self.scrape().await;
            let clients = self.evaluate(evidence);
            if clients.iter().all(|client| client.settled) || Instant::now() >= until {
                return clients;
            }
        }
        self.evaluate(evidence)
    }

    /// Sends probes until one is counted as using the policy and none otherwise; false if that does not happen in time.
    ///
    /// # Errors
    /// The probe's.
    pub async fn probed(
        &mut self,
        evidence: &Evidence,
        pauses: Pauses,
        mut probe: impl AsyncFnMut() -> anyhow::Result<()>,
        deadline: Instant,
    ) -> anyhow::Result<bool> {
        let used = async || {
            self.scrape().await;
            probe().await?;
            self.scrape().await;
            let (uses, strays) = self.recent(evidence);
            // The sender may be a proxy that had sent no request to the service when it was scraped.
            self.look_again = uses + strays == 0.0;
            Ok(uses > 0.0 && strays == 0.0)
        };
        until(pauses, deadline, used).await
    }

    /// Requests between the last two scrapes that used the policy, and those that did not, of all clients together.
    fn recent(&self, evidence: &Evidence) -> (f64, f64) {
        let each = self.tracks.values().filter_map(|track| {
            let now = track.now.as_ref().ok()?;
            Some(evidence.part(Counted::of(&self.service, &now.since(track.recent.as_ref()), evidence)))
        });
        each.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    fn is_candidate(&self, pod: &Pod) -> bool {
        let is = |caller: &(String, Workload)| caller.0 == pod.namespace && caller.1 == pod.workload;
        if self.only.is_empty() { self.callers.iter().any(is) } else { self.only.iter().any(is) }
    }

    /// Scrapes the candidates, and proxies of which it is not known whether they are clients.
    async fn scrape(&mut self) {
        let pods: Vec<Pod> = self.pods.state().iter().map(|pod| Pod::of(pod)).collect();
        // The proxies of the control plane call no service of an application.
        let ours = |pod: &Pod| {
            pod.scrapable() && !pod.leaving && !pod.labels.contains_key(meshy_linkerd::names::COMPONENT_LABEL)
        };
        let pods: BTreeMap<Key, Pod> = pods.into_iter().filter(ours).map(|pod| (key(&pod), pod)).collect();
        self.tracks.retain(|key, _| pods.contains_key(key));
        let unknown = |key: &Key| self.only.is_empty() && is_unknown(self.tracks.get(key), self.look_again);
        let wanted = pods.into_iter().filter(|(key, pod)| self.is_candidate(pod) || unknown(key));
        let wanted: Vec<Pod> = wanted.map(|(_, pod)| pod).collect();
        let initial = self.tracks.is_empty();
        let scrapes = meshy_metrics::scrape_pods(&self.client, wanted, PER_PROXY).await;
        for scraped in scrapes.pods {
            self.note(scraped, initial);
        }
    }

    /// Notes one scrape; in the initial one, counters from before the wait are no requests of the wait.
    fn note(&mut self, scraped: meshy_metrics::ScrapedPod, initial: bool) {
        let meshy_metrics::ScrapedPod { pod, scrape } = scraped;
        let ever = scrape.as_ref().map(|scrape| Counted::of(&self.service, scrape, &Evidence::Profile));
        if ever.is_ok_and(|ever| ever.requests() > 0.0) || holds(scrape.as_ref().ok(), &self.addresses) {
            self.callers.insert((pod.namespace.clone(), pod.workload.clone()));
        }
        let track = self.tracks.entry(key(&pod)).or_insert_with(|| Track::new(pod, initial));
        track.note(scrape, &self.service);
        if self.pauses == Pauses::LikeLinkerd && holds(track.now.as_ref().ok(), &self.addresses) {
            // A discovery lives on for as long as a connection uses it.
            track.last_use = Instant::now();
        }
    }

    /// The state of each client.
    fn evaluate(&self, evidence: &Evidence) -> Vec<Client> {
        self.tracks.values().filter_map(|track| self.client_of(track, evidence)).collect()
    }

    /// None for a pod that is not a client.
    fn client_of(&self, track: &Track, evidence: &Evidence) -> Option<Client> {
        let pod = &track.pod;
        let (state, requests, words, settled) = match &track.now {
            Err(why) => {
                // Whether a proxy that never responded belongs to a client stays unknown, however long the wait is.
                let settled = !self.is_candidate(pod);
                (State::Unknown, 0.0, format!("its proxy does not respond: {why}"), settled)
            }
            Ok(now) => {
                let ever = Counted::of(&self.service, now, evidence);
                let connected = holds(Some(now), &self.addresses);
                if ever.requests() == 0.0 && !connected {
                    return None;
                }
                let counted = |then: &Option<Scrape>| {
                    evidence.part(Counted::of(&self.service, &now.since(then.as_ref()), evidence))
                };
                let since = counted(&track.before);
                let quiet = self.pauses.until_idle(evidence, ever);
                let did = Behaviour {
                    recent: counted(&track.recent),
                    since,
                    quiet: track.last_use.elapsed() >= quiet,
                    held: connected && evidence.held_by_connection(ever),
                };
                let (state, words, settled) = decide(did);
                (state, since.0 + since.1, words.to_owned(), settled)
            }
        };
        let (namespace, workload) = (pod.namespace.clone(), pod.workload.clone());
        Some(Client {
            pod: pod.name.clone(),
            namespace,
            workload,
            state,
            requests: requests as u64,
            words,
            settled,
        })
    }
}

/// Whether a proxy must be scraped to learn if it belongs to a client: it never responded, or all are looked at again.
fn is_unknown(track: Option<&Track>, look_again: bool) -> bool {
    look_again || track.is_none_or(|track| track.now.is_err())
}

fn key(pod: &Pod) -> Key {
    (pod.namespace.clone(), pod.name.clone())
}

/// Whether a proxy's own pod has a connection to one of the addresses. An ingress connects to pods instead, where its
/// proxy looks services up by a header, for each request.
fn holds(scrape: Option<&Scrape>, addresses: &[String]) -> bool {
    let open = |s: &Series| {
        s.is("direction", "outbound")
            && s.is("peer", "src")
            && s.label("target_ip").is_some_and(|ip| addresses.iter().any(|a| *a == ip))
    };
    scrape.is_some_and(|scrape| scrape.sum("tcp_open_connections", open) > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_scraped_until_it_responded_once_and_again_when_no_client_counted_a_probe() {
        let pod = Pod::of(&CorePod::default());
        let service = Service { namespace: "default".to_owned(), name: "cart".to_owned() };
        let mut track = Track::new(pod, true);
        assert!(is_unknown(None, false), "it was never scraped");
        track.note(Err(anyhow!("its proxy does not respond").into()), &service);
        assert!(is_unknown(Some(&track), false), "its first scrape failed");
        track.note(Ok(meshy_metrics::text::parse("").unwrap()), &service);
        assert!(!is_unknown(Some(&track), false), "it is not a client");
        assert!(is_unknown(Some(&track), true), "it may be one now");
    }

    #[test]
    fn a_connection_to_the_services_own_address_counts() {
        let open = |peer: &str, ip: &str, count: u32| {
            let text = format!(
                "tcp_open_connections{{direction=\"outbound\",peer=\"{peer}\",target_ip=\"{ip}\"}} {count}\n"
            );
            holds(Some(&meshy_metrics::text::parse(&text).unwrap()), &["10.96.1.2".to_owned()])
        };
        assert!(open("src", "10.96.1.2", 1));
        assert!(!open("src", "10.96.1.2", 0));
        assert!(!open("src", "10.244.0.9", 1), "a pod's address is not the service's");
        assert!(!open("dst", "10.96.1.2", 1), "the proxy's own side");
    }
}
