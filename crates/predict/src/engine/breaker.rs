//! The circuit breaker of one endpoint, as one proxy keeps it. An open breaker rejects requests.

use super::Time;
use crate::model::Breaker;
use crate::random::Random;

pub(super) struct BreakerState {
    settings: Breaker,
    state: State,
}

enum State {
    /// Requests pass; counts the failures in a row.
    Closed { failures: u32 },
    /// Requests are rejected until then; `penalties` are those before this one.
    Open { until: Time, penalties: u32 },
    /// One request passes and decides; `probing` while it is in flight.
    HalfOpen { probing: bool, penalties: u32 },
}

/// What a recorded response changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// The breaker opened and admits a probe at that time.
    Opened(Time),
    Closed,
}

impl BreakerState {
    pub(super) fn new(settings: Breaker) -> Self {
        Self { settings, state: State::Closed { failures: 0 } }
    }

    /// Whether a request would pass now.
    pub(super) fn is_available(&self, now: Time) -> bool {
        match &self.state {
            State::Closed { .. } => true,
            State::Open { until, .. } => now >= *until,
            State::HalfOpen { probing, .. } => !probing,
        }
    }

    /// Lets a request pass if it may; `Some(true)` marks it as the probe that decides.
    pub(super) fn admit(&mut self, now: Time) -> Option<bool> {
        match &mut self.state {
            State::Closed { .. } => Some(false),
            State::Open { until, penalties } if now >= *until => {
                self.state = State::HalfOpen { probing: true, penalties: *penalties };
                Some(true)
            }
            State::Open { .. } => None,
            State::HalfOpen { probing, .. } => (!std::mem::replace(probing, true)).then_some(true),
        }
    }

    /// Records how a request ended. While the breaker is open or half-open only the probe's response counts.
    pub(super) fn record(&mut self, failure: bool, probe: bool, now: Time, random: &mut Random) -> Change {
        match &mut self.state {
            State::Closed { failures } if failure => {
                *failures += 1;
                if *failures >= self.settings.max_failures { self.open(now, 0, random) } else { Change::None }
            }
            State::Closed { failures } => {
                *failures = 0;
                Change::None
            }
            State::HalfOpen { penalties, .. } if probe && failure => {
                let penalties = *penalties + 1;
                self.open(now, penalties, random)
            }
            State::HalfOpen { .. } if probe => {
                self.state = State::Closed { failures: 0 };
                Change::Closed
            }
            State::Open { .. } | State::HalfOpen { .. } => Change::None,
        }
    }

    /// The probe ended without a response: another request may probe.
    pub(super) fn probe_canceled(&mut self) {
        if let State::HalfOpen { probing, .. } = &mut self.state {
            *probing = false;
        }
    }

    /// The penalty doubles with each failed probe.
    fn open(&mut self, now: Time, penalties: u32, random: &mut Random) -> Change {
        let Breaker { min_penalty, max_penalty, jitter_ratio, .. } = self.settings;
        let (min, max) = (min_penalty.as_nanos() as f64, max_penalty.as_nanos() as f64);
        let penalty = backoff(min, max, jitter_ratio, penalties, random.unit());
        let until = now + penalty;
        self.state = State::Open { until, penalties };
        Change::Opened(until)
    }
}

/// Returns `min` doubled `times` times, at most `max`, plus `jitter` (0 to 1) times `ratio` of that time, the sum at most
/// `max` as well. In nanoseconds.
pub(super) fn backoff(min: f64, max: f64, ratio: f64, times: u32, jitter: f64) -> Time {
    let base = (min * 2f64.powi(times.min(64) as i32)).min(max);
    (base * (1.0 + ratio * jitter)).min(max) as Time
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::SECOND;
    use super::*;

    #[test]
    fn jitter_adds_at_most_its_share_and_never_exceeds_the_maximum() {
        let (second, minute) = (1e9, 6e10);
        assert_eq!(backoff(second, minute, 0.5, 1, 0.0), 2 * SECOND);
        assert_eq!(backoff(second, minute, 0.5, 1, 1.0), 3 * SECOND);
        assert_eq!(backoff(second, minute, 0.5, 9, 1.0), 60 * SECOND);
        assert_eq!(backoff(second, minute, 0.5, u32::MAX, 0.0), 60 * SECOND);
    }

    #[test]
    fn seven_failures_open_the_breaker_and_one_probe_after_each_doubled_penalty_decides() {
        let mut random = Random::new(1, 0);
        let mut breaker = BreakerState::new(Breaker { jitter_ratio: 0.0, ..Breaker::default() });
        for _ in 0..6 {
            breaker.record(true, false, 0, &mut random);
        }
        breaker.record(false, false, 0, &mut random);
        for _ in 0..6 {
            assert_eq!(breaker.record(true, false, 0, &mut random), Change::None);
        }
        assert_eq!(breaker.record(true, false, 0, &mut random), Change::Opened(SECOND));
        let mut now = SECOND;
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            assert!(!breaker.is_available(now - 1));
            assert_eq!(breaker.admit(now), Some(true));
            assert_eq!(breaker.admit(now), None, "exactly one request probes");
            assert_eq!(
                breaker.record(false, false, now, &mut random),
                Change::None,
                "late responses are ignored"
            );
            let until = now + seconds * SECOND;
            assert_eq!(breaker.record(true, true, now, &mut random), Change::Opened(until));
            now = until;
        }
        assert_eq!(breaker.admit(now), Some(true));
        assert_eq!(breaker.record(false, true, now, &mut random), Change::Closed);
        assert_eq!(breaker.admit(now), Some(false));
        assert_eq!(Breaker::default().min_penalty, Duration::from_secs(1));
    }
}
