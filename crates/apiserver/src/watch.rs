//! Following the changes of a collection.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch::Receiver;

use crate::error::{ApiError, Result};
use crate::selector::Selector;
use crate::store::{Change, Collection, Event};

/// How many changes are taken from the log at a time.
const BATCH: usize = 256;

/// A cursor in a collection's changes. Holds nothing of what it has not read yet: a reader that falls too far behind
/// is told so (410) and lists again.
#[derive(Debug)]
pub struct Watch {
    collection: Arc<Collection>,
    namespace: Option<String>,
    selector: Selector,
    /// The revision up to which changes were looked at.
    seen: u64,
    changed: Receiver<u64>,
    ready: VecDeque<(Change, Arc<Event>)>,
}

impl Watch {
    pub(crate) fn new(
        collection: Arc<Collection>,
        namespace: Option<&str>,
        selector: Selector,
        after: u64,
    ) -> Self {
        let changed = collection.subscribe();
        let namespace = namespace.map(str::to_owned);
        Self { collection, namespace, selector, seen: after, changed, ready: VecDeque::new() }
    }

    /// The next change, as this watch sees it: an object that a selector no longer picks counts as deleted. Waits
    /// until there is one.
    ///
    /// # Errors
    /// 410 when the log no longer reaches back to where this watch is.
    pub async fn next(&mut self) -> Result<(Change, Arc<Event>)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            self.changed.borrow_and_update();
            if !self.fill()? {
                // The sender lives in the collection that this watch holds.
                let _ = self.changed.changed().await;
            }
        }
    }

    /// The revision up to which nothing was missed.
    pub fn revision(&mut self) -> u64 {
        if self.ready.is_empty() && self.fill().is_ok_and(|found| !found) {
            self.seen = self.seen.max(self.collection.settled_revision_if_idle(self.seen));
        }
        match self.ready.front() {
            Some((_, event)) => event.object.revision() - 1,
            None => self.seen,
        }
    }

    /// Takes the next changes from the log; false when there are none.
    fn fill(&mut self) -> Result<bool> {
        let events = self.collection.changes(self.seen, BATCH).map_err(|oldest| {
            ApiError::expired(format!("too old resource version: {} ({oldest})", self.seen))
        })?;
        let Some(last) = events.last() else { return Ok(false) };
        self.seen = last.object.revision();
        for event in events {
            if let Some(change) = self.view(&event) {
                self.ready.push_back((change, event));
            }
        }
        Ok(true)
    }

    fn view(&self, event: &Event) -> Option<Change> {
        let inside = |object: &crate::Object| {
            let space = object["metadata"]["namespace"].as_str().unwrap_or_default();
            self.namespace.as_deref().is_none_or(|wanted| wanted == space) && self.selector.matches(object)
        };
        if self.selector.is_empty() {
            return inside(&event.object).then_some(event.change);
        }
        let before = event.before.as_ref().is_some_and(|before| inside(before));
        let after = event.change != Change::Deleted && inside(&event.object);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(Change::Added),
            (true, true) => Some(Change::Modified),
            (true, false) => Some(Change::Deleted),
        }
    }
}
