//! Circuit breaking: an endpoint that failed often enough in a row, or with a low success rate, gets no requests for a
//! while, then one.
//!
//! An open breaker rejects requests. (Linkerd's source calls that state closed.)

use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::time::Instant;

use super::success_rate::Window;
use crate::backoff::backoff;
use crate::policy::FailureAccrual;

/// The circuit breaker of one endpoint.
pub(super) struct Breaker {
    /// The endpoint's address, for the log.
    endpoint: SocketAddr,
    settings: FailureAccrual,
    state: Mutex<State>,
}

/// What a response means for a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Success,
    /// A success by which the endpoint reports that it is busy: a 429 or RESOURCE_EXHAUSTED. It lowers the success rate.
    RateLimited,
    Failure,
}

enum State {
    /// Requests pass; counts the failures in a row.
    Closed { failures: u32, rate: Option<Box<Window>> },
    /// Requests are rejected until then; `penalties` are those before this one.
    Open { until: Instant, penalties: u32 },
    /// One request passes and decides; `probing` while it is in flight.
    HalfOpen { probing: bool, penalties: u32 },
}

impl Breaker {
    pub(super) fn new(endpoint: SocketAddr, settings: FailureAccrual, now: Instant) -> Self {
        Self { endpoint, settings, state: Mutex::new(closed(&settings, now)) }
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
    pub(super) fn record(&self, signal: Signal, probe: bool, now: Instant) -> bool {
        let mut state = self.state.lock().expect("breaker lock");
        match &mut *state {
            State::Closed { failures, rate } => {
                *failures = if signal == Signal::Failure { failures.saturating_add(1) } else { 0 };
                let max_failures = self.settings.max_failures;
                let in_a_row = max_failures > 0 && *failures >= max_failures;
                let low_rate = rate.as_mut().is_some_and(|rate| rate.record(signal == Signal::Success, now));
                if in_a_row || low_rate {
                    tracing::debug!(endpoint = %self.endpoint, in_a_row, low_rate, "too many failures");
                    *state = self.open(now, 0);
                }
                false
            }
            State::HalfOpen { penalties, .. } if probe => {
                // With a success rate, a busy endpoint stays without requests.
                let failed = match signal {
                    Signal::Success => false,
                    Signal::RateLimited => self.settings.success_rate.is_some(),
                    Signal::Failure => true,
                };
                if failed {
                    *state = self.open(now, *penalties + 1);
                } else {
                    tracing::info!(endpoint = %self.endpoint, "circuit breaker closed");
                    *state = closed(&self.settings, now);
                }
                !failed
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

/// Returns the state of a breaker that has seen no response.
fn closed(settings: &FailureAccrual, now: Instant) -> State {
    let rate = settings.success_rate.map(|rate| Box::new(Window::new(rate, now)));
    State::Closed { failures: 0, rate }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Signal::{Failure, RateLimited, Success};
    use super::*;
    use crate::policy::SuccessRate;

    fn breaker(settings: FailureAccrual) -> Breaker {
        let endpoint = SocketAddr::from(([10, 244, 1, 1], 9090));
        Breaker::new(endpoint, FailureAccrual { jitter_ratio: 0.0, ..settings }, Instant::now())
    }

    fn without_jitter() -> Breaker {
        breaker(FailureAccrual::default())
    }

    #[tokio::test(start_paused = true)]
    async fn unified_also_opens_at_a_low_success_rate_and_counts_rate_limits() {
        let unified =
            FailureAccrual { success_rate: Some(SuccessRate::default()), ..FailureAccrual::default() };
        let now = Instant::now();
        let until_open = |settings: FailureAccrual, signals: &[Signal]| {
            let breaker = breaker(settings);
            let opens = |signal: &Signal| {
                breaker.record(*signal, false, now);
                !breaker.is_available(now)
            };
            signals.iter().position(opens).map(|index| index + 1)
        };
        let half = [Success, Failure].repeat(10);
        assert_eq!(until_open(unified, &half), Some(5), "3 of 5 succeeded");
        assert_eq!(until_open(FailureAccrual::default(), &half), None, "never seven in a row");
        assert_eq!(until_open(unified, &[RateLimited; 10]), Some(5));
        assert_eq!(until_open(FailureAccrual::default(), &[RateLimited; 10]), None);
        let rate = SuccessRate { min_responses: 1_000, ..SuccessRate::default() };
        let few = FailureAccrual { success_rate: Some(rate), ..FailureAccrual::default() };
        assert_eq!(until_open(few, &[Failure; 10]), Some(7), "failures in a row count as before");
        assert_eq!(until_open(FailureAccrual { max_failures: 0, ..few }, &[Failure; 10]), None);
    }

    fn fail(breaker: &Breaker, times: usize, now: Instant) {
        for _ in 0..times {
            breaker.record(Failure, false, now);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limited_probe_keeps_a_unified_breaker_open_and_a_success_clears_its_window() {
        let settings =
            FailureAccrual { success_rate: Some(SuccessRate::default()), ..FailureAccrual::default() };
        let (unified, start) = (breaker(settings), Instant::now());
        fail(&unified, 5, start);
        let first = unified.next_probe().unwrap();
        assert_eq!(unified.admit(first), Some(true));
        assert!(!unified.record(RateLimited, true, first));
        let second = unified.next_probe().unwrap();
        assert_eq!(second, first + Duration::from_secs(2), "the penalty doubled");
        assert_eq!(unified.admit(second), Some(true));
        assert!(unified.record(Success, true, second));
        fail(&unified, 4, second);
        assert!(unified.is_available(second), "four responses since the breaker closed");
        let consecutive = without_jitter();
        fail(&consecutive, 7, start);
        let probe = consecutive.next_probe().unwrap();
        assert_eq!(consecutive.admit(probe), Some(true));
        assert!(consecutive.record(RateLimited, true, probe), "a 429 is a success");
    }

    #[tokio::test(start_paused = true)]
    async fn seven_failures_in_a_row_open_the_breaker_and_a_success_resets_the_count() {
        let breaker = without_jitter();
        let now = Instant::now();
        for _ in 0..6 {
            breaker.record(Failure, false, now);
        }
        breaker.record(Success, false, now);
        for _ in 0..6 {
            breaker.record(Failure, false, now);
        }
        assert!(breaker.is_available(now));
        breaker.record(Failure, false, now);
        assert!(!breaker.is_available(now));
        assert_eq!(breaker.next_probe(), Some(now + Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_probes_after_each_doubled_penalty_and_a_success_closes_the_breaker() {
        let breaker = without_jitter();
        let mut now = Instant::now();
        for _ in 0..7 {
            breaker.record(Failure, false, now);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let until = now + Duration::from_secs(seconds);
            assert_eq!(breaker.next_probe(), Some(until));
            assert!(!breaker.is_available(until - Duration::from_millis(1)));
            assert_eq!(breaker.admit(until), Some(true));
            assert_eq!(breaker.admit(until), None, "exactly one request probes");
            // A late response to a request from before the breaker opened changes nothing.
            breaker.record(Success, false, until);
            breaker.record(Failure, true, until);
            now = until;
        }
        let until = breaker.next_probe().unwrap();
        assert_eq!(breaker.admit(until), Some(true));
        assert!(breaker.record(Success, true, until));
        assert_eq!(breaker.admit(until), Some(false));
    }
}
