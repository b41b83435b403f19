//! What the page shows: the events of the current run, the state of the controls, and details of services. Viewers read from it
//! at their own pace: each has a position only, so a slow one costs no memory and delays no other.

mod history;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use meshy_experiment::event::{Event, Subscriber};
use meshy_experiment::run::Run;
use serde::Serialize;
use tokio::sync::watch;

use crate::control::{Details, State};
use history::History;

/// Ticks of a live run whose sampled requests a new viewer gets too: more than the wall shows.
const SAMPLED_TICKS: usize = 400;

/// The most bytes of events in one message to a viewer, apart from one event that is larger.
const MESSAGE: usize = 512 * 1024;

/// The events and the state that viewers get.
#[derive(Debug)]
pub struct Hub {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    history: History,
    state: Latest,
    details: Latest,
    closed: bool,
}

/// A document of which viewers get the latest version only.
#[derive(Debug, Default)]
struct Latest {
    version: u64,
    text: Bytes,
}

/// How far a viewer has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    epoch: u64,
    next: u64,
    state: u64,
    details: u64,
    ready: bool,
}

/// What a viewer gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Events, as a JSON list.
    Events(Bytes),
    /// The state of the controls, as JSON.
    State(Bytes),
    /// The details of services, as JSON.
    Details(Bytes),
    /// Everything that happened before the viewer came was sent.
    Ready,
}

impl Message {
    /// Returns the name of the message and its content.
    pub fn parts(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Events(text) => ("events", text),
            Self::State(text) => ("state", text),
            Self::Details(text) => ("details", text),
            Self::Ready => ("ready", b"{}"),
        }
    }
}

impl Latest {
    fn set(&mut self, document: &impl Serialize) -> bool {
        // Types with texts and numbers as keys cannot fail to be written.
        let text = Bytes::from(serde_json::to_vec(document).unwrap_or_default());
        let changed = self.text != text;
        if changed {
            self.version += 1;
            self.text = text;
        }
        changed
    }
}

impl Hub {
    /// Builds a hub for live runs: sampled requests are kept for the last ticks only.
    pub fn live(state: &State) -> Arc<Self> {
        Arc::new(Self::new(state, SAMPLED_TICKS))
    }

    /// Builds a hub that shows a recorded run.
    pub fn recorded(run: &Run, state: &State) -> Arc<Self> {
        let hub = Self::new(state, usize::MAX);
        run.events().iter().for_each(|event| hub.push(event));
        Arc::new(hub)
    }

    fn new(state: &State, sampled_ticks: usize) -> Self {
        let mut inner = Inner {
            history: History::new(sampled_ticks),
            state: Latest::default(),
            details: Latest::default(),
            closed: false,
        };
        inner.state.set(state);
        inner.details.set(&Details::default());
        Self { inner: Mutex::new(inner), changed: watch::Sender::new(0) }
    }

    /// A panic of another thread leaves a usable state: each change is complete before the next can panic.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Adds an event. The start of a run replaces the run before it.
    pub fn push(&self, event: &Event) {
        self.inner().history.push(event);
        self.notify();
    }

    /// Adds all events of a run until its recorder is dropped.
    pub async fn follow(&self, events: Subscriber) {
        while let Some(event) = events.next().await {
            self.push(&event);
        }
    }

    /// Replaces the state of the controls.
    pub fn set_state(&self, state: &State) {
        if self.inner().state.set(state) {
            self.notify();
        }
    }

    /// Replaces the details of services.
    pub fn set_details(&self, details: &Details) {
        if self.inner().details.set(details) {
            self.notify();
        }
    }

    /// Ends the streams of all viewers.
    pub fn close(&self) {
        self.inner().closed = true;
        self.notify();
    }

    /// Waits for the next message to a viewer; `None` after the last one before [`Hub::close`].
    pub async fn next(&self, position: &mut Position) -> Option<Message> {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            {
                let inner = self.inner();
                if let Some(message) = inner.read(position) {
                    return Some(message);
                }
                if inner.closed {
                    return None;
                }
            }
            // The sender is a field of this hub, so it is not gone.
            changed.changed().await.ok()?;
        }
    }

    /// Returns all that is needed to show the run again: state, details and events, each as JSON.
    pub fn snapshot(&self) -> (Bytes, Bytes, Vec<Bytes>) {
        let inner = self.inner();
        (inner.state.text.clone(), inner.details.text.clone(), inner.history.all())
    }
}

impl Inner {
    fn read(&self, position: &mut Position) -> Option<Message> {
        if position.state != self.state.version {
            position.state = self.state.version;
            return Some(Message::State(self.state.text.clone()));
        }
        if position.details != self.details.version {
            position.details = self.details.version;
            return Some(Message::Details(self.details.text.clone()));
        }
        if position.epoch != self.history.epoch() {
            (position.epoch, position.next) = (self.history.epoch(), 0);
        }
        let (events, next) = self.history.after(position.next, MESSAGE);
        position.next = next;
        if !events.is_empty() {
            return Some(Message::Events(list(&events)));
        }
        if !position.ready {
            position.ready = true;
            return Some(Message::Ready);
        }
        None
    }
}

/// Joins JSON documents as a JSON list.
pub(crate) fn list(documents: &[Bytes]) -> Bytes {
    let mut text = Vec::with_capacity(documents.iter().map(|one| one.len() + 1).sum::<usize>() + 2);
    text.push(b'[');
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(document);
    }
    text.push(b']');
    text.into()
}
