//! Circuit breaking: an endpoint that failed often enough in a row gets no requests for a while, then one.
//!
//! An open breaker rejects requests. (Linkerd's source calls that state closed.)

use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::time::Instant;

use crate::backoff::backoff;
use crate::policy::FailureAccrual;

/// The circuit breaker of one endpoint.
pub(super) struct Breaker {
    /// The endpoint's address, for the log.
    endpoint: SocketAddr,
    settings: FailureAccrual,
    state: Mutex<State>,
}

enum State {
    /// Requests pass; counts the failures in a row.
    Closed { failures: u32 },
    /// Requests are rejected until then; `penalties` are those before this one.
    Open { until: Instant, penalties: u32 },
    /// One request passes and decides; `probing` while it is in flight.
    HalfOpen { probing: bool, penalties: u32 },
}

impl Breaker {
    pub(super) fn new(endpoint: SocketAddr, settings: FailureAccrual) -> Self {
        Self { endpoint, settings, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether a request would pass now.
    pub(super) fn is_available(&self, now: Instant) -> bool {
        match &*self.state.lock().expect("breaker lock") {
            State::Closed { .. } => true,
            State::Open { until, .. } => now >= *until,
            State::HalfOpen { probing, .. } => !probing,
        }
    }

    /// Lets a request pass if it may; `Some(true)` marks it as the probe that decides.
    pub(super) fn admit(&self, now: Instant) -> Option<bool> {
        let mut state = self.state.lock().expect("breaker lock");
        match &mut *state {
            State::Closed { .. } => Some(false),
            State::Open { until, penalties } if now >= *until => {
                *state = State::HalfOpen { probing: true, penalties: *penalties };
                tracing::info!(endpoint = %self.endpoint, "circuit breaker half-open: one request probes");
                Some(true)
            }
            State::Open { .. } => None,
            State::HalfOpen { probing, .. } => (!std::mem::replace(probing, true)).then_some(true),
        }
    }

    /// Returns when an open breaker admits its probe.
    pub(super) fn next_probe(&self) -> Option<Instant> {
        match &*self.state.lock().expect("breaker lock") {
            State::Open { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Records how a request ended. Responses to requests from before the breaker opened are ignored while it is open,
    /// and in the half-open state only the probe's counts. Returns whether the endpoint became available.
    pub(super) fn record(&self, failure: bool, probe: bool, now: Instant) -> bool {
        let mut state = self.state.lock().expect("breaker lock");
        match &mut *state {
            State::Closed { failures } if failure => {
                *failures += 1;
                if *failures >= self.settings.max_failures {
                    *state = self.open(now, 0);
                }
                false
            }
            State::Closed { failures } => {
                *failures = 0;
                false
            }
            State::HalfOpen { penalties, .. } if probe => {
                if failure {
                    *state = self.open(now, *penalties + 1);
                } else {
                    tracing::info!(endpoint = %self.endpoint, "circuit breaker closed");
                    *state = State::Closed { failures: 0 };
                }
                !failure
            }
            State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    /// The probe ended without a response: another request may probe.
    pub(super) fn probe_canceled(&self) {
        if let State::HalfOpen { probing, .. } = &mut *self.state.lock().expect("breaker lock") {
            *probing = false;
        }
    }

    /// The penalty doubles with each failed probe.
    fn open(&self, now: Instant, penalties: u32) -> State {
        let FailureAccrual { min_penalty, max_penalty, jitter_ratio, .. } = self.settings;
        let penalty = backoff(min_penalty, max_penalty, jitter_ratio, penalties, rand::random());
        tracing::info!(endpoint = %self.endpoint, ?penalty, "circuit breaker opened");
        State::Open { until: now + penalty, penalties }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn without_jitter() -> Breaker {
        let endpoint = SocketAddr::from(([10, 244, 1, 1], 9090));
        Breaker::new(endpoint, FailureAccrual { jitter_ratio: 0.0, ..FailureAccrual::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn seven_failures_in_a_row_open_the_breaker_and_a_success_resets_the_count() {
        let breaker = without_jitter();
        let now = Instant::now();
        for _ in 0..6 {
            breaker.record(true, false, now);
        }
        breaker.record(false, false, now);
        for _ in 0..6 {
            breaker.record(true, false, now);
        }
        assert!(breaker.is_available(now));
        breaker.record(true, false, now);
        assert!(!breaker.is_available(now));
        assert_eq!(breaker.next_probe(), Some(now + Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_probes_after_each_doubled_penalty_and_a_success_closes_the_breaker() {
        let breaker = without_jitter();
        let mut now = Instant::now();
        for _ in 0..7 {
            breaker.record(true, false, now);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let until = now + Duration::from_secs(seconds);
            assert_eq!(breaker.next_probe(), Some(until));
            assert!(!breaker.is_available(until - Duration::from_millis(1)));
            assert_eq!(breaker.admit(until), Some(true));
            assert_eq!(breaker.admit(until), None, "exactly one request probes");
            // A late response to a request from before the breaker opened changes nothing.
            breaker.record(false, false, until);
            breaker.record(true, true, until);
            now = until;
        }
        let until = breaker.next_probe().unwrap();
        assert_eq!(breaker.admit(until), Some(true));
        assert!(breaker.record(false, true, until));
        assert_eq!(breaker.admit(until), Some(false));
    }
}
