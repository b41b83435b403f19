//! An attempt that an endpoint is working on.

use std::sync::Arc;

use tokio::time::Instant;

use super::EndpointHealth;
use crate::classify::Class;

/// An attempt at an endpoint: part of its load until the first data of the response, and open for its breaker until the
/// response ends.
pub(crate) struct InFlight {
    health: Arc<EndpointHealth>,
    started: Instant,
    probe: bool,
    responded: bool,
    classified: bool,
}

impl InFlight {
    pub(super) fn new(health: Arc<EndpointHealth>, started: Instant, probe: bool) -> Self {
        Self { health, started, probe, responded: false, classified: false }
    }

    /// Returns when the endpoint was chosen.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Records the first data of the response.
    pub(crate) fn first_data(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.responded, true) {
            self.health.load.end(self.started, now);
        }
    }

    /// Records how the attempt ended.
    pub(crate) fn finish(mut self, class: Class) {
        self.classified = true;
        if let Some(breaker) = &self.health.breaker
            && breaker.record(class.is_failure(), self.probe, Instant::now())
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
