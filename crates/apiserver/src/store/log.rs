//! The last changes of a collection.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};

use super::Object;

/// Maximum changes in the log of a collection. A watch from an earlier revision, or a page of an older list, gets
/// `Expired`. Enough for a list of 10,000 objects in pages of 500 during a few hundred writes per second.
const CAPACITY: usize = 4096;

/// Maximum size of the objects in the log of a collection, in bytes as [`Object::weight`] estimates them. Some 1,000
/// changes of usual pods; objects of 3 MiB, which take 40 MiB as a tree, would otherwise keep 4,096 times their size.
const MAX_WEIGHT: usize = 48 << 20;

/// Maximum size of the objects that stay in the log of a collection after a peak ([`Log::forget_peak`]), in bytes.
const MAX_WEIGHT_AFTER_PEAK: usize = 16 << 20;

/// A change that weighs more does not stay in the log after a peak, in bytes. A usual pod weighs about 40 KiB.
const LARGE: usize = 256 << 10;

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The object was created.
    Added,
    /// The object was changed.
    Modified,
    /// The object was removed; the event contains its last state, with the revision of the removal.
    Deleted,
}

impl Change {
    /// Returns the `type` of a watch event.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change of an object.
#[derive(Debug)]
pub struct Event {
    /// The kind of the change.
    pub change: Change,
    /// The object after the change.
    pub object: Arc<Object>,
    /// The object before the change; `None` for a new object.
    pub before: Option<Arc<Object>>,
    line: OnceLock<Bytes>,
}

impl Event {
    pub(crate) fn new(change: Change, object: Arc<Object>, before: Option<Arc<Object>>) -> Self {
        Self { change, object, before, line: OnceLock::new() }
    }

    /// Returns the estimated memory of the object and of the previous one in bytes.
    fn weight(&self) -> usize {
        self.object.weight() + self.before.as_ref().map_or(0, |before| before.weight())
    }

    /// Returns the line of a watch response, built once for all watches.
    pub(crate) fn line(&self) -> Bytes {
        self.line.get_or_init(|| line(self.change.event_type(), &self.object.json())).clone()
    }
}

/// Returns a line of a watch response: event type and object.
pub(crate) fn line(event_type: &str, object: &[u8]) -> Bytes {
    let mut text = BytesMut::with_capacity(object.len() + event_type.len() + 24);
    text.put_slice(b"{\"type\":\"");
    text.put_slice(event_type.as_bytes());
    text.put_slice(b"\",\"object\":");
    text.put_slice(object);
    text.put_slice(b"}\n");
    text.freeze()
}

/// A change, and the memory that it added to the log: the previous object is counted only if no earlier change of the
/// log has it. When that change goes first, the log keeps more than the sum, twice as much at most.
#[derive(Debug)]
struct Entry {
    weight: usize,
    event: Arc<Event>,
}

/// Changes in the order of their revisions.
#[derive(Debug)]
pub(crate) struct Log {
    events: VecDeque<Entry>,
    /// The sum of the weights.
    weight: usize,
    /// Changes up to this revision are not in the log any more.
    compacted: u64,
}

impl Log {
    pub(crate) fn starting_at(revision: u64) -> Self {
        Self { events: VecDeque::new(), weight: 0, compacted: revision }
    }

    pub(crate) fn push(&mut self, event: Arc<Event>) {
        let is_known = event.before.as_ref().is_some_and(|before| before.revision() > self.compacted);
        let weight = if is_known { event.object.weight() } else { event.weight() };
        self.weight += weight;
        self.events.push_back(Entry { weight, event });
        // The last change stays: a watch that is up to date gets it.
        while (self.events.len() > CAPACITY || self.weight > MAX_WEIGHT) && self.events.len() > 1 {
            self.forget(1);
        }
    }

    /// Drops the changes of large objects and those before them, and the oldest ones beyond 16 MiB. A watch that is up to
    /// date continues; one from an earlier revision gets `Expired`.
    pub(crate) fn forget_peak(&mut self) {
        let mut left = MAX_WEIGHT_AFTER_PEAK;
        let kept = self.events.iter().rev().map(|entry| entry.event.weight()).take_while(|weight| {
            let fits = *weight <= LARGE && *weight <= left;
            left = left.saturating_sub(*weight);
            fits
        });
        let count = self.events.len() - kept.count();
        self.forget(count);
        self.events.shrink_to_fit();
    }

