//! The events of one run as JSON, bounded: counts in ticks are cumulative, so ticks can be left out without a change of totals.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use meshy_experiment::event::{Event, Kind};
use serde_json::Value;

/// The most bytes of events: an hour of ticks each 250 ms with ten edges has about 30 MB.
const LARGEST: usize = 48 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    bytes: usize,
    largest: usize,
    sampled_ticks: usize,
    next: u64,
    epoch: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    /// The step of a tick, with its variant.
    tick: Option<(Option<String>, String)>,
    sampled: bool,
    text: Bytes,
}

impl History {
    /// Builds an empty history that keeps the sampled requests of so many last entries.
    pub(super) fn new(sampled_ticks: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, largest: LARGEST, sampled_ticks, next: 1, epoch: 1 }
    }

    #[cfg(test)]
    pub(super) fn with_limit(largest: usize) -> Self {
        Self { largest, ..Self::new(usize::MAX) }
    }

    /// Returns the number of the run.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn push(&mut self, event: &Event) {
        if matches!(event.kind, Kind::RunStarted(_)) && !self.entries.is_empty() {
            self.entries.clear();
            self.bytes = 0;
            self.epoch += 1;
        }
        let (tick, sampled) = match &event.kind {
            Kind::Tick(tick) => (Some((event.variant.clone(), tick.step.clone())), !tick.samples.is_empty()),
            _ => (None, false),
        };
        // Texts, numbers, and keys that are texts: cannot fail to be written.
        let text = Bytes::from(serde_json::to_vec(event).unwrap_or_default());
        self.bytes += text.len();
        self.entries.push_back(Entry { number: self.next, tick, sampled, text });
        self.next += 1;
        if let Some(old) = self.entries.len().checked_sub(self.sampled_ticks.saturating_add(1)) {
            self.bytes -= self.entries[old].drop_samples();
        }
        while self.bytes > self.largest && self.thin() {}
    }

    /// Makes it smaller; returns false if nothing can be left out. First sampled requests of the older half, then every other
    /// tick of the older half but the last of its step.
    fn thin(&mut self) -> bool {
        let (before, half) = (self.bytes, self.entries.len() / 2);
        let freed: usize = self.entries.range_mut(..half).map(Entry::drop_samples).sum();
        self.bytes -= freed;
        if freed > 0 {
            return true;
        }
        let mut last = HashMap::new();
        for entry in self.entries.iter().filter(|entry| entry.tick.is_some()) {
            last.insert(entry.tick.clone(), entry.number);
        }
        let mut odd = false;
        let mut index = 0;
        self.entries.retain(|entry| {
            index += 1;
            if index > half || entry.tick.is_none() || last.get(&entry.tick) == Some(&entry.number) {
                return true;
            }
            odd = !odd;
            odd
        });
        self.bytes = self.entries.iter().map(|entry| entry.text.len()).sum();
        self.bytes < before
    }

    /// Returns the events from a number on, at most about `limit` bytes, and the number to go on with.
    pub(super) fn after(&self, number: u64, limit: usize) -> (Vec<Bytes>, u64) {
        let start = self.entries.partition_point(|entry| entry.number < number);
        let (mut found, mut size, mut next) = (Vec::new(), 0, number);
        for entry in self.entries.range(start..) {
            size += entry.text.len();
            if size > limit && !found.is_empty() {
                break;
            }
            found.push(entry.text.clone());
            next = entry.number + 1;
        }
        (found, next)
    }

    /// Returns all events.
    pub(super) fn all(&self) -> Vec<Bytes> {
        self.entries.iter().map(|entry| entry.text.clone()).collect()
    }
}

impl Entry {
    /// Drops the sampled requests of a tick; returns how many bytes that saved.
    fn drop_samples(&mut self) -> usize {
        if !self.sampled {
            return 0;
        }
        self.sampled = false;
        let before = self.text.len();
        if let Ok(Value::Object(mut event)) = serde_json::from_slice(&self.text) {
            event.remove("samples");
            self.text = Bytes::from(serde_json::to_vec(&event).unwrap_or_default());
        }
        before.saturating_sub(self.text.len())
    }
}
