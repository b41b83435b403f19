//! Watches of a collection.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch::Receiver;

use crate::error::{ApiError, Result};
use crate::selector::Selector;
use crate::store::{Change, Collection, Event, Object};

/// Maximum changes that are read from the log at once.
const BATCH: usize = 256;

/// A cursor in the changes of a collection. It does not buffer unread changes: a reader that is too slow gets error 410
/// and must list again.
#[derive(Debug)]
pub struct Watch {
    collection: Arc<Collection>,
    namespace: Option<String>,
    selector: Selector,
    /// Revision up to which changes were read.
    revision: u64,
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
        Self { collection, namespace, selector, revision: after, changed, ready: VecDeque::new() }
    }

    /// Waits for the next change and returns it. An object that no longer matches the selector is reported as deleted.
    ///
    /// # Errors
    /// 410 if the log no longer contains the changes after the revision of this watch.
    pub async fn next(&mut self) -> Result<(Change, Arc<Event>)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            self.changed.borrow_and_update();
            if !self.fill()? {
                // Cannot fail: the watch keeps the collection, which owns the sender.
                let _ = self.changed.changed().await;
            }
        }
    }

    /// Returns the revision up to which all changes were returned.
    pub fn revision(&mut self) -> u64 {
        if self.ready.is_empty() && self.fill().is_ok_and(|found| !found) {
            self.revision = self.revision.max(self.collection.latest_revision_without_change(self.revision));
        }
        match self.ready.front() {
            Some((_, event)) => event.object.revision() - 1,
            None => self.revision,
        }
    }

    /// Reads the next changes from the log. Returns false if there are none.
    fn fill(&mut self) -> Result<bool> {
        let events = self.collection.changes(self.revision, BATCH).map_err(|oldest| {
            ApiError::expired(format!("too old resource version: {} ({oldest})", self.revision))
        })?;
        let Some(last) = events.last() else { return Ok(false) };
        self.revision = last.object.revision();
        for event in events {
            if let Some(change) = self.view(&event) {
                self.ready.push_back((change, event));
            }
        }
        Ok(true)
    }

    /// Returns the change from the point of view of this watch, or `None` if it is outside of its selection.
    fn view(&self, event: &Event) -> Option<Change> {
        let selected = |object: &Object| {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            self.namespace.as_deref().is_none_or(|watched| watched == namespace)
                && self.selector.matches(object)
        };
        if self.selector.is_empty() {
            return selected(&event.object).then_some(event.change);
        }
        let before = event.before.as_ref().is_some_and(|before| selected(before));
        let after = event.change != Change::Deleted && selected(&event.object);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(Change::Added),
            (true, true) => Some(Change::Modified),
            (true, false) => Some(Change::Deleted),
        }
    }
}
