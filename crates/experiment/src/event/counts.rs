//! Cumulative counts: of the sender, of each edge, of each service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ByAttempts, Mesh, Outcome};
use crate::latency::{Latencies, Quantiles};

/// What the sender of the load counted since the start of the step. `requests` counts those that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Counts {
    /// Requests that were to start by now.
    pub offered: u64,
    /// Requests that ended.
    pub requests: u64,
    /// Of these, successful ones.
    pub succeeded: u64,
    /// Of these, within the deadline of the load: goodput.
    pub in_time: u64,
    /// By status, `none` where there was no response.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<String, u64>,
    /// By outcome class, as far as the proxies and the services report it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<Outcome, u64>,
}

/// What the client's proxy counted on an edge since the start of the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct EdgeCounts {
    /// The client: a service, `ingress`, or `load` for the load generator or a sender.
    pub from: String,
    /// The service that is called.
    pub to: String,
    /// Requests: effective.
    pub requests: u64,
    /// Of these, successful ones.
    pub succeeded: u64,
    /// Attempts: actual.
    pub attempts: u64,
    /// Of these, successful ones.
    pub attempts_succeeded: u64,
    /// Attempts with mutual TLS, where the proxy counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_mutual_tls: Option<u64>,
    /// Requests by status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<String, u64>,
    /// Requests by outcome class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Latency of requests since the start of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Quantiles>,
}

/// What a service counted itself since the start of the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct ServiceCounts {
    /// The service.
    pub service: String,
    /// Requests that it received: attempts of its clients.
    pub received: u64,
    /// Requests whose work is finished.
    pub finished: u64,
    /// Of these, those whose client had disconnected.
    pub wasted: u64,
    /// Requests rejected because the queue was full.
    pub queue_full: u64,
    /// The kubelet's probes that passed the proxies of the service's port.
    #[serde(default)]
    pub probes: u64,
}

/// Goodput of the requests that were to start in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct ArrivalSecond {
    /// Requests that were to start in this second.
    pub offered: u64,
    /// Of these, those that succeeded within the deadline.
    pub in_time: u64,
}

/// Everything that was counted in a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Totals {
    /// How long requests were sent, in milliseconds.
    pub duration_ms: u64,
    /// At the sender.
    pub load: Counts,
    /// Requests by their result at the sender, in words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, u64>,
    /// Requests by their number of attempts, where the service reports it to the sender.
    #[serde(
        default,
        deserialize_with = "super::mesh::by_attempts",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub attempts: ByAttempts,
    /// Latencies at the sender: (microseconds, count) pairs.
    pub latencies: Latencies,
    /// At the edges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<EdgeCounts>,
    /// Latencies by service, where the proxies have them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edge_latencies: BTreeMap<String, Latencies>,
    /// At the services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceCounts>,
    /// Goodput of the requests that were to start in each second, from the start of the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrivals: Vec<ArrivalSecond>,
    /// Why requests are missing at the sender: a line per sender that died.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
    /// What the mesh counted at the watched service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<Box<Mesh>>,
    /// Pods or seconds whose counts are missing, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
}

/// The name of the sender in edges.
pub const SENDER: &str = "load";

impl EdgeCounts {
    /// Adds the counts of another edge; latency quantiles cannot be added and are dropped.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.succeeded = self.succeeded.saturating_add(other.succeeded);
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.attempts_succeeded = self.attempts_succeeded.saturating_add(other.attempts_succeeded);
        // Known only where every edge knows it.
        self.attempts_mutual_tls =
            self.attempts_mutual_tls.zip(other.attempts_mutual_tls).map(|(a, b)| a.saturating_add(b));
        for (status, count) in &other.statuses {
            *self.statuses.entry(status.clone()).or_default() += count;
        }
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += count;
        }
        self.latency = None;
    }
}

impl ServiceCounts {
    /// The finished requests that got a worker: a full queue responds without work.
    pub(crate) fn worked(&self) -> u64 {
        self.finished.saturating_sub(self.queue_full)
    }
}

/// Returns the sum of edges; `None` of none.
pub(crate) fn sum<'a>(mut edges: impl Iterator<Item = &'a EdgeCounts>) -> Option<EdgeCounts> {
    let mut sum = edges.next()?.clone();
    edges.for_each(|edge| sum.add(edge));
    Some(sum)
}
