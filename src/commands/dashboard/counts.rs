//! What the proxies of the lab count, as edges of the event stream: cumulative since the run of the page began.

use std::sync::Arc;
use std::time::Duration;

use meshy_experiment::event::EdgeCounts;
use meshy_kube::Kinds;
use meshy_metrics::edges::{Edge, edges, unmeshed};
use meshy_metrics::{Pod, Rolling, Rotation, Scrapes, Window, pods, scrape::POD_DEADLINE, scrape_pods};
use meshy_page::Hub;
use meshy_page::control::EdgeDetails;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use super::super::graph::names::Names;
use super::details::{Reader, RequestedDetails};
use crate::runner::edge_counts;

/// How often counts are read.
const SCRAPE: Duration = Duration::from_millis(500);

/// How many proxies each read scrapes, the others in rotation: 20 in a second.
const MOST_PROXIES: usize = 10;

/// How often they are read while a scenario counts itself.
const SELDOM: Duration = Duration::from_secs(2);

/// How often pods and policies are read.
const REFRESH: Duration = Duration::from_secs(5);

/// The window that states of endpoints are evaluated by, as that of `meshy policy breakers`.
const RECENT: Duration = Duration::from_secs(2);

/// The node of all clients without a proxy.
const UNMESHED: &str = "(not meshed)";

/// Between two reads of the counts after a load.
const SETTLE: Duration = Duration::from_millis(50);

/// How often counts are read again at most, until two reads are equal.
const SETTLES: usize = 20;

/// The proxies and their counts at the start of a run.
pub(super) struct Proxies {
    kinds: Kinds,
    /// Whose services are shown; none while a scenario runs in several namespaces.
    namespace: String,
    pods: Vec<Pod>,
    names: Names,
    sampler: Rotation,
    recent: Rolling<Scrapes>,
    /// The services that viewers selected.
    pub(super) requested: Vec<RequestedDetails>,
    /// Between two reads.
    every: Duration,
    start: Scrapes,
    scraped: Instant,
    /// When pods and policies were read.
    refreshed: Option<Instant>,
    counted: watch::Sender<Counted>,
}

/// What was counted since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counted {
    pub(super) edges: Vec<EdgeCounts>,
    pub(super) details: Vec<EdgeDetails>,
}

/// The proxies, which a separate task reads: a slow proxy delays no viewer.
#[derive(Clone)]
pub(super) struct Counting {
    pub(super) proxies: Arc<Mutex<Proxies>>,
    counted: watch::Receiver<Counted>,
}

impl Counting {
    /// Reads the proxies and their counts.
    ///
    /// # Errors
    /// The API fails.
    pub(super) async fn start(kinds: &Kinds, namespace: &str) -> anyhow::Result<Self> {
        let client = kinds.client();
        let pods = pods::list(client, None).await?;
        let names = Names::read(client, &pods, Some(namespace)).await?;
        let start = scrape_pods(client, pods.clone(), POD_DEADLINE).await;
        let (sender, counted) = watch::channel(Counted::default());
        let sampler = Rotation::new(&start, MOST_PROXIES);
        let proxies = Proxies {
            kinds: kinds.clone(),
            namespace: namespace.to_owned(),
            pods,
            names,
            recent: recent(&sampler),
            sampler,
            requested: Vec::new(),
            every: SCRAPE,
            start,
            scraped: Instant::now(),
            refreshed: None,
            counted: sender,
        };
        Ok(Self { proxies: Arc::new(Mutex::new(proxies)), counted })
    }

