//! What was counted at the sender of a load since the start of a step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meshy_experiment::event::{
    ArrivalSecond, AttemptCounts, ByAttempts, Counts, MOST_SAMPLES, Sample, Tick, Totals,
};
use meshy_experiment::latency::{Latencies, Quantiles};
use meshy_load::{Ended, Outcome};

/// A response after this time does not count as goodput.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// A part of the load of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    /// When it starts, after the start of the step.
    pub(crate) start: Duration,
    /// How long requests are sent.
    pub(crate) length: Duration,
    /// Requests per second.
    pub(crate) rate: f64,
}

/// What was counted at the sender since the start of a step. Clones count together.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    counts: Counts,
    outcomes: meshy_load::Recorder,
    arrivals: Vec<ArrivalSecond>,
    latencies: BTreeMap<u64, u64>,
    latencies_now: BTreeMap<u64, u64>,
    samples: Vec<Sample>,
}

impl Tally {
    /// Returns a tally of a load with these parts.
    pub(crate) fn of(parts: &[Part]) -> Self {
        let tally = Self::default();
        for part in parts {
            let count = (part.rate * part.length.as_secs_f64()).round() as u64;
            for number in 0..count {
                let second = (part.start.as_secs_f64() + number as f64 / part.rate) as usize;
                tally.lock().second(second).offered += 1;
            }
        }
        tally
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request of a part that started `start` after the start of the step.
    pub(crate) fn ended(&self, ended: &Ended, start: Duration, deadline: Duration) {
        let mut counted = self.lock();
        let succeeded = ended.outcome.succeeded();
        let in_time = succeeded && ended.latency <= deadline;
        let status = match ended.outcome {
            Outcome::Answer(status) | Outcome::Carried(status) => status,
            Outcome::TimedOut | Outcome::Broken | Outcome::NeverSent | Outcome::ClientError => 0,
        };
        let intended = start + ended.intended;
        counted.outcomes.record(ended.outcome, ended.attempts, ended.latency);
        let counts = &mut counted.counts;
        counts.requests += 1;
        counts.succeeded += u64::from(succeeded);
        counts.in_time += u64::from(in_time);
        let name = if status == 0 { "none".to_owned() } else { status.to_string() };
        *counts.statuses.entry(name).or_default() += 1;
        counted.second(intended.as_secs() as usize).in_time += u64::from(in_time);
        let micros = u64::try_from(ended.latency.as_micros()).unwrap_or(u64::MAX);
        *counted.latencies.entry(rounded(micros)).or_default() += 1;
        *counted.latencies_now.entry(rounded(micros)).or_default() += 1;
        if counted.samples.len() < MOST_SAMPLES {
            counted.samples.push(Sample {
                start_ms: intended.as_secs_f64() * 1000.0,
                latency_ms: ended.latency.as_secs_f64() * 1000.0,
                status,
                succeeded,
                attempts: ended.attempts,
            });
        }
    }

    /// Returns the counts at a time after the start of the step, with those that were to start by then.
    pub(crate) fn counts(&self, at: Duration) -> Counts {
        let counted = self.lock();
        let whole = (at.as_secs() as usize).min(counted.arrivals.len());
        let mut offered: u64 = counted.arrivals[..whole].iter().map(|second| second.offered).sum();
        if let Some(part) = counted.arrivals.get(whole) {
            offered += (part.offered as f64 * at.as_secs_f64().fract()) as u64;
        }
        Counts { offered, ..counted.counts.clone() }
    }

    /// Takes the latencies and the samples since the last call.
    pub(crate) fn take_now(&self) -> (Option<Quantiles>, Vec<Sample>) {
        let mut counted = self.lock();
        let now = Latencies::from_counts(std::mem::take(&mut counted.latencies_now)).quantiles();
        (now, std::mem::take(&mut counted.samples))
    }

    /// Returns all latencies.
    pub(crate) fn latencies(&self) -> Latencies {
        Latencies::from_counts(self.lock().latencies.clone())
    }

    /// Returns the results in words, and the requests by their number of attempts.
    pub(crate) fn results(&self) -> (BTreeMap<String, u64>, ByAttempts) {
        let summary = self.lock().outcomes.summary(Duration::ZERO, 0.0, false);
        let attempts = summary.attempts_count.iter().map(|(attempts, requests)| {
            let succeeded = summary.attempts_succeeded_count.get(attempts).copied().unwrap_or_default();
            let p50_ms = summary.attempts_p50_ms.get(attempts).copied().unwrap_or_default();
            (*attempts, AttemptCounts { requests: *requests, succeeded, p50_ms })
        });
        (summary.outcomes_count.clone(), attempts.collect())
    }

    /// Returns the counts of a moment as a tick of a step.
    pub(crate) fn tick(&self, step: &str, at: Duration) -> Tick {
        let (latency_now, samples) = self.take_now();
        Tick {
            step: step.to_owned(),
            at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            load: self.counts(at),
            latency_now,
            latency: self.latencies().quantiles(),
            samples,
            ..Tick::default()
        }
    }

    /// Returns everything that was counted at the sender of a step of this length.
    pub(crate) fn totals(&self, length: Duration) -> Totals {
        let (results, attempts) = self.results();
        Totals {
            duration_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
            load: self.counts(length),
            results,
            attempts,
            latencies: self.latencies(),
            arrivals: self.arrivals(),
            ..Totals::default()
        }
    }

    /// Returns goodput by second of arrival.
    pub(crate) fn arrivals(&self) -> Vec<ArrivalSecond> {
        self.lock().arrivals.clone()
    }
}

impl Counted {
    fn second(&mut self, second: usize) -> &mut ArrivalSecond {
        if self.arrivals.len() <= second {
            self.arrivals.resize(second + 1, ArrivalSecond::default());
        }
        &mut self.arrivals[second]
    }
}

/// Rounds a latency up to three digits, so that the number of different values is bounded.
fn rounded(micros: u64) -> u64 {
    let mut unit = 1;
    while micros / unit >= 1000 {
        unit *= 10;
    }
    micros.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goodput_is_counted_in_the_second_of_arrival() {
        let part = Part { start: Duration::ZERO, length: Duration::from_secs(2), rate: 2.0 };
        let tally = Tally::of(&[part]);
        let ended = |intended: f64, status, latency: f64| Ended {
            intended: Duration::from_secs_f64(intended),
            outcome: Outcome::Answer(status),
            attempts: None,
            latency: Duration::from_secs_f64(latency),
        };
        for one in [ended(0.0, 200, 0.1), ended(0.5, 200, 2.5), ended(1.0, 503, 0.1), ended(1.5, 200, 1.9)] {
            tally.ended(&one, Duration::ZERO, DEADLINE);
        }
        let second = |offered, in_time| ArrivalSecond { offered, in_time };
        assert_eq!(tally.arrivals(), [second(2, 1), second(2, 1)]);
        let counts = tally.counts(Duration::from_secs(2));
        assert_eq!((counts.offered, counts.requests, counts.succeeded, counts.in_time), (4, 4, 3, 2));
        assert_eq!(counts.statuses, BTreeMap::from([("200".to_owned(), 3), ("503".to_owned(), 1)]));
        assert_eq!(tally.take_now().1.len(), 4);
        assert!(tally.take_now().1.is_empty());
    }

    #[test]
    fn a_latency_is_rounded_up_by_less_than_one_percent() {
        for micros in [0, 1, 999, 1000, 1001, 123_456] {
            let kept = rounded(micros);
            assert!(kept >= micros && kept as f64 <= micros as f64 * 1.01, "{micros}: {kept}");
        }
    }
}
