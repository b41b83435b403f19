//! Idle connections to upstreams: kept for a moment after a request, then closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::time::{Instant, sleep};

use crate::body::Payload;

/// The sending half of a connection.
pub(super) type Sender = SendRequest<Payload>;

/// The most idle connections. Each needs about 10 KiB, and at most [`super::MAX_BUFFER`] more.
const MAX_IDLE: usize = 256;

/// How long an idle connection is kept. Measured on a real Linkerd: while a client holds a connection to a service, its
/// proxy keeps what it discovered about that service and ignores a new ServiceProfile. One second is short compared to
/// the 5 s after which a proxy repeats the discovery, and long compared to the pauses within a load.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval of the check for expired connections, which runs while there are idle connections.
const CHECK: Duration = Duration::from_millis(250);

/// The idle connections by host and port.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    authorities: HashMap<String, Vec<(Sender, Instant)>>,
    /// Whether the task that closes expired connections runs.
    expiring: bool,
}

impl Idle {
    /// Removes and returns the connection that was used last, because its peer is the least likely to have closed it.
    pub(super) fn take(&self, authority: &str) -> Option<Sender> {
        let mut inner = self.lock();
        let senders = inner.authorities.get_mut(authority)?;
        while let Some((sender, _)) = senders.pop() {
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        inner.authorities.remove(authority);
        None
    }

    /// Keeps a connection for the next request to this host and port, or closes it if there are [`MAX_IDLE`] already.
    pub(super) fn keep(&self, authority: &str, sender: Sender) {
        let mut inner = self.lock();
        if inner.authorities.values().map(Vec::len).sum::<usize>() >= MAX_IDLE {
            return;
        }
        let idle = (sender, Instant::now());
        match inner.authorities.get_mut(authority) {
            Some(senders) => senders.push(idle),
            None => drop(inner.authorities.insert(authority.to_owned(), vec![idle])),
        }
        if !std::mem::replace(&mut inner.expiring, true) {
            tokio::spawn(self.clone().expire());
        }
    }

    /// Closes connections that were idle for [`IDLE_TIMEOUT`], until none is left.
    async fn expire(self) {
        loop {
            sleep(CHECK).await;
            let mut inner = self.lock();
            inner.authorities.retain(|_, senders| {
                senders.retain(|(_, since)| since.elapsed() < IDLE_TIMEOUT);
                !senders.is_empty()
            });
            if inner.authorities.is_empty() {
                inner.expiring = false;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
