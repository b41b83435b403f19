//! The last changes of a collection.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};

use super::Object;

/// How many changes a collection remembers. A watch further behind, or a page of an older list, is told `Expired`.
/// Enough for a list of 10,000 objects in pages of 500 beside a few hundred writes a second.
const KEPT: usize = 4096;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is another than before.
    Modified,
    /// It is gone; the event carries its last state, with the revision of the deletion.
    Deleted,
}

impl Change {
    /// The word in a watch event.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change.
#[derive(Debug)]
pub struct Event {
    /// What happened.
    pub change: Change,
    /// The object after it.
    pub object: Arc<Object>,
    /// The object before it, if there was one.
    pub before: Option<Arc<Object>>,
    line: OnceLock<Bytes>,
}

impl Event {
    pub(crate) fn new(change: Change, object: Arc<Object>, before: Option<Arc<Object>>) -> Self {
        Self { change, object, before, line: OnceLock::new() }
    }

    /// The line a watch sends for it, made once for all watchers.
    pub(crate) fn line(&self) -> Bytes {
        self.line.get_or_init(|| line(self.change.word(), &self.object.json())).clone()
    }
}

/// A watch's line: type and object, ended by a newline.
pub(crate) fn line(word: &str, object: &[u8]) -> Bytes {
    let mut text = BytesMut::with_capacity(object.len() + word.len() + 24);
    text.put_slice(b"{\"type\":\"");
    text.put_slice(word.as_bytes());
    text.put_slice(b"\",\"object\":");
    text.put_slice(object);
    text.put_slice(b"}\n");
    text.freeze()
}

/// Changes in the order of their revisions.
#[derive(Debug)]
pub(crate) struct Log {
    events: VecDeque<Arc<Event>>,
    /// Changes up to this revision are forgotten.
    forgotten: u64,
}

impl Log {
    pub(crate) fn starting_at(revision: u64) -> Self {
        Self { events: VecDeque::new(), forgotten: revision }
    }

    pub(crate) fn push(&mut self, event: Arc<Event>) {
        if self.events.len() == KEPT
            && let Some(oldest) = self.events.pop_front()
        {
            self.forgotten = oldest.object.revision();
        }
        self.events.push_back(event);
    }

    /// The changes after a revision, oldest first; `None` when some of them are forgotten.
    pub(crate) fn after(&self, revision: u64) -> Option<impl DoubleEndedIterator<Item = &Arc<Event>>> {
        if revision < self.forgotten {
            return None;
        }
        let from = self.events.partition_point(|event| event.object.revision() <= revision);
        Some(self.events.range(from..))
    }

    /// The oldest revision a watch may begin from.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}
