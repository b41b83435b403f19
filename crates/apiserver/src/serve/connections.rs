//! The open connections: their number is bounded, and those without authentication leave first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Maximum open connections; an idle one uses about 10 KiB.
pub(super) const MAX_CONNECTIONS: usize = 4096;
/// Timeout from the start of a connection to its first request, including the TLS handshake. Both normally take
/// milliseconds.
pub(super) const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout between requests of a connection on which no client has authenticated.
pub(super) const UNAUTHENTICATED_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Minimum time between two warnings about closed connections, so that many connections do not fill the log.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The open connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    /// By the order of their start.
    open: BTreeMap<u64, watch::Sender<Status>>,
    closed_early: u64,
    last_warning: Option<Instant>,
}

/// What a client has done on a connection.
#[derive(Clone, Copy, Debug)]
struct Status {
    /// Whether a request was received.
    has_request: bool,
    /// Requests that are being handled.
    active: usize,
    is_authenticated: bool,
    /// Whether the connection must make room for another one.
    is_displaced: bool,
    /// The start of the connection or the end of the last request.
    idle_since: Instant,
}

impl Connections {
    /// Returns an empty set that holds `max` connections.
    pub(super) fn new(max: usize) -> Self {
        Self { max, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection. If the set is full, the oldest connection without authentication is closed. Returns `None` if
    /// there is none: then the new connection must be closed.
    pub(super) fn open(self: &Arc<Self>) -> Option<Connection> {
        let mut state = self.lock();
        if state.open.len() >= self.max {
            let has_room = state.close_oldest();
            let what = if has_room { "the oldest one without authentication" } else { "a new one" };
            state.warn(&format!("{} connections are open: closed {what}", self.max));
            if !has_room {
                return None;
            }
        }
        let id = state.next_id;
        state.next_id += 1;
        let status = watch::Sender::new(Status {
            has_request: false,
            active: 0,
            is_authenticated: false,
            is_displaced: false,
            idle_since: Instant::now(),
        });
        state.open.insert(id, status.clone());
        Some(Connection { id, connections: self.clone(), status })
    }

    /// Closes the oldest connection without authentication, if there is one.
    pub(super) fn close_oldest(&self) {
        self.lock().close_oldest();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().open.len()
    }
}

impl State {
    fn close_oldest(&mut self) -> bool {
        let oldest = self.open.iter().find(|(_, status)| !status.borrow().is_authenticated);
        let Some(id) = oldest.map(|(id, _)| *id) else { return false };
        if let Some(status) = self.open.remove(&id) {
            status.send_modify(|status| status.is_displaced = true);
        }
        true
    }

    fn warn(&mut self, message: &str) {
        self.closed_early += 1;
        if self.last_warning.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL) {
            tracing::warn!(total = self.closed_early, "{message}");
            self.last_warning = Some(Instant::now());
        }
    }
}

/// A place among the open connections, until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    connections: Arc<Connections>,
    status: watch::Sender<Status>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.id);
    }
}

impl Connection {
    /// Records the start of a request, and its end when the result is dropped.
    pub(super) fn request(&self) -> ActiveRequest {
        self.status.send_modify(|status| {
            status.has_request = true;
            status.active += 1;
        });
        ActiveRequest(self.status.clone())
    }

    /// Waits until the connection must be closed: too long without a request, or displaced by another connection.
    pub(super) async fn expired(&self) {
        let mut changes = self.status.subscribe();
        loop {
            let status = *changes.borrow_and_update();
            if status.is_displaced {
                return;
            }
            let timeout = match status.has_request {
                true => UNAUTHENTICATED_IDLE_TIMEOUT,
                false => FIRST_REQUEST_TIMEOUT,
            };
            // `changed` cannot fail: this connection owns a sender.
            if status.is_authenticated || status.active > 0 {
                let _ = changes.changed().await;
            } else if timeout_at(status.idle_since + timeout, changes.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// A request that is being handled.
#[derive(Debug)]
pub(super) struct ActiveRequest(watch::Sender<Status>);

impl ActiveRequest {
    /// Records that the client of the request has authenticated.
    pub(super) fn set_authenticated(&self) {
        self.0.send_if_modified(|status| !std::mem::replace(&mut status.is_authenticated, true));
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.send_modify(|status| {
            status.active -= 1;
            status.idle_since = Instant::now();
        });
    }
}
