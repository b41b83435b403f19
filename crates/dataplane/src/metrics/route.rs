//! The `outbound_*` metrics of a policy's routes, backends and retries.

use std::sync::Arc;
use std::time::Duration;

use super::Metrics;
use super::histogram::{BACKEND_SECONDS, FRAME_BYTES, Histogram, REQUEST_SECONDS};
use super::http::SmallMap;
use super::labels::Labels;
use super::registry::Counter;

/// How a request ended: its status, and the error that took the place of a response or broke it.
#[derive(Clone, Copy)]
struct End {
    status: Option<u16>,
    error: &'static str,
}

impl PartialEq for End {
    /// Errors are usually the same static text, so their addresses are compared first.
    fn eq(&self, other: &Self) -> bool {
        let same = std::ptr::eq(self.error, other.error);
        self.status == other.status && (same || self.error == other.error)
    }
}

/// The series of one route.
pub(crate) struct RouteScope {
    labels: Labels,
    metrics: Arc<Metrics>,
    pub(crate) frames: Arc<Histogram>,
    duration: Arc<Histogram>,
    ends: SmallMap<End, Counter>,
}

impl RouteScope {
    /// Creates the series; `labels` are those of the parent, of the route and of the hostname.
    pub(crate) fn new(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        Self {
            frames: metrics.policy_request_frames.get_or(&labels, || Histogram::new(&FRAME_BYTES)),
            duration: metrics.policy_request_duration.get_or(&labels, || Histogram::new(&REQUEST_SECONDS)),
            ends: SmallMap::default(),
            metrics: metrics.clone(),
            labels,
        }
    }

    pub(crate) fn ended(&self, status: Option<u16>, error: &'static str, elapsed: Duration) {
        self.duration.observe_time(elapsed);
        let create = || self.metrics.policy_request_statuses.get(&end_labels(&self.labels, status, error));
        self.ends.with(&End { status, error }, create, |counter| counter.inc());
    }
}

/// The series of one backend of a route.
pub(crate) struct BackendScope {
    labels: Labels,
    metrics: Arc<Metrics>,
    pub(crate) requests: Arc<Counter>,
    pub(crate) frames: Arc<Histogram>,
    duration: Arc<Histogram>,
    ends: SmallMap<End, Counter>,
}

impl BackendScope {
    /// Creates the series; `labels` are those of the parent, of the route and of the backend.
    pub(crate) fn new(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        Self {
            requests: metrics.backend_requests.get(&labels),
            frames: metrics.backend_frames.get_or(&labels, || Histogram::new(&FRAME_BYTES)),
            duration: metrics.backend_duration.get_or(&labels, || Histogram::new(&BACKEND_SECONDS)),
            ends: SmallMap::default(),
            metrics: metrics.clone(),
            labels,
        }
    }

    pub(crate) fn ended(&self, status: Option<u16>, error: &'static str, elapsed: Duration) {
        self.duration.observe_time(elapsed);
        let create = || self.metrics.backend_statuses.get(&end_labels(&self.labels, status, error));
        self.ends.with(&End { status, error }, create, |counter| counter.inc());
    }
}

fn end_labels(labels: &Labels, status: Option<u16>, error: &'static str) -> Labels {
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    labels.with("http_status", status).with("error", error)
}

/// The four counters of a route's retries; they exist, at zero, as soon as the route has retries.
pub(crate) struct RetryScope {
    pub(crate) requests: Arc<Counter>,
    pub(crate) successes: Arc<Counter>,
    pub(crate) limit_exceeded: Arc<Counter>,
    /// Stays 0: a retry waits for an endpoint as the first attempt does.
    _overflow: Arc<Counter>,
}

impl RetryScope {
    pub(crate) fn new(metrics: &Metrics, labels: &Labels) -> Self {
        Self {
            requests: metrics.policy_retry_requests.get(labels),
            successes: metrics.policy_retry_successes.get(labels),
            limit_exceeded: metrics.policy_retry_limit_exceeded.get(labels),
            _overflow: metrics.policy_retry_overflow.get(labels),
        }
    }
}
