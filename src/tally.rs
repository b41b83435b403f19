//! What was counted at the sender of a load since the start of a step.

mod samples;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meshy_experiment::event::{ArrivalSecond, AttemptCounts, ByAttempts, Counts, Sample, Tick, Totals};
use meshy_experiment::latency::{Latencies, Quantiles};
use meshy_load::{Ended, Outcome, Report};

use samples::Samples;

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
    report: Report,
    arrivals: Vec<ArrivalSecond>,
    latencies: BTreeMap<u64, u64>,
    latencies_now: BTreeMap<u64, u64>,
    samples: Samples,
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

    /// Counts requests that start now, of a load without an end: `at` after the start of the step.
    pub(crate) fn offer(&self, at: Duration, count: u64) {
        self.lock().second(at.as_secs() as usize).offered += count;
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request of a part that started `start` after the start of the step.
    pub(crate) fn ended(&self, ended: &Ended, start: Duration, deadline: Duration) {
        let mut counted = self.lock();
        let succeeded = ended.outcome.succeeded();
        let in_time = succeeded && ended.latency <= deadline;
        let status = status(ended.outcome);
        let intended = start + ended.intended;
        let counts = &mut counted.counts;
        counts.requests += 1;
        counts.succeeded += u64::from(succeeded);
        counts.in_time += u64::from(in_time);
        *counts.statuses.entry(status_name(status)).or_default() += 1;
        counted.second(intended.as_secs() as usize).in_time += u64::from(in_time);
        let micros = micros(ended.latency);
        counted.report.record(intended + ended.latency, ended.outcome, ended.attempts, micros);
        *counted.latencies.entry(rounded(micros)).or_default() += 1;
        *counted.latencies_now.entry(rounded(micros)).or_default() += 1;
        counted.samples.add(Sample {
            start_ms: intended.as_secs_f64() * 1000.0,
            latency_ms: ended.latency.as_secs_f64() * 1000.0,
            status,
            succeeded,
            attempts: ended.attempts,
        });
    }

    /// Takes the counts of the merged report of senders in the cluster. It has no single requests: goodput is counted in the second
    /// in which a response arrived, and there are no samples.
    pub(crate) fn follow(&self, report: &Report, deadline: Duration) {
        let mut counted = self.lock();
        let mut latencies: BTreeMap<u64, u64> = BTreeMap::new();
        for (highest, count) in report.outcomes().values().flat_map(meshy_load::Latencies::buckets) {
            *latencies.entry(rounded(highest)).or_default() += count;
        }
        for (micros, count) in &latencies {
            let before = counted.latencies.get(micros).copied().unwrap_or(0);
            *counted.latencies_now.entry(*micros).or_default() += count.saturating_sub(before);
        }
        for (start, second) in report.seconds() {
            let in_time = second.outcomes().iter().map(|(outcome, of)| in_time(*outcome, of, deadline)).sum();
            counted.second(*start as usize).in_time = in_time;
        }
        counted.counts = counts_of(report, 0, deadline);
        counted.report = report.clone();
        counted.latencies = latencies;
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
        (now, counted.samples.take())
    }

    /// Returns all latencies.
    pub(crate) fn latencies(&self) -> Latencies {
        Latencies::from_counts(self.lock().latencies.clone())
    }

    /// Returns the results in words, and the requests by their number of attempts.
    pub(crate) fn results(&self) -> (BTreeMap<String, u64>, ByAttempts) {
        results(&self.lock().report)
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

/// Returns the counts of senders whose merged report this is, as a tick of a step. `scheduled`: requests that were to start by then.
pub(crate) fn tick_of(
    report: &Report,
    (step, at): (&str, Duration),
    scheduled: u64,
    now: &meshy_load::Tick,
) -> Tick {
    let meshy_load::Latency { p50_ms, p95_ms, p99_ms, max_ms } = now.latency;
    Tick {
        step: step.to_owned(),
        at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
        load: counts_of(report, scheduled, DEADLINE),
        latency_now: (now.requests_count > 0).then_some(Quantiles { p50_ms, p95_ms, p99_ms, max_ms }),
        latency: latencies_of(report).quantiles(),
        ..Tick::default()
    }
}

/// Returns everything that senders counted whose merged report this is.
pub(crate) fn totals_of(report: &Report, length: Duration, scheduled: u64) -> Totals {
    let (results, attempts) = results(report);
    Totals {
        duration_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
        load: counts_of(report, scheduled, DEADLINE),
        results,
        attempts,
        latencies: latencies_of(report),
        ..Totals::default()
    }
}

fn counts_of(report: &Report, offered: u64, deadline: Duration) -> Counts {
    let mut counts =
        Counts { offered, requests: report.requests(), succeeded: report.succeeded(), ..Counts::default() };
    for (outcome, latencies) in report.outcomes() {
        counts.in_time += in_time(*outcome, latencies, deadline);
        *counts.statuses.entry(status_name(status(*outcome))).or_default() += latencies.count();
    }
    counts
}

/// The requests of an outcome that succeeded within the deadline.
fn in_time(outcome: Outcome, latencies: &meshy_load::Latencies, deadline: Duration) -> u64 {
    if !outcome.succeeded() {
        return 0;
    }
    latencies.buckets().filter(|(latency, _)| *latency <= micros(deadline)).map(|(_, count)| count).sum()
}

fn latencies_of(report: &Report) -> Latencies {
    Latencies::from_counts(report.outcomes().values().flat_map(meshy_load::Latencies::buckets))
}

/// The results in words, and the requests by their number of attempts.
fn results(report: &Report) -> (BTreeMap<String, u64>, ByAttempts) {
    let summary = report.summary(Duration::ZERO, 0.0, false);
    let attempts = summary.attempts_count.iter().map(|(attempts, requests)| {
        let succeeded = summary.attempts_succeeded_count.get(attempts).copied().unwrap_or_default();
        let p50_ms = summary.attempts_p50_ms.get(attempts).copied().unwrap_or_default();
        (*attempts, AttemptCounts { requests: *requests, succeeded, p50_ms })
    });
    (summary.outcomes_count.clone(), attempts.collect())
}

/// The status of a response; 0 where there was none.
fn status(outcome: Outcome) -> u16 {
    outcome.status().unwrap_or_default()
}

fn status_name(status: u16) -> String {
    if status == 0 { "none".to_owned() } else { status.to_string() }
}

fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)
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
    use meshy_experiment::event::MOST_SAMPLES;

    use super::*;

    #[test]
    fn the_counts_of_a_report_are_those_of_its_requests() {
        let tally = Tally::of(&[Part { start: Duration::ZERO, length: Duration::from_secs(2), rate: 2.0 }]);
        let mut report = Report::default();
        for (at, outcome, millis) in [
            (500, Outcome::Answer(200), 100),
            (1_500, Outcome::Answer(200), 2_500),
            (1_600, Outcome::Answer(503), 5),
            (1_700, Outcome::TimedOut, 9_000),
        ] {
            report.record(Duration::from_millis(at), outcome, None, millis * 1_000);
            tally.follow(&report, DEADLINE);
        }
        let counts = tally.counts(Duration::from_secs(2));
        assert_eq!((counts.offered, counts.requests, counts.succeeded, counts.in_time), (4, 4, 2, 1));
        let statuses = [("200", 2), ("503", 1), ("none", 1)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!(counts.statuses, BTreeMap::from(statuses));
        let second = |in_time| ArrivalSecond { offered: 2, in_time };
        assert_eq!(tally.arrivals(), [second(1), second(0)]);
        assert!(tally.take_now().0.is_some() && tally.take_now().0.is_none());
    }

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
    fn a_tick_of_many_requests_has_samples_of_its_whole_time() {
        let tally = Tally::default();
        for number in 0..2_000 {
            let ended = Ended {
                intended: Duration::from_micros(number * 500),
                outcome: Outcome::Answer(200),
                attempts: None,
                latency: Duration::from_millis(1),
            };
            tally.ended(&ended, Duration::ZERO, DEADLINE);
        }
        let samples = tally.tick("a", Duration::from_secs(1)).samples;
        assert_eq!(samples.len(), MOST_SAMPLES);
        let last = samples.iter().filter(|sample| sample.start_ms >= 750.0).count();
        assert!((100..=150).contains(&last), "{last} samples in the last quarter");
    }

    #[test]
    fn the_report_of_senders_has_the_counts_of_a_step() {
        let mut report = Report::default();
        for (outcome, attempts, millis) in
            [(Outcome::Answer(200), 2, 100), (Outcome::Answer(200), 1, 2500), (Outcome::TimedOut, 1, 3000)]
        {
            report.record(Duration::from_secs(1), outcome, Some(attempts), millis * 1000);
        }
        let totals = totals_of(&report, Duration::from_secs(2), 4);
        let load = &totals.load;
        assert_eq!((load.offered, load.requests, load.succeeded, load.in_time), (4, 3, 2, 1));
        assert_eq!(load.statuses, BTreeMap::from([("200".to_owned(), 2), ("none".to_owned(), 1)]));
        let attempts: Vec<(u32, u64, u64)> =
            totals.attempts.iter().map(|(number, one)| (*number, one.requests, one.succeeded)).collect();
        assert_eq!((attempts, totals.latencies.count()), (vec![(1, 2, 1), (2, 1, 1)], 3));
        let now = meshy_load::Tick::default();
        let tick = tick_of(&report, ("a", Duration::from_secs(1)), 4, &now);
        assert_eq!((tick.at_ms, tick.load.requests, tick.latency_now), (1000, 3, None));
    }

    #[test]
    fn a_latency_is_rounded_up_by_less_than_one_percent() {
        for micros in [0, 1, 999, 1000, 1001, 123_456] {
            let kept = rounded(micros);
            assert!(kept >= micros && kept as f64 <= micros as f64 * 1.01, "{micros}: {kept}");
        }
    }
}
