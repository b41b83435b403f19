//! The last changes of a collection.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};

use super::Object;

/// Maximum changes in the log of a collection. A watch from an earlier revision, or a page of an older list, gets
/// `Expired`. Enough for a list of 10,000 objects in pages of 500 during a few hundred writes per second.
const CAPACITY: usize = 4096;

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
    events: VecDeque<Arc<Event>>,
    /// Changes up to this revision are not in the log any more.
    compacted: u64,
}

impl Log {
    pub(crate) fn starting_at(revision: u64) -> Self {
        Self { events: VecDeque::new(), compacted: revision }
    }

    pub(crate) fn push(&mut self, event: Arc<Event>) {
        if self.events.len() == CAPACITY
            && let Some(oldest) = self.events.pop_front()
        {
            self.compacted = oldest.object.revision();
        }
        self.events.push_back(event);
    }

    /// Returns the changes after a revision, oldest first, or `None` if the log no longer contains all of them.
    pub(crate) fn after(&self, revision: u64) -> Option<impl DoubleEndedIterator<Item = &Arc<Event>>> {
        if revision < self.compacted {
            return None;
        }
        let from = self.events.partition_point(|event| event.object.revision() <= revision);
        Some(self.events.range(from..))
    }

    /// Returns the oldest revision from which a watch can start.
    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }
}
