//! Workers and the queue in front of them.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::node::{Capacity, Node};

/// The most open requests of a node without capacity; further ones get 503 at once. It bounds memory where calls hang:
/// an open request with an open call needs up to 40 KiB (measured in a debug build).
const MAX_OPEN: usize = 1024;

/// The workers of a service. It is guarded by the lock of the ledger, so a request that finds all workers busy and the
/// queue full really arrived at such a moment.
#[derive(Debug)]
pub(crate) struct Pool {
    workers: usize,
    queue: usize,
    busy: usize,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    next_id: u64,
}

/// What an admitted request has.
#[derive(Debug)]
pub(crate) enum Place {
    Worker,
    Queue(Turn),
}

/// A place in the queue.
#[derive(Debug)]
pub(crate) struct Turn {
    id: u64,
    /// Resolves when the request gets a worker.
    pub(crate) worker: oneshot::Receiver<()>,
}

impl Pool {
    /// Returns the workers of a node; a service without `NODE` has an unlimited number.
    pub(crate) fn new(node: Option<&Node>) -> Self {
        let (workers, queue) = match node.map(|node| &node.capacity) {
            Some(Some(Capacity { workers, queue, .. })) => (*workers, *queue),
            Some(None) => (MAX_OPEN, 0),
            None => (usize::MAX, 0),
        };
        Self { workers, queue, busy: 0, waiting: VecDeque::new(), next_id: 0 }
    }

    /// Admits a request, or returns `None` if the queue is full.
    pub(crate) fn enter(&mut self) -> Option<Place> {
        if self.busy < self.workers {
            self.busy += 1;
            return Some(Place::Worker);
        }
        if self.waiting.len() >= self.queue {
            return None;
        }
        let (sender, worker) = oneshot::channel();
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back((id, sender));
        Some(Place::Queue(Turn { id, worker }))
    }

    /// Frees the place of a request; its worker gets the request that waits longest.
    pub(crate) fn leave(&mut self, place: Place) {
        if let Place::Queue(mut turn) = place
            && turn.worker.try_recv().is_err()
        {
            self.waiting.retain(|(id, _)| *id != turn.id);
            return;
        }
        while let Some((_, worker)) = self.waiting.pop_front() {
            if worker.send(()).is_ok() {
                return;
            }
        }
        self.busy -= 1;
    }

    /// Returns the number of requests that have a worker or wait for one.
    pub(crate) fn open(&self) -> usize {
        self.busy + self.waiting.len()
    }

    /// Returns the number of requests that wait for a worker.
    pub(crate) fn queued(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(workers: usize, queue: usize) -> Pool {
        Pool { workers, queue, ..Pool::new(None) }
    }

    fn turn(place: Option<Place>) -> Turn {
        match place {
            Some(Place::Queue(turn)) => turn,
            other => panic!("expected a place in the queue, got {other:?}"),
        }
    }

    #[test]
    fn workers_are_handed_over_in_order_of_arrival_and_a_full_queue_admits_no_request() {
        let mut pool = pool(1, 2);
        let first = pool.enter().unwrap();
        let (mut second, mut third) = (turn(pool.enter()), turn(pool.enter()));
        assert!(pool.enter().is_none());
        assert_eq!((pool.open(), pool.queued()), (3, 2));
        pool.leave(first);
        assert_eq!((second.worker.try_recv(), third.worker.try_recv().is_ok()), (Ok(()), false));
        assert_eq!((pool.open(), pool.queued()), (2, 1));
        pool.leave(Place::Worker);
        assert_eq!(third.worker.try_recv(), Ok(()));
        pool.leave(Place::Worker);
        assert_eq!((pool.open(), pool.queued()), (0, 0));
    }

    #[test]
    fn a_request_that_leaves_the_queue_frees_its_place_and_its_worker() {
        let mut pool = pool(1, 2);
        let first = pool.enter().unwrap();
        let (second, third) = (turn(pool.enter()), turn(pool.enter()));
        pool.leave(Place::Queue(second));
        assert_eq!((pool.open(), pool.queued()), (2, 1));
        pool.leave(first);
        // The third got the worker, and leaves before it uses it.
        pool.leave(Place::Queue(third));
        assert_eq!((pool.open(), pool.queued()), (0, 0));
        assert!(matches!(pool.enter(), Some(Place::Worker)));
    }
}
