//! What a run gave, computed from its report.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latencies::Latencies;
use super::outcome::Outcome;
use super::report::{Report, Second};

/// Percentiles of the time from a request's intended start to the last byte of its response, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Latency {
    /// The median.
    pub p50_ms: f64,
    /// The 95th percentile.
    pub p95_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The latency of the slowest request.
    pub max_ms: f64,
}

/// One second of a run, or more where a long run was condensed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tick {
    /// Since the start of the run.
    pub at_seconds: f64,
    /// How long it lasted.
    pub length_seconds: f64,
    /// Requests that ended in it.
    pub requests_count: u64,
    /// Those that succeeded.
    pub succeeded_count: u64,
    /// The latency of the requests that ended in it.
    pub latency: Latency,
}

impl Tick {
    /// Succeeded of all; none without requests.
    pub fn success_ratio(&self) -> Option<f64> {
        (self.requests_count > 0).then(|| self.succeeded_count as f64 / self.requests_count as f64)
    }
}

/// What was measured of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// How long it was.
    pub length_seconds: f64,
    /// The requested rate.
    pub wanted_requests_per_second: f64,
    /// The rate of requests that ended.
    pub requests_per_second: f64,
    /// Requests that ended.
    pub requests_count: u64,
    /// Those that succeeded.
    pub succeeded_count: u64,
    /// Succeeded requests divided by ended requests; null without requests.
    pub success_ratio: Option<f64>,
    /// The latency of all requests.
    pub latency: Latency,
    /// Requests by their result in words.
    pub outcomes_count: BTreeMap<String, u64>,
    /// Requests by the number of attempts, where the service reports it.
    pub attempts_count: BTreeMap<u32, u64>,
    /// Of these, those that succeeded.
    pub attempts_succeeded_count: BTreeMap<u32, u64>,
    /// Median latency by the number of attempts, in milliseconds.
    pub attempts_p50_ms: BTreeMap<u32, f64>,
    /// Requests by latency; empty in the record of an older version.
    #[serde(default)]
    pub histogram: Vec<Bucket>,
    /// Second by second.
    pub ticks: Vec<Tick>,
    /// Whether the run was ended before its time.
    pub interrupted: bool,
    /// Why requests are missing in these counts: a line per sender that died.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
}

