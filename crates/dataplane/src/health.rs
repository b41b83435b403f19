//! What an endpoint's responses show about it: its load and the state of its circuit breaker.

mod breaker;
mod in_flight;
mod load;
mod success_rate;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use in_flight::InFlight;

use crate::classify::is_grpc;
use crate::policy::{FailureAccrual, LoadBias};
use breaker::Breaker;
use load::Load;

/// How the endpoints of a service are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct HealthSettings {
    /// The circuit breaker.
    pub(crate) accrual: Option<FailureAccrual>,
    /// How failures add to the load.
    pub(crate) bias: Option<LoadBias>,
}

/// The load and the circuit breaker of one endpoint.
pub(crate) struct EndpointHealth {
    load: Load,
    breaker: Option<Breaker>,
    bias: Option<LoadBias>,
    /// Notified when a breaker of the service admits requests again.
    available: Arc<Notify>,
}

impl EndpointHealth {
    pub(crate) fn new(addr: SocketAddr, settings: HealthSettings, available: Arc<Notify>) -> Self {
        let breaker = settings.accrual.map(|accrual| Breaker::new(addr, accrual, Instant::now()));
        Self { load: Load::new(), breaker, bias: settings.bias, available }
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

/// Returns the latency that a response counts as if it is a failure: the penalty, or a longer `Retry-After` of a 429 or 503.
/// A date in `Retry-After` is not read.
fn penalty(bias: LoadBias, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let grpc = status == StatusCode::OK && is_grpc(headers);
    let code = number("grpc-status").filter(|_| grpc);
    let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    // RESOURCE_EXHAUSTED and UNAVAILABLE; then UNKNOWN, DEADLINE_EXCEEDED, INTERNAL and DATA_LOSS.
    let hint = match code {
        _ if is_busy => number("retry-after").map(Duration::from_secs),
        _ if status.is_server_error() => None,
        Some(8 | 14) => number("grpc-retry-pushback-ms").map(Duration::from_millis),
        Some(2 | 4 | 13 | 15) => None,
        _ => return None,
    };
    Some(hint.map_or(bias.penalty, |hint| hint.min(bias.max_retry_after).max(bias.penalty)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_as_a_slow_response_and_retry_after_prolongs_it() {
        let of = |status: u16, pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            });
            let headers = pairs.collect();
            let status = StatusCode::from_u16(status).unwrap();
            penalty(LoadBias::default(), status, &headers).map(|penalty| penalty.as_secs())
        };
        assert_eq!((of(200, &[]), of(404, &[]), of(500, &[]), of(429, &[])), (None, None, Some(5), Some(5)));
        assert_eq!(of(429, &[("retry-after", "60")]), Some(60));
        assert_eq!(of(503, &[("retry-after", "1")]), Some(5), "not shorter than the penalty");
        assert_eq!(of(503, &[("retry-after", "3600")]), Some(300), "at most the maximum");
        assert_eq!(of(500, &[("retry-after", "60")]), Some(5), "only of a 429 and a 503");
        let grpc = |code| of(200, &[("content-type", "application/grpc"), ("grpc-status", code)]);
        assert_eq!((grpc("0"), grpc("5"), grpc("8"), grpc("13")), (None, None, Some(5), Some(5)));
        assert_eq!(of(200, &[("grpc-status", "13")]), None, "not a gRPC response");
    }
}
