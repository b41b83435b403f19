//! A view's end of the event stream: bounded, so that a slow view costs no memory and delays no run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::{Event, Kind};

/// Receives events in order. Where the view is slow, ticks are left out: the latest is kept.
#[derive(Debug)]
pub struct Subscriber {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Notify,
}

#[derive(Debug)]
struct Queue {
    events: VecDeque<Arc<Event>>,
    capacity: usize,
    /// Ticks left out, and other events lost: only where more than `capacity` of those wait.
    skipped_ticks: u64,
    lost: u64,
    closed: bool,
}

/// The recorder's end.
#[derive(Debug)]
pub(super) struct Feed {
    shared: Arc<Shared>,
}

/// Makes a pair; `capacity` is at least 2: a tick and an event that is not.
pub(super) fn pair(capacity: usize) -> (Feed, Subscriber) {
    let queue = Queue {
        events: VecDeque::new(),
        capacity: capacity.max(2),
        skipped_ticks: 0,
        lost: 0,
        closed: false,
    };
    let shared = Arc::new(Shared { queue: Mutex::new(queue), ready: Notify::new() });
    (Feed { shared: shared.clone() }, Subscriber { shared })
}

impl Shared {
    /// A panic of another thread leaves a usable queue: each change is complete before the next can panic.
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    /// Adds an event; returns whether the view still listens.
    pub(super) fn send(&self, event: &Arc<Event>) -> bool {
        if Arc::strong_count(&self.shared) < 2 {
            return false;
        }
        self.shared.queue().push(event);
        self.shared.ready.notify_one();
        true
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.ready.notify_one();
    }
}

impl Queue {
    fn push(&mut self, event: &Arc<Event>) {
        if self.events.len() >= self.capacity {
            // The oldest tick: a later one has its counts, and the totals of the step have those of the last.
            match self.events.iter().position(|event| matches!(event.kind, Kind::Tick(_))) {
                Some(tick) => {
                    self.events.remove(tick);
                    self.skipped_ticks += 1;
                }
                None if matches!(event.kind, Kind::Tick(_)) => {
                    self.skipped_ticks += 1;
                    return;
                }
                None => {
                    self.events.pop_front();
                    self.lost += 1;
                }
            }
        }
        self.events.push_back(event.clone());
    }
}

impl Subscriber {
    /// Returns the next event if one waits.
    pub fn try_next(&self) -> Option<Arc<Event>> {
        self.shared.queue().events.pop_front()
    }

    /// Waits for the next event; `None` after the last one.
    pub async fn next(&self) -> Option<Arc<Event>> {
        loop {
            let ready = self.shared.ready.notified();
            {
                let mut queue = self.shared.queue();
                if let Some(event) = queue.events.pop_front() {
                    return Some(event);
                }
                if queue.closed {
                    return None;
                }
            }
            ready.await;
        }
    }

    /// Returns how many ticks were left out.
    #[cfg(test)]
    pub(crate) fn skipped_ticks(&self) -> u64 {
        self.shared.queue().skipped_ticks
    }

    /// Returns how many other events were lost: a view that gets this reads the run's file instead.
    pub fn lost(&self) -> u64 {
        self.shared.queue().lost
    }
}
