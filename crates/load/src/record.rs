//! Counting the requests of a run while it goes on.

use std::time::Duration;

use super::Latencies;
use super::outcome::Outcome;
use super::report::{Report, SECOND_DIGITS};
use super::summary::{Tick, percentiles};

/// Counts of a run: the report of what happened so far, and the second that is not over yet.
#[derive(Debug)]
pub struct Recorder {
    report: Report,
    second: Latencies,
    succeeded: u64,
    ticked: f64,
    late: Option<Duration>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            report: Report::default(),
            second: Latencies::new(SECOND_DIGITS),
            succeeded: 0,
            ticked: 0.0,
            late: None,
        }
    }
}

impl Recorder {
    /// Counts a request that ended `at` after the start.
    pub fn record(&mut self, at: Duration, outcome: Outcome, attempts: Option<u32>, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.report.record(at, outcome, attempts, micros);
        self.second.record(micros);
        self.succeeded += u64::from(outcome.succeeded());
    }

    /// Ends a second; returns what it held.
    pub fn tick(&mut self, at: Duration) -> Tick {
        let at = at.as_secs_f64();
        let second = std::mem::replace(&mut self.second, Latencies::new(SECOND_DIGITS));
        let tick = Tick {
            at_seconds: self.ticked,
            length_seconds: at - self.ticked,
            requests_count: second.count(),
            succeeded_count: std::mem::take(&mut self.succeeded),
            latency: percentiles(&second),
        };
        self.ticked = at;
        tick
    }

    /// Notes how late the first request of this sender started.
    pub(crate) fn started(&mut self, late: Duration) {
        self.late.get_or_insert(late);
    }

    /// Returns how late the first request of this sender started; none before.
    pub fn late(&self) -> Option<Duration> {
        self.late
    }

    /// Returns what happened so far.
    pub fn report(&self) -> &Report {
        &self.report
    }
}
