//! Circuit breaking: an endpoint that failed often enough in a row gets no requests for a while, then one.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::FailureAccrual;

/// The breaker of one endpoint.
pub(super) struct Breaker {
    values: FailureAccrual,
    state: Mutex<State>,
}

enum State {
    /// Requests pass; so many failures in a row.
    Open { failures: u32 },
    /// No request passes until then; the penalty's number.
    Shut { until: Instant, times: u32 },
    /// One request passes; whether it is under way.
    Probation { asking: bool, times: u32 },
}

impl Breaker {
    pub(super) fn new(values: FailureAccrual) -> Self {
        Self { values, state: Mutex::new(State::Open { failures: 0 }) }
    }

    /// Whether a request would pass now.
    pub(super) fn is_available(&self, now: Instant) -> bool {
        match &*self.state.lock().expect("breaker lock") {
            State::Open { .. } => true,
            State::Shut { until, .. } => now >= *until,
            State::Probation { asking, .. } => !asking,
        }
    }

    /// Lets a request pass, if it still may. `Some(true)` marks it as the one that decides.
    pub(super) fn admit(&self, now: Instant) -> Option<bool> {
        let mut state = self.state.lock().expect("breaker lock");
        match &mut *state {
            State::Open { .. } => Some(false),
            State::Shut { until, times } if now >= *until => {
                *state = State::Probation { asking: true, times: *times };
                Some(true)
            }
            State::Shut { .. } => None,
            State::Probation { asking, .. } => (!std::mem::replace(asking, true)).then_some(true),
        }
    }

    /// When a shut endpoint admits its next request.
    pub(super) fn opens_at(&self) -> Option<Instant> {
        match &*self.state.lock().expect("breaker lock") {
            State::Shut { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Learns how a request ended. Answers of requests from before the breaker shut are ignored while it is shut, and
    /// in probation only the probe's counts. Returns whether the endpoint became available.
    pub(super) fn ended(&self, failure: bool, probe: bool, now: Instant) -> bool {
        let mut state = self.state.lock().expect("breaker lock");
        match &mut *state {
            State::Open { failures } if failure => {
                *failures += 1;
                if *failures >= self.values.max_failures {
                    *state = self.shut(now, 0);
                }
                false
            }
            State::Open { failures } => {
                *failures = 0;
                false
            }
            State::Probation { times, .. } if probe => {
                *state = if failure { self.shut(now, *times + 1) } else { State::Open { failures: 0 } };
                !failure
            }
            State::Shut { .. } | State::Probation { .. } => false,
        }
    }

    /// The probe went away without an answer: another may ask.
    pub(super) fn abandoned(&self) {
        if let State::Probation { asking, .. } = &mut *self.state.lock().expect("breaker lock") {
            *asking = false;
        }
    }

    fn shut(&self, now: Instant, times: u32) -> State {
        let jitter = rand::random::<f64>();
        State::Shut { until: now + penalty(&self.values, times, jitter), times }
    }
}

/// The penalty doubles each time up to its limit; `jitter` in 0 to 1 adds its share.
fn penalty(values: &FailureAccrual, times: u32, jitter: f64) -> Duration {
    backoff(values.min_penalty, values.max_penalty, values.jitter_ratio, times, jitter)
}

/// `min` doubled `times` times, and of that a share of at most `ratio`; never above `max`.
pub(super) fn backoff(min: Duration, max: Duration, ratio: f64, times: u32, jitter: f64) -> Duration {
    let base = min.checked_mul(2u32.saturating_pow(times)).unwrap_or(max).min(max);
    (base + base.mul_f64(ratio * jitter)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_jitter() -> Breaker {
        Breaker::new(FailureAccrual { jitter_ratio: 0.0, ..FailureAccrual::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn seven_failures_in_a_row_shut_it_and_a_success_in_between_starts_anew() {
        let breaker = no_jitter();
        let now = Instant::now();
        for _ in 0..6 {
            breaker.ended(true, false, now);
        }
        breaker.ended(false, false, now);
        for _ in 0..6 {
            breaker.ended(true, false, now);
        }
        assert!(breaker.is_available(now));
        breaker.ended(true, false, now);
        assert!(!breaker.is_available(now));
        assert_eq!(breaker.opens_at(), Some(now + Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_probes_after_each_doubled_penalty_and_a_success_opens() {
        let breaker = no_jitter();
        let mut now = Instant::now();
        for _ in 0..7 {
            breaker.ended(true, false, now);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let until = now + Duration::from_secs(seconds);
            assert_eq!(breaker.opens_at(), Some(until));
            assert!(!breaker.is_available(until - Duration::from_millis(1)));
            assert_eq!(breaker.admit(until), Some(true));
            assert_eq!(breaker.admit(until), None, "exactly one request probes");
            // A late answer from before decides nothing.
            breaker.ended(false, false, until);
            breaker.ended(true, true, until);
            now = until;
        }
        let until = breaker.opens_at().unwrap();
        assert_eq!(breaker.admit(until), Some(true));
        assert!(breaker.ended(false, true, until));
        assert_eq!(breaker.admit(until), Some(false));
    }

    #[test]
    fn jitter_adds_at_most_its_share_and_never_passes_the_limit() {
        let values = FailureAccrual::default();
        assert_eq!(penalty(&values, 1, 1.0), Duration::from_secs(3));
        assert_eq!(penalty(&values, 9, 1.0), Duration::from_secs(60));
    }
}
