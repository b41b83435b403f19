//! The `outbound_*` metrics of a policy's routes, backends and retries.

use std::sync::Arc;
use std::time::Duration;

use meshy_net::grpc_status_name;

use super::Metrics;
use super::histogram::{BACKEND_SECONDS, FRAME_BYTES, Histogram, REQUEST_SECONDS};
use super::http::SmallMap;
use super::labels::Labels;
use super::policy::PolicyFamilies;
use super::registry::{Counter, Family};

/// How a request ended: its status, and the error that took the place of a response or broke it.
#[derive(Clone, Copy)]
pub(crate) struct End {
    /// The HTTP status.
    pub(crate) status: Option<u16>,
    /// The gRPC status.
    pub(crate) grpc: Option<u8>,
    pub(crate) error: &'static str,
}

impl PartialEq for End {
    /// Errors are usually the same static text, so their addresses are compared first.
    fn eq(&self, other: &Self) -> bool {
        let same = std::ptr::eq(self.error, other.error);
        self.status == other.status && self.grpc == other.grpc && (same || self.error == other.error)
    }
}

/// The protocol of a route, which decides about its families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteProtocol {
    Http,
    Grpc,
}

impl RouteProtocol {
    fn families(self, metrics: &Metrics) -> &PolicyFamilies {
        match self {
            Self::Http => &metrics.http_policy,
            Self::Grpc => &metrics.grpc_policy,
        }
    }
}

/// Counters by how requests ended.
struct Ends {
    labels: Labels,
    metrics: Arc<Metrics>,
    protocol: RouteProtocol,
    family: fn(&PolicyFamilies) -> &Family<Counter>,
    counters: SmallMap<End, Counter>,
}

impl Ends {
    fn count(&self, end: End) {
        let create = || {
            let families = self.protocol.families(&self.metrics);
            let status = match (self.protocol, end) {
                (RouteProtocol::Http, End { status: Some(status), .. }) => status.to_string(),
                (RouteProtocol::Grpc, End { grpc: Some(code), .. }) => {
                    grpc_status_name(code.into()).unwrap_or("UNKNOWN").to_owned()
                }
                _ => String::new(),
            };
            let labels = self.labels.with(families.status_label, status).with("error", end.error);
            (self.family)(families).get(&labels)
        };
        self.counters.with(&end, create, |counter| counter.inc());
    }
}

/// The series of one route.
pub(crate) struct RouteScope {
    pub(crate) frames: Arc<Histogram>,
    duration: Arc<Histogram>,
    ends: Ends,
}

impl RouteScope {
    /// Creates the series; `labels` are those of the parent, of the route and of the hostname.
    pub(crate) fn new(metrics: &Arc<Metrics>, protocol: RouteProtocol, labels: Labels) -> Self {
        let families = protocol.families(metrics);
        Self {
            frames: families.request_frames.get_or(&labels, || Histogram::new(&FRAME_BYTES)),
            duration: families.request_duration.get_or(&labels, || Histogram::new(&REQUEST_SECONDS)),
            ends: Ends {
                family: |families| &families.request_statuses,
                counters: SmallMap::default(),
                metrics: metrics.clone(),
                protocol,
                labels,
            },
        }
    }

    pub(crate) fn ended(&self, end: End, elapsed: Duration) {
        self.duration.observe_time(elapsed);
        self.ends.count(end);
    }
}

/// The series of one backend of a route.
pub(crate) struct BackendScope {
    pub(crate) requests: Arc<Counter>,
    pub(crate) frames: Arc<Histogram>,
    duration: Arc<Histogram>,
    ends: Ends,
}

impl BackendScope {
    /// Creates the series; `labels` are those of the parent, of the route and of the backend.
    pub(crate) fn new(metrics: &Arc<Metrics>, protocol: RouteProtocol, labels: Labels) -> Self {
        let families = protocol.families(metrics);
        Self {
            requests: families.backend_requests.get(&labels),
            frames: families.backend_frames.get_or(&labels, || Histogram::new(&FRAME_BYTES)),
            duration: families.backend_duration.get_or(&labels, || Histogram::new(&BACKEND_SECONDS)),
            ends: Ends {
                family: |families| &families.backend_statuses,
                counters: SmallMap::default(),
                metrics: metrics.clone(),
                protocol,
                labels,
            },
        }
    }

    pub(crate) fn ended(&self, end: End, elapsed: Duration) {
        self.duration.observe_time(elapsed);
        self.ends.count(end);
    }
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
    pub(crate) fn new(metrics: &Metrics, protocol: RouteProtocol, labels: &Labels) -> Self {
        let families = protocol.families(metrics);
        Self {
            requests: families.retry_requests.get(labels),
            successes: families.retry_successes.get(labels),
            limit_exceeded: families.retry_limit_exceeded.get(labels),
            _overflow: families.retry_overflow.get(labels),
        }
    }
}
