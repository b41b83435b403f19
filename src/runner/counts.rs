//! What proxies and services counted since the start of a step.

use std::time::Duration;

use meshy_base::error;
use meshy_experiment::event::{EdgeCounts, Mesh, Outcome, SENDER, ServiceCounts};
use meshy_experiment::scenario::{Fault, Step};
use meshy_metrics::arrivals::probes;
use meshy_metrics::routes::{RouteCounts, Service, client_view};
use meshy_metrics::{Pod, Rotation, Scrapes, Window, pods, scrape::POD_DEADLINE, scrape_pods};
use meshy_policy::services::{self, NotTestService};
use meshy_policy::test_service;
use meshy_predict::edge::EdgePrediction;
use serde_json::Value;

use super::arrived;
use super::ground::{Ground, INGRESS, Place};
use crate::measure::Watched;

/// Scraping more proxies than this in each second would disturb what is measured: the others are scraped in rotation.
const MOST_PROXIES: usize = 20;

/// How long open requests may take after the load, until the counts are final.
const SETTLE: Duration = Duration::from_secs(5);

/// The state at the start of a step.
pub(super) struct Start {
    scrapes: Scrapes,
    watched: Option<Watched>,
    services: Vec<(String, Vec<Pod>, Vec<Value>)>,
}

/// Counts since the start.
#[derive(Default)]
pub(super) struct Since {
    /// By client and service.
    pub(super) edges: Vec<EdgeCounts>,
    /// By service.
    pub(super) services: Vec<ServiceCounts>,
    /// Lines with the identities of clients and services; only at the end of a step.
    pub(super) identities: Vec<String>,
    /// What is missing, and why.
    pub(super) gaps: Vec<String>,
}

/// Reads all counters before a step.
pub(super) async fn start(ground: &Ground<'_>, place: &Place, step: &Step) -> anyhow::Result<Start> {
    let watched = step.watched();
    let client = ground.kinds.client();
    let scrapes = scrape_pods(client, proxies(ground, place).await?, POD_DEADLINE).await;
    let each = place.names().map(|service| async move {
        let pods = match services::pods(client, &place.namespace, service).await {
            Ok(pods) => pods,
            // A service that the user has scaled to zero is none that is measured.
            Err(_) if ground.is_deployed() => return Ok(None),
            Err(error) => return Err(error),
        };
        match test_service::counts(client, &pods).await {
            Ok(counts) => Ok(Some((service.to_owned(), pods, counts))),
            // Only meshy's test service counts requests itself.
            Err(error) if error::cause::<NotTestService>(&error).is_some() => Ok(None),
            // A pod that was just started or refuses connections has no counts to subtract.
            Err(_) => anyhow::Ok(Some((service.to_owned(), pods, Vec::new()))),
        }
    });
    let services = futures::future::try_join_all(each).await?.into_iter().flatten().collect();
    let watched = match watched.filter(|watched| place.names().any(|name| name == *watched)) {
        Some(watched) => {
            let found = Watched::of(client, &place.service(watched)).await?;
            let at_new_block = step.faults.iter().any(Fault::starts_blocks);
            Some(if at_new_block { found.at_new_block() } else { found })
        }
        None => None,
    };
    Ok(Start { scrapes, watched, services })
}

async fn proxies(ground: &Ground<'_>, place: &Place) -> anyhow::Result<Vec<Pod>> {
    let client = ground.kinds.client();
    let mut all = pods::list(client, Some(&place.namespace)).await?;
    if place.has_ingress() {
        all.extend(pods::list(client, Some(INGRESS)).await?);
    }
    all.retain(Pod::scrapable);
    Ok(all)
}

impl Since {
    /// Returns the attempts on all edges.
    pub(super) fn attempts(&self) -> u64 {
        self.edges.iter().map(|edge| edge.attempts).sum()
    }
}

impl Start {
    /// Returns the sampler of the proxies while the load runs.
    pub(super) fn sampler(&self) -> Rotation {
        Rotation::new(&self.scrapes, MOST_PROXIES)
    }

    /// Returns the counts since the start: those of the latest scrape of each proxy, or those of now where `exact`. Services are
    /// counted where each second reaches all proxies.
    pub(super) async fn since(
        &self,
        ground: &Ground<'_>,
        place: &Place,
        (sampler, exact): (&mut Rotation, bool),
    ) -> anyhow::Result<Since> {
        let (client, proxies) = (ground.kinds.client(), proxies(ground, place).await?);
        let now = match exact {
            true => sampler.scrape_all(client, proxies, POD_DEADLINE).await,
            false => sampler.scrape(client, proxies, POD_DEADLINE).await,
        };
        Ok(match sampler.turns() {
            1 => self.counted(ground, place, &now).await,
            _ => Self::edges(place, &Window::between(&self.scrapes, &now)),
        })
    }

    /// As [`Start::since`] at the end of a step, with the counts of now and what the mesh counted at the watched service. `sent` is
    /// the rate and the time in seconds of a load that can be predicted. With the mesh comes the window that it was counted in.
    pub(super) async fn totals(
        self,
        ground: &Ground<'_>,
        place: &Place,
        sent: Option<(f64, f64)>,
    ) -> anyhow::Result<(Since, Option<(Mesh, Window)>)> {
        let now = scrape_pods(ground.kinds.client(), proxies(ground, place).await?, POD_DEADLINE).await;
        let mut since = self.counted(ground, place, &now).await;
        since.identities = arrived::identities(&Window::between(&self.scrapes, &now), place);
        let mesh = match &self.watched {
            Some(watched) => Some(watched.since((&self.scrapes, &now), sent).await),
            None => None,
        };
        Ok((since, mesh.filter(|(mesh, _)| mesh.clients.requests_count > 0)))
    }

