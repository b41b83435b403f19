//! What the proxies of the lab count, as edges of the event stream: cumulative since the page was opened.

use std::collections::BTreeMap;

use meshy_experiment::event::EdgeCounts;
use meshy_metrics::edges::{Edge, edges, unmeshed};
use meshy_metrics::routes::Service;
use meshy_metrics::{Pod, Sight, Window, pods, scrape::POD_DEADLINE, sight};
use meshy_page::control::{Details, EdgeDetails, Endpoint, ServiceDetails};
use meshy_policy::policy;
use meshy_predict::edge::Policy;

use super::super::graph::names::Names;
use super::super::predict::policy_words;
use crate::runner::edge_counts;

/// The node of all clients without a proxy.
const UNMESHED: &str = "(not meshed)";

/// The proxies and their counts at the start.
pub(super) struct Proxies {
    client: kube::Client,
    namespace: String,
    pods: Vec<Pod>,
    names: Names,
    start: Sight,
}

/// What was counted since the start.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) edges: Vec<EdgeCounts>,
    pub(super) details: Vec<EdgeDetails>,
}

impl Proxies {
    /// Reads the proxies and their counts.
    ///
    /// # Errors
    /// The API fails.
    pub(super) async fn start(client: &kube::Client, namespace: &str) -> anyhow::Result<Self> {
        let pods = pods::list(client, None).await?;
        let names = Names::read(client, &pods, Some(namespace)).await?;
        let start = sight(client, pods.clone(), POD_DEADLINE).await;
        Ok(Self { client: client.clone(), namespace: namespace.to_owned(), pods, names, start })
    }

    /// Reads again which pods there are.
    ///
    /// # Errors
    /// The API fails.
    pub(super) async fn refresh(&mut self) -> anyhow::Result<()> {
        self.pods = pods::list(&self.client, None).await?;
        self.names = Names::read(&self.client, &self.pods, Some(self.namespace.as_str())).await?;
        Ok(())
    }

    /// Returns the counts since the start.
    pub(super) async fn counted(&self) -> Counted {
        let now = sight(&self.client, self.pods.clone(), POD_DEADLINE).await;
        let window = Window::between(&self.start, &now);
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

    /// Returns what is known of the services apart from counts. A policy that cannot be read is left out.
    pub(super) async fn details(&self, services: &[String], edges: Vec<EdgeDetails>) -> Details {
        let mut found = BTreeMap::new();
        for name in services {
            let service = Service { namespace: self.namespace.clone(), name: name.clone() };
            let policy = match policy::of(&self.client, &service).await {
                Ok(Policy::None) | Err(_) => None,
                Ok(policy) => Some(policy_words(&policy)),
            };
            let pods = self.pods.iter().filter(|pod| {
                pod.namespace == self.namespace
                    && self.names.of_workload(&pod.namespace, &pod.workload) == *name
            });
            let endpoint = |pod: &Pod| Endpoint {
                name: pod.name.clone(),
                ready: pod.phase == "Running" && !pod.leaving,
                breaker: None,
            };
            let endpoints = pods.map(endpoint).collect();
            found.insert(name.clone(), ServiceDetails { policy, policy_text: None, endpoints });
        }
        Details { services: found, edges }
    }
}
