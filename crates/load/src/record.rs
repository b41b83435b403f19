//! Counting outcomes and latencies in memory that does not grow with the count.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;

/// Seconds kept one by one; beyond, neighbours are merged.
const MOST_TICKS: usize = 3_600;

/// Attempts beyond this count as this many: no policy goes there.
const MOST_TRIES: u32 = 100;

/// Percentiles of the time from a request's intended start to the last byte of its answer, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Latency {
    /// Half of the requests took at most this.
    pub p50_ms: f64,
    /// Nineteen of twenty.
    pub p95_ms: f64,
    /// Ninety-nine of a hundred.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// One second of a run, or more where a long run was condensed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tick {
    /// Since the run's begin.
    pub at_seconds: f64,
    /// How long it lasted.
    pub length_seconds: f64,
    /// Requests that ended in it.
    pub requests_count: u64,
    /// Those that gave the user what was asked for.
    pub succeeded_count: u64,
    /// Of those that ended in it.
    pub latency: Latency,
}

impl Tick {
    /// Succeeded of all; none without requests.
    pub fn success_ratio(&self) -> Option<f64> {
        (self.requests_count > 0).then(|| self.succeeded_count as f64 / self.requests_count as f64)
    }
}

/// What a run gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// How long it was.
    pub length_seconds: f64,
    /// The rate asked for.
    pub wanted_requests_per_second: f64,
    /// The rate of requests that ended.
    pub requests_per_second: f64,
    /// Requests that ended.
    pub requests_count: u64,
    /// Those that gave the user what was asked for.
    pub succeeded_count: u64,
    /// The share of those; none without requests.
    pub success_ratio: Option<f64>,
    /// Latencies of all.
    pub latency: Latency,
    /// Requests by what came of them, in words.
    pub outcomes_count: BTreeMap<String, u64>,
    /// Requests by the number of attempts, where the service reports it.
    pub attempts_count: BTreeMap<u32, u64>,
    /// Of these, those that succeeded.
    pub attempts_succeeded_count: BTreeMap<u32, u64>,
    /// Median latency by the number of attempts, in milliseconds.
    pub attempts_p50_ms: BTreeMap<u32, f64>,
    /// Second by second.
    pub ticks: Vec<Tick>,
    /// Whether the run was ended before its time.
    pub interrupted: bool,
}

/// Counts while a run goes on.
#[derive(Debug)]
pub struct Recorder {
    total: Histogram<u64>,
    second: Histogram<u64>,
    second_counts: (u64, u64),
    outcomes: BTreeMap<Outcome, u64>,
    attempts: BTreeMap<u32, AttemptStats>,
    ticks: Vec<Tick>,
    ticked: f64,
    merge: usize,
}

#[derive(Debug)]
struct AttemptStats {
    count: u64,
    succeeded: u64,
    latency: Histogram<u64>,
}

fn histogram(digits: u8) -> Histogram<u64> {
    // Microseconds up to ten minutes; what takes longer counts as ten minutes.
    Histogram::new_with_bounds(1, 600_000_000, digits).expect("bounds that a histogram takes")
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            total: histogram(3),
            second: histogram(3),
            second_counts: (0, 0),
            outcomes: BTreeMap::new(),
            attempts: BTreeMap::new(),
            ticks: Vec::new(),
            ticked: 0.0,
            merge: 1,
        }
    }
}

impl Recorder {
    /// Counts a request.
    pub fn record(&mut self, outcome: Outcome, attempts: Option<u32>, latency: Duration) {
        let micros = latency.as_micros().min(u128::from(u64::MAX)) as u64;
        self.total.saturating_record(micros.max(1));
        self.second.saturating_record(micros.max(1));
        *self.outcomes.entry(outcome).or_default() += 1;
        let succeeded = outcome.succeeded();
        self.second_counts.0 += 1;
        self.second_counts.1 += u64::from(succeeded);
        if let Some(attempts) = attempts {
            let stats = self.attempts.entry(attempts.min(MOST_TRIES)).or_insert_with(|| AttemptStats {
                count: 0,
                succeeded: 0,
                latency: histogram(1),
            });
            stats.count += 1;
            stats.succeeded += u64::from(succeeded);
            stats.latency.saturating_record(micros.max(1));
        }
    }

    /// Ends a second; gives what it held.
    pub fn tick(&mut self, at: Duration) -> Tick {
        let at = at.as_secs_f64();
        let (requests_count, succeeded_count) = std::mem::take(&mut self.second_counts);
        let tick = Tick {
            at_seconds: self.ticked,
            length_seconds: at - self.ticked,
            requests_count,
            succeeded_count,
            latency: percentiles(&self.second),
        };
        self.ticked = at;
        self.second.reset();
        match self.ticks.last_mut() {
            Some(last) if last.length_seconds + 0.5 < self.merge as f64 => merge(last, &tick),
            _ => self.ticks.push(tick),
        }
        if self.ticks.len() > MOST_TICKS {
            self.merge *= 2;
            let pairs = self.ticks.chunks(2).map(|pair| {
                let mut first = pair[0];
                pair.iter().skip(1).for_each(|second| merge(&mut first, second));
                first
            });
            self.ticks = pairs.collect();
        }
        tick
    }

