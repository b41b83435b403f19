//! A recorded run: read from its file, replayed, and summarized.

mod read;
mod series;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

pub use read::ReadError;
pub use series::{Mark, MarkKind, Point, StepSeries};

use crate::event::{Event, Kind, RunStarted, RunStatus};
pub use crate::event::{Results, StepResult};

/// A run as its events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    events: Vec<Event>,
    truncated: bool,
}

impl Run {
    /// Builds a run from events in the order of time.
    pub fn new(events: Vec<Event>) -> Self {
        Self { events, truncated: false }
    }

    /// Adds the next event, as a live view does.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Returns all events, in the order of time.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Whether the file ended within an event: the run was killed.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// Returns the first event's content; `None` for a run without one.
    pub fn started(&self) -> Option<&RunStarted> {
        self.events.iter().find_map(|event| match &event.kind {
            Kind::RunStarted(started) => Some(started),
            _ => None,
        })
    }

    /// Returns how the run ended; `None` while it runs or after it was killed.
    pub fn status(&self) -> Option<RunStatus> {
        self.events.iter().rev().find_map(|event| match &event.kind {
            Kind::RunEnded(ended) => Some(ended.status),
            _ => None,
        })
    }

    /// Returns the time of the last event after the start of the run.
    pub fn duration(&self) -> Duration {
        self.events.last().map(Event::elapsed).unwrap_or_default()
    }

    /// Returns the events up to a time: what a replay has shown by then.
    pub fn until(&self, elapsed: Duration) -> &[Event] {
        &self.events[..self.events.partition_point(|event| event.elapsed() <= elapsed)]
    }

    /// Returns the events after one time and up to another: the next part of a replay.
    pub fn between(&self, after: Duration, until: Duration) -> &[Event] {
        let start = self.until(after).len();
        let end = self.until(until).len();
        &self.events[start.min(end)..end]
    }

    /// Returns the events second by second, from the start of the run; seconds without an event are empty.
    pub fn seconds(&self) -> impl Iterator<Item = &[Event]> {
        let last = self.duration().as_secs();
        (0..=last).map(|second| {
            let end = Duration::from_secs(second + 1).saturating_sub(Duration::from_millis(1));
            match second.checked_sub(1) {
                None => self.until(end),
                Some(before) => self.between(Duration::from_millis(before * 1000 + 999), end),
            }
        })
    }

    /// Returns what was measured.
    pub fn results(&self) -> Results {
        let mut results = Results::default();
        self.events.iter().for_each(|event| results.apply(event));
        results
    }

    /// Returns the variants in the order of the run; one `None` where it has none.
    pub fn variants(&self) -> Vec<Option<String>> {
        let names = self.started().map(|started| started.variants.clone()).unwrap_or_default();
        if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() }
    }
}
