//! The metrics of requests, of responses by class and of latencies; per endpoint, per route, per route's attempts.

use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use super::Metrics;
use super::histogram::{Histogram, LATENCY_MS};
use super::labels::Labels;
use super::registry::{Counter, Family};
use crate::classify::Class;

/// The series of one endpoint, of one route or of one route's attempts. Series are found in a short list.
pub(crate) struct HttpScope {
    labels: Labels,
    metrics: Arc<Metrics>,
    responses: fn(&Metrics) -> &Family<Counter>,
    latencies: Option<fn(&Metrics) -> &Family<Histogram>>,
    pub(crate) requests: Arc<Counter>,
    by_outcome: SmallMap<Outcome, Counter>,
    by_status: SmallMap<u16, Histogram>,
}

/// How a request ended: the response's status, if there was a response, and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: Option<u16>,
    pub(crate) class: Class,
}

impl HttpScope {
    /// `request_total`, `response_total` and `response_latency_ms`.
    pub(crate) fn endpoint(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        let requests = metrics.request_total.get(&labels);
        Self::new(metrics, labels, requests, |m| &m.response_total, Some(|m| &m.response_latency))
    }

    /// `route_request_total`, `route_response_total` and `route_response_latency_ms`.
    pub(crate) fn route(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        let requests = metrics.route_request_total.get(&labels);
        Self::new(metrics, labels, requests, |m| &m.route_response_total, Some(|m| &m.route_response_latency))
    }

    /// `route_actual_request_total` and `route_actual_response_total`, without a latency.
    pub(crate) fn actual(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        let requests = metrics.route_actual_request_total.get(&labels);
        Self::new(metrics, labels, requests, |m| &m.route_actual_response_total, None)
    }

    fn new(
        metrics: &Arc<Metrics>,
        labels: Labels,
        requests: Arc<Counter>,
        responses: fn(&Metrics) -> &Family<Counter>,
        latencies: Option<fn(&Metrics) -> &Family<Histogram>>,
    ) -> Self {
        let (by_outcome, by_status) = (SmallMap::default(), SmallMap::default());
        Self { labels, metrics: metrics.clone(), responses, latencies, requests, by_outcome, by_status }
    }

    /// Records the time until the first data of a response.
    pub(crate) fn first_data(&self, status: u16, elapsed: Duration) {
        let Some(family) = self.latencies else { return };
        let create = || {
            let labels = self.labels.with("status_code", status);
            family(&self.metrics).get_or(&labels, || Histogram::new(&LATENCY_MS))
        };
        self.by_status.with(&status, create, |histogram| histogram.observe_time(elapsed));
    }

    /// Counts the end of a response, or the error in place of a response.
    pub(crate) fn ended(&self, outcome: Outcome) {
        let create = || {
            let labels = match outcome.status {
                Some(status) => self.labels.with("status_code", status),
                None => self.labels.clone(),
            };
            let class = outcome.class;
            let labels =
                labels.with("classification", if class.is_failure() { "failure" } else { "success" });
            let labels = match class.grpc_status() {
                Some(code) => labels.with("grpc_status", code),
                None => labels.with("grpc_status", ""),
            };
            (self.responses)(&self.metrics).get(&labels.with("error", class.error()))
        };
        self.by_outcome.with(&outcome, create, |counter| counter.inc());
    }
}

/// A map of a few values. The first one, usually the only one, is found without a lock.
pub(super) struct SmallMap<K, V> {
    first: OnceLock<(K, Arc<V>)>,
    more: RwLock<Vec<(K, Arc<V>)>>,
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self { first: OnceLock::new(), more: RwLock::default() }
    }
}

impl<K: PartialEq + Copy, V> SmallMap<K, V> {
    /// Passes the value of a key to `use_value`; `create` creates it the first time.
    pub(super) fn with(&self, key: &K, create: impl FnOnce() -> Arc<V>, use_value: impl FnOnce(&V)) {
        let mut create = Some(create);
        let mut created = || create.take().map(|create| create());
        let first = self.first.get_or_init(|| (*key, created().expect("not created yet")));
        if first.0 == *key {
            return use_value(&first.1);
        }
        if let Some((_, value)) =
            self.more.read().expect("metrics lock").iter().find(|(other, _)| other == key)
        {
            return use_value(value);
        }
        let mut more = self.more.write().expect("metrics lock");
        // Another request may have created it in between.
        if let Some((_, value)) = more.iter().find(|(other, _)| other == key) {
            return use_value(value);
        }
        if let Some(value) = created() {
            use_value(&value);
            more.push((*key, value));
        }
    }
}