    /// Reads the counts again and again, and gives viewers the details of services.
    pub(super) fn follow(&self, hub: &Arc<Hub>) -> AbortOnDropHandle<()> {
        let (proxies, hub) = (self.proxies.clone(), hub.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut ticks = interval(SCRAPE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let mut proxies = proxies.lock().await;
                if proxies.scraped.elapsed() + SCRAPE / 2 < proxies.every {
                    continue;
                }
                proxies.read(false).await;
                if proxies.refreshed.is_none_or(|at| at.elapsed() >= REFRESH) {
                    proxies.refresh(&hub).await;
                }
            }
        }))
    }

    /// Returns what was counted by the last read.
    pub(super) fn edges(&self) -> Vec<EdgeCounts> {
        self.counted.borrow().edges.clone()
    }

    /// Returns what is counted when no request is open any more, with the scrapes of the start and of now.
    pub(super) async fn settled(&self) -> (Vec<EdgeCounts>, Scrapes, Scrapes) {
        let mut proxies = self.proxies.lock().await;
        let mut before = self.edges();
        for _ in 0..SETTLES {
            // A proxy counts a response after its last byte.
            tokio::time::sleep(SETTLE).await;
            proxies.read(true).await;
            let now = self.edges();
            if now == before {
                break;
            }
            before = now;
        }
        let now = proxies.scrape().await;
        (before, proxies.start.clone(), now)
    }

    /// Begins to count from zero, the services of a namespace. `seldom`: a scenario counts itself.
    pub(super) async fn restart(&self, namespace: &str, seldom: bool) {
        let mut proxies = self.proxies.lock().await;
        proxies.namespace = namespace.to_owned();
        proxies.requested.clear();
        proxies.every = if seldom { SELDOM } else { SCRAPE };
        proxies.refreshed = None;
        proxies.read_pods().await;
        proxies.start = proxies.scrape().await;
        proxies.sampler = Rotation::new(&proxies.start, MOST_PROXIES);
        proxies.recent = recent(&proxies.sampler);
        proxies.counted.send_replace(Counted::default());
    }
}

/// Returns the window that states of endpoints are evaluated by, in which each proxy is scraped once at least.
fn recent(sampler: &Rotation) -> Rolling<Scrapes> {
    let turns = u32::try_from(sampler.turns()).unwrap_or(u32::MAX);
    Rolling::new(RECENT.max(SCRAPE.saturating_mul(turns)))
}

impl Proxies {
    /// Reads which pods there are. A request to an API server that is busy is repeated; the counts go on.
    async fn read_pods(&mut self) {
        let read = async {
            let pods = pods::list(self.kinds.client(), None).await?;
            let names = Names::read(self.kinds.client(), &pods, Some(self.namespace.as_str())).await?;
            anyhow::Ok((pods, names))
        };
        match read.await {
            Ok((pods, names)) => (self.pods, self.names) = (pods, names),
            Err(error) => tracing::debug!("the pods are not known: {error:#}"),
        }
    }

    /// Reads pods and policies, for viewers.
    pub(super) async fn refresh(&mut self, hub: &Hub) {
        self.read_pods().await;
        let reader = Reader { kinds: &self.kinds, namespace: &self.namespace, recent: self.recent.ends() };
        let edges = self.counted.borrow().details.clone();
        hub.set_details(&reader.details(edges, &self.requested).await);
        self.refreshed = Some(Instant::now());
    }

    async fn scrape(&self) -> Scrapes {
        scrape_pods(self.kinds.client(), self.pods.clone(), POD_DEADLINE).await
    }

    /// Reads the counts: of all proxies where `all`, else of those whose turn it is.
    async fn read(&mut self, all: bool) {
        let (client, pods) = (self.kinds.client(), self.pods.clone());
        let now = match all {
            true => self.sampler.scrape_all(client, pods, POD_DEADLINE).await,
            false => self.sampler.scrape(client, pods, POD_DEADLINE).await,
        };
        let counted = self.since_start(&now);
        self.recent.push(now);
        self.scraped = Instant::now();
        self.counted.send_replace(counted);
    }

    fn since_start(&self, now: &Scrapes) -> Counted {
        let window = Window::between(&self.start, now);
        let mut counted = Counted::default();
        for edge in unmeshed(&window).iter().filter(|edge| edge.namespace == self.namespace) {
            let (requests, ratio) = (edge.responses_count, edge.success_ratio.unwrap_or_default());
            let succeeded = (requests as f64 * ratio).round() as u64;
            counted.edges.push(EdgeCounts {
                from: UNMESHED.to_owned(),
                to: self.names.of_workload(&edge.namespace, &edge.server),
                requests,
                succeeded,
                // Without a proxy each request is one attempt.
                attempts: requests,
                attempts_succeeded: succeeded,
                ..EdgeCounts::default()
            });
        }
        for edge in edges(&window).iter().filter(|edge| self.concerns(edge)) {
            let from = self.names.of_workload(&edge.namespace, &edge.client);
            let to = self.names.of_service(&edge.service);
            counted.details.push(EdgeDetails {
                from: from.clone(),
                to: to.clone(),
                p50_ms: edge.p50_ms,
                p99_ms: edge.p99_ms,
                mutual_tls: edge.mutual_tls,
            });
            counted.edges.push(edge_counts(from, &to, &edge.counts));
        }
        counted
    }

    fn concerns(&self, edge: &Edge) -> bool {
        edge.namespace == self.namespace || edge.service.namespace == self.namespace
    }
}
