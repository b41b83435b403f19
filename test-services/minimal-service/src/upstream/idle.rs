//! Connections between two requests: kept for a moment, and closed when no request comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Sender;

/// Connections kept to one host and port, and hosts that connections are kept to.
const PER_HOST: usize = 64;
const HOSTS: usize = 64;

/// How long a connection is kept without a request. Measured on a real Linkerd: as long as a client holds a connection to a
/// service, its proxy holds what it discovered of that service, so a new ServiceProfile would be ignored through any
/// silence. Short beside the 5 s after which a proxy asks anew, so that silence is silence; long beside the pauses of a load.
const KEPT: Duration = Duration::from_secs(1);

/// How often they are looked through, while there are any.
const LOOK: Duration = Duration::from_millis(250);

/// The kept connections by host and port.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    places: HashMap<String, Vec<(Sender, Instant)>>,
    watched: bool,
}

impl Idle {
    /// The connection that was used last, as it is the least likely to be closed by its other end.
    pub(super) fn take(&self, place: &str) -> Option<Sender> {
        let mut inner = self.lock();
        let senders = inner.places.get_mut(place)?;
        while let Some((sender, _)) = senders.pop() {
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        inner.places.remove(place);
        None
    }

    pub(super) fn keep(&self, place: &str, sender: Sender) {
        let mut inner = self.lock();
        let kept = (sender, Instant::now());
        if let Some(senders) = inner.places.get_mut(place) {
            senders.retain(|(sender, _)| !sender.is_closed());
            if senders.len() < PER_HOST {
                senders.push(kept);
            }
        } else {
            if inner.places.len() == HOSTS {
                inner.places.clear();
            }
            inner.places.insert(place.to_owned(), vec![kept]);
        }
        if !std::mem::replace(&mut inner.watched, true) {
            tokio::spawn(self.clone().watch());
        }
    }

    /// Closes what no request wants, until nothing is kept.
    async fn watch(self) {
        loop {
            sleep(LOOK).await;
            let mut inner = self.lock();
            inner.places.retain(|_, senders| {
                senders.retain(|(_, since)| since.elapsed() < KEPT);
                !senders.is_empty()
            });
            if inner.places.is_empty() {
                inner.watched = false;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
