//! From a destination to its routes, remembered while anybody uses it and five seconds longer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Context;
use super::logical::Logical;
use crate::policy::Policy;
use crate::target::{Destination, Endpoint, Target};

/// How long a discovery is kept unused; Linkerd's `OUTBOUND_DISCOVERY_IDLE_TIMEOUT`.
const IDLE: Duration = Duration::from_secs(5);

/// The destinations in use.
pub(super) struct Discover {
    context: Arc<Context>,
    known: Arc<Known>,
}

#[derive(Default)]
struct Known {
    entries: Mutex<HashMap<Destination, Arc<Entry>>>,
    swept: AtomicBool,
}

struct Entry {
    logical: Logical,
    users: AtomicUsize,
    idle_since: Mutex<Instant>,
}

impl Discover {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, known: Arc::default() }
    }

    /// What stands behind an address; one that nobody knows stands for itself.
    pub(super) async fn address(&self, addr: SocketAddr) -> Held {
        let destination = Destination::Address(addr);
        match self.find(&destination) {
            Some(held) => held,
            None => {
                let told = self.context.discovery.discover(&destination).await;
                self.insert(destination, told.unwrap_or_else(|| itself(addr)))
            }
        }
    }

    /// What stands behind a name, if anybody knows it.
    pub(super) async fn name(&self, destination: Destination) -> Option<Held> {
        match self.find(&destination) {
            Some(held) => Some(held),
            None => {
                let told = self.context.discovery.discover(&destination).await?;
                Some(self.insert(destination, told))
            }
        }
    }

    fn find(&self, destination: &Destination) -> Option<Held> {
        let entries = self.known.entries.lock().expect("discovery lock");
        let entry = entries.get(destination).filter(|entry| !entry.is_idle())?;
        Some(Held::new(entry))
    }

    fn insert(&self, destination: Destination, told: watch::Receiver<Arc<Target>>) -> Held {
        let mut entries = self.known.entries.lock().expect("discovery lock");
        // Somebody else may have discovered it at the same time: both then use the same routes and the same budget.
        if let Some(entry) = entries.get(&destination).filter(|entry| !entry.is_idle()) {
            return Held::new(entry);
        }
        let logical = Logical::new(self.context.clone(), told);
        let (users, idle_since) = (AtomicUsize::new(0), Mutex::new(Instant::now()));
        let entry = Arc::new(Entry { logical, users, idle_since });
        let held = Held::new(&entry);
        entries.insert(destination, entry);
        if !self.known.swept.swap(true, SeqCst) {
            tokio::spawn(sweep(Arc::downgrade(&self.known)));
        }
        held
    }
}

impl Entry {
    fn is_idle(&self) -> bool {
        self.users.load(SeqCst) == 0 && self.idle_since.lock().expect("discovery lock").elapsed() >= IDLE
    }
}

/// A target that forwards to the address itself.
fn itself(addr: SocketAddr) -> watch::Receiver<Arc<Target>> {
    let endpoints: Arc<[Endpoint]> = Arc::new([Endpoint { addr, identity: None, labels: Vec::new() }]);
    let target = Target {
        authority: None,
        service: None,
        profile: None,
        policy: Arc::new(Policy::default()),
        endpoints: watch::channel(endpoints).1,
        opaque: false,
    };
    watch::channel(Arc::new(target)).1
}

/// Forgets destinations that stayed unused, until none is left.
async fn sweep(known: Weak<Known>) {
    loop {
        sleep(IDLE).await;
        let Some(known) = known.upgrade() else { return };
        let mut entries = known.entries.lock().expect("discovery lock");
        let idle: Vec<_> = entries.extract_if(|_, entry| entry.is_idle()).collect();
        if entries.is_empty() {
            known.swept.store(false, SeqCst);
        }
        let done = entries.is_empty();
        drop(entries);
        drop(idle);
        if done {
            return;
        }
    }
}

/// A destination in use.
pub(super) struct Held {
    entry: Arc<Entry>,
}

impl Held {
    fn new(entry: &Arc<Entry>) -> Self {
        entry.users.fetch_add(1, SeqCst);
        Self { entry: entry.clone() }
    }
}

impl Deref for Held {
    type Target = Logical;

    fn deref(&self) -> &Logical {
        &self.entry.logical
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.entry.idle_since.lock().expect("discovery lock") = Instant::now();
        self.entry.users.fetch_sub(1, SeqCst);
    }
}
