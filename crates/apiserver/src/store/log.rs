//! The last changes of a collection.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use super::Object;

/// Maximum changes in the log of a collection. A watch from an earlier revision, or a page of an older list, gets
/// `Expired`. Enough for a list of 10,000 objects in pages of 500 during a few hundred writes per second.
const CAPACITY: usize = 4096;

/// Maximum size of the objects in the log of a collection, in bytes as [`weight`] estimates them. Some 2,000 changes
/// of usual pods; objects of 3 MiB would otherwise keep 4,096 times their size.
const MAX_WEIGHT: usize = 48 << 20;

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

/// Changes in the order of their revisions.
#[derive(Debug)]
pub(crate) struct Log {
    /// Each change with the size of its object.
    events: VecDeque<(usize, Arc<Event>)>,
    /// The sum of these sizes.
    weight: usize,
    /// Changes up to this revision are not in the log any more.
    compacted: u64,
}

impl Log {
    pub(crate) fn starting_at(revision: u64) -> Self {
        Self { events: VecDeque::new(), weight: 0, compacted: revision }
    }

    pub(crate) fn push(&mut self, event: Arc<Event>) {
        let weight = weight(event.object.value());
        self.weight += weight;
        self.events.push_back((weight, event));
        // The last change stays: a watch that is up to date gets it.
        while (self.events.len() > CAPACITY || self.weight > MAX_WEIGHT)
            && self.events.len() > 1
            && let Some((weight, oldest)) = self.events.pop_front()
        {
            self.weight -= weight;
            self.compacted = oldest.object.revision();
        }
    }

    /// Returns the changes after a revision, oldest first, or `None` if the log no longer contains all of them.
    pub(crate) fn after(&self, revision: u64) -> Option<impl DoubleEndedIterator<Item = &Arc<Event>>> {
        if revision < self.compacted {
            return None;
        }
        let from = self.events.partition_point(|(_, event)| event.object.revision() <= revision);
        Some(self.events.range(from..).map(|(_, event)| event))
    }

    /// Returns the oldest revision from which a watch can start.
    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }
}

/// Returns an estimate of the memory of a value in bytes.
fn weight(value: &Value) -> usize {
    /// What an entry of a map takes next to its key and value.
    const ENTRY: usize = 48;
    let inner = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| ENTRY + name.len() + weight(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + inner
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
}