    /// The whole so far.
    pub fn summary(&self, length: Duration, wanted_requests_per_second: f64, interrupted: bool) -> Summary {
        let requests_count: u64 = self.outcomes.values().sum();
        let succeeded = self.outcomes.iter().filter(|(outcome, _)| outcome.succeeded());
        let succeeded_count: u64 = succeeded.map(|(_, count)| count).sum();
        let length_seconds = length.as_secs_f64();
        Summary {
            length_seconds,
            wanted_requests_per_second,
            requests_per_second: requests_count as f64 / length_seconds.max(1e-9),
            requests_count,
            succeeded_count,
            success_ratio: (requests_count > 0).then(|| succeeded_count as f64 / requests_count as f64),
            latency: percentiles(&self.total),
            outcomes_count: self
                .outcomes
                .iter()
                .map(|(outcome, count)| (outcome.to_string().trim_end().to_owned(), *count))
                .collect(),
            attempts_count: self.attempts.iter().map(|(attempts, stats)| (*attempts, stats.count)).collect(),
            attempts_succeeded_count: self
                .attempts
                .iter()
                .map(|(attempts, stats)| (*attempts, stats.succeeded))
                .collect(),
            attempts_p50_ms: self
                .attempts
                .iter()
                .map(|(attempts, stats)| (*attempts, stats.latency.value_at_quantile(0.5) as f64 / 1000.0))
                .collect(),
            ticks: self.ticks.clone(),
            interrupted,
        }
    }
}

impl Summary {
    /// Attempts of all requests, where the service reported them.
    pub fn attempts(&self) -> u64 {
        self.attempts_count.iter().map(|(attempts, count)| u64::from(*attempts) * count).sum()
    }

    /// Whether requests were sent and not one was answered: every connection was refused or broke.
    pub fn unreached(&self) -> bool {
        self.requests_count > 0
            && self.outcomes_count.get(&Outcome::Broken.to_string()) == Some(&self.requests_count)
    }

    /// Returns the number of requests that this machine could not send for lack of file descriptors or ports.
    pub fn client_errors(&self) -> u64 {
        self.outcomes_count.get(&Outcome::ClientError.to_string()).copied().unwrap_or(0)
    }

    /// Returns the number of requests that left this machine, or tried to.
    pub fn sent_count(&self) -> u64 {
        let kept = [Outcome::NeverSent, Outcome::ClientError]
            .map(|outcome| self.outcomes_count.get(&outcome.to_string()).copied().unwrap_or(0));
        self.requests_count.saturating_sub(kept.iter().sum())
    }

    /// Drops what the answers said of attempts: each of several replicas knows only those that it saw itself.
    pub fn forget_attempts(&mut self) {
        self.attempts_count.clear();
        self.attempts_succeeded_count.clear();
        self.attempts_p50_ms.clear();
    }

    /// Requests whose number of attempts is known.
    pub fn reported(&self) -> u64 {
        self.attempts_count.values().sum()
    }

    /// Attempts beyond the first, per request; none where the service does not tell.
    pub fn added_attempts_per_request(&self) -> Option<f64> {
        (self.reported() > 0).then(|| self.attempts() as f64 / self.reported() as f64 - 1.0)
    }
}

/// Percentiles of merged seconds cannot be had from theirs: the worse of both is kept.
fn merge(first: &mut Tick, second: &Tick) {
    first.length_seconds += second.length_seconds;
    first.requests_count += second.requests_count;
    first.succeeded_count += second.succeeded_count;
    let (a, b) = (&mut first.latency, &second.latency);
    a.p50_ms = a.p50_ms.max(b.p50_ms);
    a.p95_ms = a.p95_ms.max(b.p95_ms);
    a.p99_ms = a.p99_ms.max(b.p99_ms);
    a.max_ms = a.max_ms.max(b.max_ms);
}

fn percentiles(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    Latency { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: histogram.max() as f64 / 1000.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_condensed_and_loses_no_request() {
        let mut recorder = Recorder::default();
        for second in 1..=10_000u64 {
            recorder.record(Outcome::Answer(200), Some(1), Duration::from_millis(2));
            recorder.record(Outcome::Answer(500), Some(3), Duration::from_millis(4));
            recorder.tick(Duration::from_secs(second));
        }
        let summary = recorder.summary(Duration::from_secs(10_000), 2.0, false);
        assert!(summary.ticks.len() <= MOST_TICKS);
        assert_eq!(summary.ticks.iter().map(|t| t.requests_count).sum::<u64>(), 20_000);
        assert_eq!((summary.requests_count, summary.success_ratio), (20_000, Some(0.5)));
        assert_eq!((summary.attempts(), summary.added_attempts_per_request()), (40_000, Some(1.0)));
        let covered: f64 = summary.ticks.iter().map(|t| t.length_seconds).sum();
        assert!((covered - 10_000.0).abs() < 1e-6);
    }

    #[test]
    fn nothing_sent_is_no_ratio() {
        let summary = Recorder::default().summary(Duration::from_secs(1), 2.0, true);
        assert_eq!((summary.requests_count, summary.success_ratio), (0, None));
    }
}
