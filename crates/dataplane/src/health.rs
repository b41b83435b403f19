//! What an endpoint's responses show about it: its load and the state of its circuit breaker.

mod breaker;
mod in_flight;
mod load;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use in_flight::InFlight;

use crate::policy::FailureAccrual;
use breaker::Breaker;
use load::Load;

/// The load and the circuit breaker of one endpoint.
pub(crate) struct EndpointHealth {
    load: Load,
    breaker: Option<Breaker>,
    /// Notified when a breaker of the service admits requests again.
    available: Arc<Notify>,
}

impl EndpointHealth {
    pub(crate) fn new(addr: SocketAddr, accrual: Option<FailureAccrual>, available: Arc<Notify>) -> Self {
        Self { load: Load::new(), breaker: accrual.map(|settings| Breaker::new(addr, settings)), available }
    }

    /// Whether a request would be admitted now.
    pub(crate) fn is_available(&self, now: Instant) -> bool {
        self.breaker.as_ref().is_none_or(|breaker| breaker.is_available(now))
    }

    /// Returns the load; smaller is better. Reading it lets the latency estimate decay.
    pub(crate) fn load(&self, now: Instant) -> f64 {
        self.load.current(now)
    }

    /// Returns when an open breaker admits its next request.
    pub(crate) fn next_probe(&self) -> Option<Instant> {
        self.breaker.as_ref()?.next_probe()
    }

    /// Admits an attempt, or returns `None` if the breaker rejects it.
    pub(crate) fn admit(self: &Arc<Self>, now: Instant) -> Option<InFlight> {
        let probe = match &self.breaker {
            Some(breaker) => breaker.admit(now)?,
            None => false,
        };
        self.load.begin();
        Some(InFlight::new(self.clone(), now, probe))
    }
}
