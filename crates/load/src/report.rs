//! The report of a load: what happened to each request, by second and outcome, in a form that can be merged.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::latencies::Latencies;
use super::outcome::Outcome;

/// The version of the serialized form.
const VERSION: u32 = 1;

/// The most entries of seconds. A longer run has entries of two seconds, then of four, and so on.
const MOST_SECONDS: u32 = 2_048;

/// More attempts than this are counted as this: no policy allows so many.
const MOST_ATTEMPTS: u32 = 100;

/// The significant digits of latencies of a second: its percentiles are within 1 %.
pub(crate) const SECOND_DIGITS: u8 = 2;

/// The significant digits of latencies of the whole.
const DIGITS: u8 = 3;

/// What happened to the requests of one or several senders.
///
/// Every count is a number of requests that ended. Memory is bounded by the number of different outcomes, not by the number of
/// requests or the length of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    version: u32,
    /// The seconds of each entry of `seconds`: a power of two.
    width_seconds: u32,
    /// By the second after the start in which an entry begins: requests that ended in it.
    seconds: BTreeMap<u32, Second>,
    outcomes: BTreeMap<Outcome, Latencies>,
    /// By the number of attempts, where the service reports it.
    attempts: BTreeMap<u32, Attempts>,
}

/// The requests that ended in one second: latencies by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second(BTreeMap<Outcome, Latencies>);

/// Requests with the same number of attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempts {
    /// How many of them succeeded.
    pub succeeded: u64,
    /// Their latencies.
    pub latencies: Latencies,
}

