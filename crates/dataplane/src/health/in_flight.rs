//! An attempt that an endpoint is working on.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::breaker::Signal;
use super::{EndpointHealth, penalty};
use crate::classify::Class;

/// An attempt at an endpoint: part of its load until the first data of the response, and open for its breaker until the
/// response ends.
pub(crate) struct InFlight {
    health: Arc<EndpointHealth>,
    started: Instant,
    probe: bool,
    responded: bool,
    classified: bool,
    rate_limited: bool,
}

impl InFlight {
    pub(super) fn new(health: Arc<EndpointHealth>, started: Instant, probe: bool) -> Self {
        Self { health, started, probe, responded: false, classified: false, rate_limited: false }
    }

    /// Returns when the endpoint was chosen.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Records the head of the response: a failure counts as a slow response if the load is biased.
    pub(crate) fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.rate_limited = status == StatusCode::TOO_MANY_REQUESTS;
        let penalty = self.health.bias.and_then(|bias| penalty(bias, status, headers));
        if let Some(penalty) = penalty
            && !std::mem::replace(&mut self.responded, true)
        {
            self.health.load.end_with_penalty(penalty, Instant::now());
        }
    }

    /// Records the first data of the response.
    pub(crate) fn first_data(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.responded, true) {
            self.health.load.end(self.started, now);
        }
    }

    /// Records how the attempt ended.
    pub(crate) fn finish(mut self, class: Class) {
        const RESOURCE_EXHAUSTED: u8 = 8;
        self.classified = true;
        let signal = match class {
            _ if class.is_failure() => Signal::Failure,
            _ if self.rate_limited || class.grpc_status() == Some(RESOURCE_EXHAUSTED) => Signal::RateLimited,
            _ => Signal::Success,
        };
        if let Some(breaker) = &self.health.breaker
            && breaker.record(signal, self.probe, Instant::now())
        {
            self.health.available.notify_waiters();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.responded {
            self.first_data(Instant::now());
        }
        if self.probe
            && !self.classified
            && let Some(breaker) = &self.health.breaker
        {
            breaker.probe_canceled();
            self.health.available.notify_waiters();
        }
    }
}