    /// Predicts a load at the watched service.
    pub(super) fn predict(&self, sent: (f64, f64)) -> Option<EdgePrediction> {
        self.watched.as_ref()?.predict(sent)
    }

    /// Whether several replicas of the watched service each know a part of a request's attempts only.
    pub(super) fn is_replicated(&self) -> bool {
        self.watched.as_ref().is_some_and(Watched::is_replicated)
    }

    /// Returns the counts of the proxies in a window.
    fn edges(place: &Place, window: &Window) -> Since {
        let mut since = Since { gaps: window.gaps.clone(), ..Since::default() };
        for pod in &window.pods {
            for service in place.names() {
                let to: Service = place.service(service);
                let routes = client_view([&pod.change], &to);
                let mut sum = RouteCounts::default();
                routes.values().for_each(|route| sum.add(route));
                if sum.requests_count > 0 {
                    add(&mut since.edges, edge(from(pod), service, &sum));
                }
            }
        }
        arrived::complete(&mut since.edges, window, place);
        since
    }

    async fn counted(&self, ground: &Ground<'_>, place: &Place, now: &Scrapes) -> Since {
        let client = ground.kinds.client();
        let window = Window::between(&self.scrapes, now);
        let mut since = Self::edges(place, &window);
        for (service, pods, before) in &self.services {
            match test_service::counts(client, pods).await {
                Ok(after) => since.services.push(ServiceCounts {
                    probes: probes(&window, &place.namespace, service),
                    ..service_counts(service, before, &after)
                }),
                Err(error) => since.gaps.push(format!("{service}: {error:#}")),
            }
        }
        since
    }

    /// Waits until no service has an open request, so that all counts are final. Returns what is still open after some time.
    pub(super) async fn settled(&self, ground: &Ground<'_>) -> Option<String> {
        let client = ground.kinds.client();
        let begun = tokio::time::Instant::now();
        loop {
            let mut open = 0;
            for (_, pods, _) in &self.services {
                let counts = test_service::counts(client, pods).await.unwrap_or_default();
                open += counts.iter().map(|one| number(one, "in_flight")).sum::<u64>();
            }
            if open == 0 {
                return None;
            }
            if begun.elapsed() > SETTLE {
                return Some(format!(
                    "{open} requests were still open at the services when the counts were read"
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The name of a client in edges.
fn from(pod: &meshy_metrics::PodWindow) -> String {
    match () {
        () if pod.pod.namespace == INGRESS => "ingress".to_owned(),
        () if meshy_senders::is_sender(&pod.pod.labels) => SENDER.to_owned(),
        () => pod.pod.workload.name.clone(),
    }
}

/// Adds the counts of a pod to those of the other pods of the same client.
fn add(edges: &mut Vec<EdgeCounts>, edge: EdgeCounts) {
    match edges.iter_mut().find(|other| other.from == edge.from && other.to == edge.to) {
        Some(known) => {
            known.requests += edge.requests;
            known.succeeded += edge.succeeded;
            known.attempts += edge.attempts;
            known.attempts_succeeded += edge.attempts_succeeded;
            for (outcome, count) in edge.outcomes {
                *known.outcomes.entry(outcome).or_default() += count;
            }
        }
        None => edges.push(edge),
    }
}

/// Returns the counts of a client's calls of a service as an edge.
pub(crate) fn edge(from: String, to: &str, counts: &RouteCounts) -> EdgeCounts {
    let mut edge = EdgeCounts {
        from,
        to: to.to_owned(),
        requests: counts.requests_count,
        succeeded: counts.succeeded_count,
        attempts: counts.attempts_count,
        attempts_succeeded: counts.attempts_succeeded_count,
        ..EdgeCounts::default()
    };
    let named = counts.timed_out_count + counts.refused_count + counts.no_budget_count + counts.limit_count;
    for (outcome, count) in [
        (Outcome::TimedOut, counts.timed_out_count),
        (Outcome::BreakerRejected, counts.refused_count),
        (Outcome::BudgetExhausted, counts.no_budget_count),
        (Outcome::LimitReached, counts.limit_count),
        (Outcome::NotRetryable, counts.failed_count.saturating_sub(named)),
    ] {
        if count > 0 {
            edge.outcomes.insert(outcome, count);
        }
    }
    edge
}

fn service_counts(service: &str, before: &[Value], after: &[Value]) -> ServiceCounts {
    let sum = |counts: &[Value], key: &str| counts.iter().map(|one| number(one, key)).sum::<u64>();
    let since = |key: &str| sum(after, key).saturating_sub(sum(before, key));
    let open = sum(after, "in_flight");
    ServiceCounts {
        service: service.to_owned(),
        received: since("requests"),
        finished: since("requests").saturating_sub(open),
        wasted: since("wasted"),
        queue_full: since("queue_rejections"),
        probes: 0,
    }
}

fn number(counts: &Value, key: &str) -> u64 {
    counts[key].as_u64().unwrap_or_default()
}
