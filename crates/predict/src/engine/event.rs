//! The events to come, in the order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Time;
use super::slab::Key;

/// Something that happens at a time. Events whose call or job has ended are ignored when their time comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// The load sends a request.
    Arrival,
    /// A fault begins or ends.
    Fault { index: u32, begins: bool },
    /// An attempt arrives at its pod.
    Deliver(Key),
    /// A job's service time has passed.
    Served(Key),
    /// A step of a job has slept long enough.
    Slept(Key),
    /// The time for all attempts of a call has passed.
    CallTimeout(Key),
    /// The time for one attempt has passed.
    AttemptTimedOut(Key),
    /// A call's backoff has ended.
    Backoff(Key),
    /// An endpoint of a proxy may be probed.
    Available(u32),
    /// A proxy has been without an available endpoint for too long, unless that wait has ended since.
    FailFast { proxy: u32, epoch: u32 },
}

/// Events by time; those of the same time in the order in which they were added.
#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    added: u64,
}

struct Entry {
    time: Time,
    order: u64,
    event: Event,
}

impl Queue {
    pub(super) fn push(&mut self, time: Time, event: Event) {
        self.added += 1;
        self.heap.push(Entry { time, order: self.added, event });
    }

    pub(super) fn pop(&mut self) -> Option<(Time, Event)> {
        self.heap.pop().map(|entry| (entry.time, entry.event))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, since the heap returns the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.order).cmp(&(self.time, self.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