/// The requests whose latency is at most `up_to_ms` and more than that of the bucket before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bucket {
    /// The highest latency, in milliseconds.
    pub up_to_ms: f64,
    /// How many requests.
    pub requests_count: u64,
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

    /// Returns the number of requests that this machine could not send because it had no file descriptor or port left.
    pub fn client_errors(&self) -> u64 {
        self.outcomes_count.get(&Outcome::ClientError.to_string()).copied().unwrap_or(0)
    }

    /// Returns the number of requests that left this machine, or tried to.
    pub fn sent_count(&self) -> u64 {
        let kept = [Outcome::NeverSent, Outcome::ClientError]
            .map(|outcome| self.outcomes_count.get(&outcome.to_string()).copied().unwrap_or(0));
        self.requests_count.saturating_sub(kept.iter().sum())
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

impl Report {
    /// Returns the summary of a run of this length, with `rate` requests per second.
    pub fn summary(&self, length: Duration, rate: f64, interrupted: bool) -> Summary {
        let mut all = Latencies::new(3);
        self.outcomes().values().for_each(|latencies| all.merge(latencies));
        let requests_count = all.count();
        let succeeded_count = self.succeeded();
        let length_seconds = length.as_secs_f64();
        let attempts = self.attempts();
        Summary {
            length_seconds,
            wanted_requests_per_second: rate,
            requests_per_second: requests_count as f64 / length_seconds.max(1e-9),
            requests_count,
            succeeded_count,
            success_ratio: (requests_count > 0).then(|| succeeded_count as f64 / requests_count as f64),
            latency: percentiles(&all),
            outcomes_count: self
                .outcomes()
                .iter()
                .map(|(outcome, of)| (words(*outcome), of.count()))
                .collect(),
            attempts_count: attempts.iter().map(|(number, of)| (*number, of.latencies.count())).collect(),
            attempts_succeeded_count: attempts.iter().map(|(number, of)| (*number, of.succeeded)).collect(),
            attempts_p50_ms: attempts
                .iter()
                .map(|(number, of)| (*number, of.latencies.at_quantile(0.5) as f64 / 1000.0))
                .collect(),
            histogram: histogram(all.buckets()),
            ticks: self.ticks(length_seconds),
            interrupted,
            incomplete: Vec::new(),
        }
    }

    /// Returns the seconds of a run of this length. Its end is seldom a whole second: less than half a second belongs to the
    /// second before.
    fn ticks(&self, length_seconds: f64) -> Vec<Tick> {
        let width = f64::from(self.width_seconds());
        let mut ticks: Vec<(Second, Tick)> = Vec::new();
        for (start, second) in self.seconds() {
            let at_seconds = f64::from(*start);
            let span = (length_seconds - at_seconds).clamp(0.0, width);
            match ticks.last_mut() {
                Some((last, tick)) if span < 0.5 => {
                    last.merge(second);
                    *tick = tick_of(last, tick.at_seconds, at_seconds + span - tick.at_seconds);
                }
                _ => ticks.push((second.clone(), tick_of(second, at_seconds, span))),
            }
        }
        ticks.into_iter().map(|(_, tick)| tick).collect()
    }
}

fn words(outcome: Outcome) -> String {
    outcome.to_string().trim_end().to_owned()
}

fn tick_of(second: &Second, at_seconds: f64, length_seconds: f64) -> Tick {
    let all = second.latencies();
    Tick {
        at_seconds,
        length_seconds,
        requests_count: all.count(),
        succeeded_count: second.succeeded(),
        latency: percentiles(&all),
    }
}

impl Latencies {
    /// Returns the percentiles in milliseconds.
    pub fn percentiles(&self) -> Latency {
        percentiles(self)
    }
}

/// Returns the percentiles in milliseconds.
pub(crate) fn percentiles(latencies: &Latencies) -> Latency {
    let at = |quantile| latencies.at_quantile(quantile) as f64 / 1000.0;
    Latency { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: latencies.max() as f64 / 1000.0 }
}

/// Returns ascending (microseconds, count) pairs in buckets that end at 1, 2 and 5 times a power of ten, from the first to the last
/// one in use.
pub fn histogram(latencies: impl IntoIterator<Item = (u64, u64)>) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    let mut ends = (2..10).flat_map(|power| [1, 2, 5].map(|first| first * 10u64.pow(power)));
    let mut end = ends.next().unwrap_or(u64::MAX);
    for (micros, count) in latencies {
        while micros > end {
            let Some(next) = ends.next() else { break };
            end = next;
            if !buckets.is_empty() {
                buckets.push(Bucket { up_to_ms: end as f64 / 1000.0, requests_count: 0 });
            }
        }
        match buckets.last_mut() {
            Some(last) => last.requests_count += count,
            None => buckets.push(Bucket { up_to_ms: end as f64 / 1000.0, requests_count: count }),
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_requests_have_no_ratio_and_no_histogram() {
        let summary = Report::default().summary(Duration::from_secs(1), 2.0, true);
        assert_eq!((summary.requests_count, summary.success_ratio), (0, None));
        assert!(summary.histogram.is_empty() && summary.ticks.is_empty());
    }

    #[test]
    fn the_histogram_has_each_request_once_and_no_gap() {
        let mut latencies = Latencies::new(3);
        [150, 180, 900, 45_000].into_iter().for_each(|micros| latencies.record(micros));
        let found: Vec<(f64, u64)> = histogram(latencies.buckets())
            .iter()
            .map(|bucket| (bucket.up_to_ms, bucket.requests_count))
            .collect();
        let expected = [(0.2, 2), (0.5, 0), (1.0, 1), (2.0, 0), (5.0, 0), (10.0, 0), (20.0, 0), (50.0, 1)];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_rest_of_a_second_at_the_end_belongs_to_the_second_before() {
        let mut report = Report::default();
        for (at, count) in [(0.5, 3), (1.2, 2), (2.01, 1)] {
            (0..count)
                .for_each(|_| report.record(Duration::from_secs_f64(at), Outcome::Answer(200), None, 5_000));
        }
        let ticks = report.summary(Duration::from_secs_f64(2.02), 2.0, false).ticks;
        let found: Vec<(f64, u64)> =
            ticks.iter().map(|tick| (tick.at_seconds, tick.requests_count)).collect();
        assert_eq!(found, [(0.0, 3), (1.0, 3)]);
        assert!((ticks[1].length_seconds - 1.02).abs() < 1e-9);
    }
}
