//! Destinations and their routes, cached while they are in use and for five seconds after.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::context::Context;
use super::logical::Logical;
use crate::policy::{Egress, Policy};
use crate::target::{Destination, Endpoint, Target};

/// How long an unused discovery is kept; Linkerd's `OUTBOUND_DISCOVERY_IDLE_TIMEOUT`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The discovered destinations.
pub(super) struct Discover {
    context: Arc<Context>,
    cache: Arc<Cache>,
}

#[derive(Default)]
struct Cache {
    entries: Mutex<HashMap<Destination, Arc<Entry>>>,
    /// Whether a task is running that removes idle entries.
    evicting: AtomicBool,
}

struct Entry {
    logical: Logical,
    users: AtomicUsize,
    idle_since: Mutex<Instant>,
}

impl Discover {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, cache: Arc::default() }
    }

    /// Returns the destination of an address; requests to an unknown one are forwarded to the address itself.
    pub(super) async fn address(&self, addr: SocketAddr) -> InUse {
        let destination = Destination::Address(addr);
        match self.find(&destination) {
            Some(found) => found,
            None => {
                let target = self.context.discovery.discover(&destination).await;
                self.insert(destination, target.unwrap_or_else(|| forward_to(addr)))
            }
        }
    }

    /// Returns the destination of a name, or `None` if it is unknown.
    pub(super) async fn name(&self, destination: Destination) -> Option<InUse> {
        match self.find(&destination) {
            Some(found) => Some(found),
            None => {
                let target = self.context.discovery.discover(&destination).await?;
                Some(self.insert(destination, target))
            }
        }
    }

    fn find(&self, destination: &Destination) -> Option<InUse> {
        let entries = self.cache.entries.lock().expect("discovery lock");
        let entry = entries.get(destination).filter(|entry| !entry.is_idle())?;
        Some(InUse::new(entry))
    }

    fn insert(&self, destination: Destination, target: watch::Receiver<Arc<Target>>) -> InUse {
        let mut entries = self.cache.entries.lock().expect("discovery lock");
        // Another request may have discovered it at the same time: both use the same routes and the same budget.
        if let Some(entry) = entries.get(&destination).filter(|entry| !entry.is_idle()) {
            return InUse::new(entry);
        }
        let logical = Logical::new(self.context.clone(), &destination, target);
        let (users, idle_since) = (AtomicUsize::new(0), Mutex::new(Instant::now()));
        let entry = Arc::new(Entry { logical, users, idle_since });
        let in_use = InUse::new(&entry);
        entries.insert(destination, entry);
        if !self.cache.evicting.swap(true, SeqCst) {
            tokio::spawn(evict(Arc::downgrade(&self.cache)));
        }
        in_use
    }
}

impl Entry {
    fn is_idle(&self) -> bool {
        self.users.load(SeqCst) == 0
            && self.idle_since.lock().expect("discovery lock").elapsed() >= IDLE_TIMEOUT
    }
}

/// Returns a target whose one endpoint is the address.
fn forward_to(addr: SocketAddr) -> watch::Receiver<Arc<Target>> {
    let endpoints: Arc<[Endpoint]> = Arc::new([Endpoint { addr, identity: None, labels: Vec::new() }]);
    let target = Target {
        authority: None,
        service: None,
        egress: Some(Egress::Fallback),
        profile: None,
        policy: Arc::new(Policy::default()),
        endpoints: watch::channel(endpoints).1,
        opaque: false,
    };
    watch::channel(Arc::new(target)).1
}

/// Removes idle destinations; ends when none is left.
async fn evict(cache: Weak<Cache>) {
    loop {
        sleep(IDLE_TIMEOUT).await;
        let Some(cache) = cache.upgrade() else { return };
        let mut entries = cache.entries.lock().expect("discovery lock");
        let idle: Vec<_> = entries.extract_if(|_, entry| entry.is_idle()).collect();
        let empty = entries.is_empty();
        if empty {
            cache.evicting.store(false, SeqCst);
        }
        drop(entries);
        drop(idle);
        if empty {
            return;
        }
    }
}

/// A destination that is in use and stays in the cache until this is dropped.
pub(super) struct InUse {
    entry: Arc<Entry>,
}

impl InUse {
    fn new(entry: &Arc<Entry>) -> Self {
        entry.users.fetch_add(1, SeqCst);
        Self { entry: entry.clone() }
    }
}

impl Deref for InUse {
    type Target = Logical;

    fn deref(&self) -> &Logical {
        &self.entry.logical
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        *self.entry.idle_since.lock().expect("discovery lock") = Instant::now();
        self.entry.users.fetch_sub(1, SeqCst);
    }
}
