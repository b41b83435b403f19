//! The newer metrics of a policy's routes, backends and retries.

use std::sync::Arc;
use std::time::Duration;

use super::Metrics;
use super::histogram::{BACKEND_SECONDS, FRAME_BYTES, Histogram, REQUEST_SECONDS};
use super::http::Short;
use super::labels::Labels;
use super::registry::Counter;

/// How a request ended: its status, or the error that took its place or cut its answer.
#[derive(Clone, Copy)]
struct End {
    status: Option<u16>,
    error: &'static str,
}

impl PartialEq for End {
    /// Mostly both have the same words, so those are compared last.
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
    ends: Short<End, Counter>,
}

impl RouteScope {
    /// `labels` are the parent's, the route's and the hostname's.
    pub(crate) fn new(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        Self {
            frames: metrics.policy_request_frames.get_or(&labels, || Histogram::new(&FRAME_BYTES)),
            duration: metrics.policy_request_duration.get_or(&labels, || Histogram::new(&REQUEST_SECONDS)),
            ends: Short::default(),
            metrics: metrics.clone(),
            labels,
        }
    }

    pub(crate) fn ended(&self, status: Option<u16>, error: &'static str, elapsed: Duration) {
        self.duration.observe_time(elapsed);
        let make = || self.metrics.policy_request_statuses.get(&end_labels(&self.labels, status, error));
        self.ends.with(&End { status, error }, make, |counter| counter.inc());
    }
}

/// The series of one backend of a route.
pub(crate) struct BackendScope {
    labels: Labels,
    metrics: Arc<Metrics>,
    pub(crate) requests: Arc<Counter>,
    pub(crate) frames: Arc<Histogram>,
    duration: Arc<Histogram>,
    ends: Short<End, Counter>,
}

impl BackendScope {
    /// `labels` are the parent's, the route's and the backend's.
    pub(crate) fn new(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        Self {
            requests: metrics.backend_requests.get(&labels),
            frames: metrics.backend_frames.get_or(&labels, || Histogram::new(&FRAME_BYTES)),
            duration: metrics.backend_duration.get_or(&labels, || Histogram::new(&BACKEND_SECONDS)),
            ends: Short::default(),
            metrics: metrics.clone(),
            labels,
        }
    }

    pub(crate) fn ended(&self, status: Option<u16>, error: &'static str, elapsed: Duration) {
        self.duration.observe_time(elapsed);
        let make = || self.metrics.backend_statuses.get(&end_labels(&self.labels, status, error));
        self.ends.with(&End { status, error }, make, |counter| counter.inc());
    }
}

fn end_labels(labels: &Labels, status: Option<u16>, error: &'static str) -> Labels {
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    labels.with("http_status", status).with("error", error)
}

/// The four counters of a route's retries, there as soon as the route has retries.
pub(crate) struct RetryScope {
    pub(crate) requests: Arc<Counter>,
    pub(crate) successes: Arc<Counter>,
    pub(crate) limit_exceeded: Arc<Counter>,
    pub(crate) overflow: Arc<Counter>,
}

impl RetryScope {
    pub(crate) fn new(metrics: &Metrics, labels: &Labels) -> Self {
        Self {
            requests: metrics.policy_retry_requests.get(labels),
            successes: metrics.policy_retry_successes.get(labels),
            limit_exceeded: metrics.policy_retry_limit_exceeded.get(labels),
            overflow: metrics.policy_retry_overflow.get(labels),
        }
    }
}