impl Default for Report {
    fn default() -> Self {
        let (seconds, outcomes, attempts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { version: VERSION, width_seconds: 1, seconds, outcomes, attempts }
    }
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// Returns an error if the text is not a report, or one of another version.
    pub fn from_json(text: &[u8]) -> anyhow::Result<Self> {
        Self::checked(serde_json::from_slice(text)?)
    }

    /// Returns a report that was read as part of another document.
    ///
    /// # Errors
    /// Returns an error if it has another version, or seconds that no report has.
    pub fn checked(report: Self) -> anyhow::Result<Self> {
        ensure!(report.version == VERSION, "the report has version {}, expected {VERSION}", report.version);
        let (width, last) = (report.width_seconds, report.last_second());
        ensure!(width.is_power_of_two() && last / width < MOST_SECONDS, "invalid width of seconds `{width}`");
        ensure!(
            report.seconds.keys().all(|second| second % width == 0),
            "an entry begins between two seconds"
        );
        Ok(report)
    }

    /// Counts a request that ended `at` after the start.
    pub fn record(&mut self, at: Duration, outcome: Outcome, attempts: Option<u32>, micros: u64) {
        let second = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        self.widen(self.width_seconds, second);
        let entry = self.seconds.entry(second / self.width_seconds * self.width_seconds).or_default();
        entry.0.entry(outcome).or_insert_with(|| Latencies::new(SECOND_DIGITS)).record(micros);
        self.outcomes.entry(outcome).or_insert_with(|| Latencies::new(DIGITS)).record(micros);
        if let Some(attempts) = attempts {
            let entry = self.attempts.entry(attempts.min(MOST_ATTEMPTS)).or_insert_with(Attempts::new);
            entry.succeeded += u64::from(outcome.succeeded());
            entry.latencies.record(micros);
        }
    }

    /// Adds the requests of another report. The result does not depend on the order in which reports are merged: it is the
    /// report of all their requests.
    pub fn merge(&mut self, other: &Self) {
        self.widen(self.width_seconds.max(other.width_seconds), self.last_second().max(other.last_second()));
        for (start, second) in &other.seconds {
            let start = start / self.width_seconds * self.width_seconds;
            self.seconds.entry(start).or_default().merge(second);
        }
        for (outcome, latencies) in &other.outcomes {
            self.outcomes.entry(*outcome).or_insert_with(|| Latencies::new(DIGITS)).merge(latencies);
        }
        for (number, attempts) in &other.attempts {
            let entry = self.attempts.entry(*number).or_insert_with(Attempts::new);
            entry.succeeded += attempts.succeeded;
            entry.latencies.merge(&attempts.latencies);
        }
    }

    /// Makes entries at least this wide, and so wide that `last` is in one of [`MOST_SECONDS`].
    fn widen(&mut self, least: u32, last: u32) {
        let mut width = least.max(self.width_seconds);
        while last / width >= MOST_SECONDS {
            width *= 2;
        }
        if width == self.width_seconds {
            return;
        }
        self.width_seconds = width;
        for (start, second) in std::mem::take(&mut self.seconds) {
            self.seconds.entry(start / width * width).or_default().merge(&second);
        }
    }

    /// Returns the second in which the last entry begins.
    pub fn last_second(&self) -> u32 {
        self.seconds.last_key_value().map_or(0, |(start, _)| *start)
    }

    /// Returns a copy without the seconds before `first`; totals are complete.
    #[must_use]
    pub fn since(&self, first: u32) -> Self {
        let first = first / self.width_seconds * self.width_seconds;
        let seconds = self.seconds.range(first..).map(|(start, second)| (*start, second.clone())).collect();
        Self {
            version: self.version,
            width_seconds: self.width_seconds,
            seconds,
            outcomes: self.outcomes.clone(),
            attempts: self.attempts.clone(),
        }
    }

    /// Brings this report up to date with a later one of the same sender without its seconds before `first`.
    ///
    /// # Errors
    /// Returns an error if the later report counts fewer requests: it belongs to another run.
    pub fn update(&mut self, later: Self, first: u32) -> anyhow::Result<()> {
        ensure!(later.requests() >= self.requests(), "the report of a sender lost requests");
        let mut later = later;
        self.widen(later.width_seconds, self.last_second());
        for (start, second) in std::mem::take(&mut self.seconds) {
            if start < first / later.width_seconds * later.width_seconds {
                later.seconds.insert(start, second);
            }
        }
        *self = later;
        Ok(())
    }

    /// Returns the number of requests.
    pub fn requests(&self) -> u64 {
        self.outcomes.values().map(Latencies::count).sum()
    }

    /// Returns the number of requests that succeeded.
    pub fn succeeded(&self) -> u64 {
        succeeded(&self.outcomes)
    }

    /// Returns the latencies by outcome, with three digits.
    pub fn outcomes(&self) -> &BTreeMap<Outcome, Latencies> {
        &self.outcomes
    }

    /// Returns the requests by the number of their attempts, where the service reports it.
    pub fn attempts(&self) -> &BTreeMap<u32, Attempts> {
        &self.attempts
    }

    /// Returns the entries of seconds by the second in which they begin.
    pub fn seconds(&self) -> &BTreeMap<u32, Second> {
        &self.seconds
    }

    /// Returns the seconds that each entry has.
    pub(crate) fn width_seconds(&self) -> u32 {
        self.width_seconds
    }
}

impl Second {
    /// Adds the requests of another second.
    pub fn merge(&mut self, other: &Self) {
        for (outcome, latencies) in &other.0 {
            self.0.entry(*outcome).or_insert_with(|| Latencies::new(SECOND_DIGITS)).merge(latencies);
        }
    }

    /// Returns the latencies by outcome, with two digits.
    pub fn outcomes(&self) -> &BTreeMap<Outcome, Latencies> {
        &self.0
    }

    /// Returns the latencies of all outcomes.
    pub fn latencies(&self) -> Latencies {
        let mut all = Latencies::new(SECOND_DIGITS);
        self.0.values().for_each(|latencies| all.merge(latencies));
        all
    }

    /// Returns the number of requests that succeeded.
    pub fn succeeded(&self) -> u64 {
        succeeded(&self.0)
    }
}

impl Attempts {
    fn new() -> Self {
        Self { succeeded: 0, latencies: Latencies::new(1) }
    }
}

fn succeeded(outcomes: &BTreeMap<Outcome, Latencies>) -> u64 {
    outcomes.iter().filter(|(outcome, _)| outcome.succeeded()).map(|(_, latencies)| latencies.count()).sum()
}

#[cfg(test)]
mod tests;
