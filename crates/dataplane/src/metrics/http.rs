//! The older HTTP metrics: requests, answers by class, latency; per endpoint, per route, per try.

use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use super::Metrics;
use super::histogram::{Histogram, LATENCY_MS};
use super::labels::Labels;
use super::registry::{Counter, Family};
use crate::classify::Class;

/// The series of one endpoint, route or route's tries. Finding a series is a look at a short list.
pub(crate) struct HttpScope {
    labels: Labels,
    metrics: Arc<Metrics>,
    responses: fn(&Metrics) -> &Family<Counter>,
    latencies: Option<fn(&Metrics) -> &Family<Histogram>>,
    pub(crate) requests: Arc<Counter>,
    by_outcome: Short<Outcome, Counter>,
    by_status: Short<u16, Histogram>,
}

/// How a request ended: the answer's status, if there was one, and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: Option<u16>,
    pub(crate) class: Class,
}

impl HttpScope {
    /// `request_total` and its companions.
    pub(crate) fn endpoint(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        let requests = metrics.request_total.get(&labels);
        Self::new(metrics, labels, requests, |m| &m.response_total, Some(|m| &m.response_latency))
    }

    /// `route_request_total` and its companions.
    pub(crate) fn route(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        let requests = metrics.route_request_total.get(&labels);
        Self::new(metrics, labels, requests, |m| &m.route_response_total, Some(|m| &m.route_response_latency))
    }

    /// `route_actual_request_total` and its companion; tries have no latency.
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
        let (by_outcome, by_status) = (Short::default(), Short::default());
        Self { labels, metrics: metrics.clone(), responses, latencies, requests, by_outcome, by_status }
    }

    /// Records the time until an answer's first data.
    pub(crate) fn first_data(&self, status: u16, elapsed: Duration) {
        let Some(family) = self.latencies else { return };
        let make = || {
            let labels = self.labels.with("status_code", status);
            family(&self.metrics).get_or(&labels, || Histogram::new(&LATENCY_MS))
        };
        self.by_status.with(&status, make, |histogram| histogram.observe_time(elapsed));
    }

    /// Counts an answer's end, or the error instead of an answer.
    pub(crate) fn ended(&self, outcome: Outcome) {
        let make = || {
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
        self.by_outcome.with(&outcome, make, |counter| counter.inc());
    }
}

/// Values by key, few of them. The first one is found without a lock: mostly it is the only one.
pub(super) struct Short<K, V> {
    first: OnceLock<(K, Arc<V>)>,
    more: RwLock<Vec<(K, Arc<V>)>>,
}

impl<K, V> Default for Short<K, V> {
    fn default() -> Self {
        Self { first: OnceLock::new(), more: RwLock::default() }
    }
}

impl<K: PartialEq + Copy, V> Short<K, V> {
    /// The value of a key, made the first time.
    pub(super) fn with(&self, key: &K, make: impl FnOnce() -> Arc<V>, use_it: impl FnOnce(&V)) {
        let mut make = Some(make);
        let mut made = || make.take().map(|make| make());
        let first = self.first.get_or_init(|| (*key, made().expect("not made yet")));
        if first.0 == *key {
            return use_it(&first.1);
        }
        if let Some((_, value)) =
            self.more.read().expect("metrics lock").iter().find(|(known, _)| known == key)
        {
            return use_it(value);
        }
        let mut more = self.more.write().expect("metrics lock");
        // Another request may have made it in between.
        if let Some((_, value)) = more.iter().find(|(known, _)| known == key) {
            return use_it(value);
        }
        if let Some(value) = made() {
            use_it(&value);
            more.push((*key, value));
        }
    }
}
