//! The open connections of the ingress: clients that wait with the head or the body of a request cannot keep others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Open connections from which on a new one displaces another. Less than the limit of [`super::host_port`], so that a new
/// connection does not wait in the backlog of the socket.
const MAX_CONNECTIONS: usize = 4000;
/// Requests with an incomplete body from which on a new one displaces another. Each one uses about 130 KiB in the buffers
/// of the ingress, its proxy and the service.
const MAX_INCOMPLETE_BODIES: usize = 512;
/// Timeout from the start of a connection to the head of its first request.
pub(super) const FIRST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout between two parts of a body; the default of `client_body_timeout` in nginx.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval in which [`BODY_TIMEOUT`] is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Minimum time between two warnings about displaced connections, so that many connections do not fill the log.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    max_bodies: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    open: BTreeMap<u64, Entry>,
    incomplete_bodies: usize,
    displaced: u64,
    last_warning: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    phase: Phase,
    /// The start of the phase.
    since: Instant,
    displaced: Arc<Notify>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The client: the head of its first request.
    FirstHead,
    /// The client: the head of another request.
    Head,
    /// The client: a part of the body.
    Body,
    /// The service.
    Response,
}

impl Default for Connections {
    fn default() -> Self {
        Self::new(MAX_CONNECTIONS, MAX_INCOMPLETE_BODIES)
    }
}

impl Connections {
    pub(super) fn new(max: usize, max_bodies: usize) -> Self {
        Self { max, max_bodies, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection. If too many are open, the one whose client has been waiting longest is closed.
    pub(super) fn open(self: &Arc<Self>) -> Connection {
        let mut state = self.lock();
        if state.open.len() >= self.max && state.displace(|phase| phase != Phase::Response) {
            state.warn(&format!("{} connections are open", self.max));
        }
        let id = state.next_id;
        state.next_id += 1;
        let displaced = Arc::new(Notify::new());
        let entry = Entry { phase: Phase::FirstHead, since: Instant::now(), displaced: displaced.clone() };
        state.open.insert(id, entry);
        Connection { id, connections: self.clone(), displaced }
    }

    fn set_phase(&self, id: u64, phase: Phase) {
        let mut state = self.lock();
        let Some(entry) = state.open.get_mut(&id) else { return };
        let before = std::mem::replace(&mut entry.phase, phase);
        if before == phase {
            return;
        }
        entry.since = Instant::now();
        if before == Phase::Body {
            state.incomplete_bodies -= 1;
        }
        if phase == Phase::Body {
            if state.incomplete_bodies >= self.max_bodies && state.displace(|phase| phase == Phase::Body) {
                state.warn(&format!("{} requests with an incomplete body are open", self.max_bodies));
            }
            // The connection itself is not displaced: it is the last one that began to wait.
            state.incomplete_bodies += 1;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().open.len()
    }
}

impl State {
    /// Closes the connection that has been in one of these phases for the longest time. Returns whether there is one.
    fn displace(&mut self, is_candidate: impl Fn(Phase) -> bool) -> bool {
        let candidates = self.open.iter().filter(|(_, entry)| is_candidate(entry.phase));
        let Some(id) = candidates.min_by_key(|(_, entry)| entry.since).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(entry) = self.remove(id) {
            entry.displaced.notify_one();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.open.remove(&id)?;
        if entry.phase == Phase::Body {
            self.incomplete_bodies -= 1;
        }
        Some(entry)
    }

    fn warn(&mut self, why: &str) {
        self.displaced += 1;
        if self.last_warning.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL) {
            let total = self.displaced;
            tracing::warn!(total, "{why}: the ingress closed the one whose client has been waiting longest");
            self.last_warning = Some(Instant::now());
        }
    }
}

/// A place among the open connections, until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    connections: Arc<Connections>,
    displaced: Arc<Notify>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
    }
}

impl Connection {
    /// Records that the service must act: the head or a part of the body is complete.
    pub(super) fn set_response(&self) {
        self.connections.set_phase(self.id, Phase::Response);
    }

    /// Records that the client must send a part of the body.
    pub(super) fn set_body(&self) {
        self.connections.set_phase(self.id, Phase::Body);
    }

    /// Records the end of a response.
    pub(super) fn set_head(&self) {
        self.connections.set_phase(self.id, Phase::Head);
    }

    /// Waits until the connection must be closed: displaced, or a timeout of its client.
    pub(super) async fn expired(&self) {
        let mut next = Instant::now() + FIRST_HEAD_TIMEOUT;
        while timeout_at(next, self.displaced.notified()).await.is_err() {
            let now = Instant::now();
            let deadline = match self.connections.lock().open.get(&self.id) {
                None => return,
                Some(Entry { phase: Phase::FirstHead, .. }) => now,
                Some(Entry { phase: Phase::Body, since, .. }) => *since + BODY_TIMEOUT,
                Some(_) => now + CHECK_INTERVAL,
            };
            if deadline <= now {
                return;
            }
            next = deadline.min(now + CHECK_INTERVAL);
        }
    }
}