    /// Drops the oldest changes.
    fn forget(&mut self, count: usize) {
        for Entry { weight, event } in self.events.drain(..count) {
            self.weight -= weight;
            self.compacted = event.object.revision();
        }
    }

    /// Returns the changes after a revision, oldest first, or `None` if the log no longer contains all of them.
    pub(crate) fn after(&self, revision: u64) -> Option<impl DoubleEndedIterator<Item = &Arc<Event>>> {
        if revision < self.compacted {
            return None;
        }
        let from = self.events.partition_point(|entry| entry.event.object.revision() <= revision);
        Some(self.events.range(from..).map(|entry| &entry.event))
    }

    /// Returns the oldest revision from which a watch can start.
    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(revision: u64, size: usize) -> Arc<Event> {
        let object = Object::new(json!({"data": "x".repeat(size)}), revision);
        Arc::new(Event::new(Change::Added, Arc::new(object), None))
    }

    #[test]
    fn log_of_large_objects_is_limited_by_their_size() {
        let mut log = Log::starting_at(0);
        (1..=100).for_each(|revision| log.push(event(revision, 1 << 20)));
        let kept: Vec<u64> =
            log.after(log.compacted()).unwrap().map(|event| event.object.revision()).collect();
        assert_eq!(kept, (54..=100).collect::<Vec<u64>>(), "47 MiB and what is next to the texts");
        assert!(log.weight <= MAX_WEIGHT && log.weight > 47 << 20, "{}", log.weight);
        assert!(log.after(52).is_none(), "a watch from an earlier revision expires");
    }

    #[test]
    fn last_change_stays_in_the_log_whatever_its_size() {
        let mut log = Log::starting_at(0);
        (1..=2).for_each(|revision| log.push(event(revision, MAX_WEIGHT)));
        assert_eq!(log.after(1).unwrap().count(), 1);
        assert!(log.after(0).is_none());
    }

    #[test]
    fn log_of_small_objects_is_limited_by_their_number() {
        let mut log = Log::starting_at(0);
        (1..=5000).for_each(|revision| log.push(event(revision, 1)));
        assert_eq!(log.after(log.compacted()).unwrap().count(), CAPACITY);
    }

    fn revisions(log: &Log) -> Vec<u64> {
        log.after(log.compacted()).unwrap().map(|event| event.object.revision()).collect()
    }

    #[test]
    fn changes_of_large_objects_and_those_before_them_are_forgotten_after_a_peak() {
        let mut log = Log::starting_at(0);
        (1..=4).for_each(|revision| log.push(event(revision, if revision == 2 { 1 << 20 } else { 1 })));
        log.forget_peak();
        assert_eq!((revisions(&log), log.compacted()), (vec![3, 4], 2));
        let before = Some(Arc::new(Object::new(json!({"data": "x".repeat(1 << 20)}), 4)));
        log.push(Arc::new(Event::new(Change::Deleted, Arc::new(Object::new(json!({}), 5)), before)));
        log.forget_peak();
        assert_eq!(
            (revisions(&log), log.compacted(), log.weight),
            (vec![], 5, 0),
            "its previous object is large"
        );
        log.push(event(6, 1));
        assert_eq!(log.after(5).unwrap().count(), 1, "a watch that is up to date continues");
        assert!(log.after(4).is_none());
    }

    #[test]
    fn small_changes_stay_up_to_16_mib_after_a_peak() {
        let mut log = Log::starting_at(0);
        (1..=100).for_each(|revision| log.push(event(revision, 200 << 10)));
        log.forget_peak();
        assert_eq!(revisions(&log), (20..=100).collect::<Vec<u64>>());
        assert!(log.weight <= MAX_WEIGHT_AFTER_PEAK, "{}", log.weight);
    }

    #[test]
    fn previous_object_is_counted_only_if_no_change_of_the_log_has_it() {
        let object = |revision| Arc::new(Object::new(json!({"data": "x".repeat(1 << 20)}), revision));
        let mut log = Log::starting_at(3);
        let (old, new) = (object(3), object(4));
        log.push(Arc::new(Event::new(Change::Modified, new.clone(), Some(old))));
        let weight = log.weight;
        log.push(Arc::new(Event::new(Change::Modified, object(5), Some(new))));
        assert_eq!((weight / (1 << 20), log.weight / (1 << 20)), (2, 3));
    }
}
