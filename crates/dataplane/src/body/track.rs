//! What watches an answer: told of its first data and of its end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::classify::{Class, Start};
use crate::metrics::{BackendScope, HttpScope, Outcome, RouteScope};
use crate::outbound::InFlight;

/// The moment a request was sent to its end.
pub(crate) enum Sent {
    At(Instant),
    Later(Arc<OnceLock<Instant>>),
}

impl Sent {
    /// The time from that moment until `now`; none when it is still to come.
    pub(crate) fn until(&self, now: Instant) -> Duration {
        now.duration_since(match self {
            Self::At(instant) => *instant,
            Self::Later(cell) => cell.get().copied().unwrap_or(now),
        })
    }
}

/// One watcher of an answer.
pub(crate) enum Tracker {
    /// The older metrics of an endpoint, a route or its tries.
    Http(Arc<HttpScope>, Instant),
    /// The newer metrics of a route.
    Route(Arc<RouteScope>, Instant),
    /// The newer metrics of a route's backend.
    Backend(Arc<BackendScope>, Sent),
    /// The balancer and the breaker.
    Load(InFlight),
}

/// How an answer's stream ended.
pub(crate) enum End<'a> {
    Whole(Option<&'a HeaderMap>),
    /// Let go before its end.
    Dropped,
    /// Broke; in the words of the older and of the newer metrics.
    Broken(&'static str, &'static str),
}

/// All watchers of one answer; at most four see any.
pub(crate) struct Tracking {
    status: u16,
    start: Start,
    first_seen: bool,
    trackers: [Option<Tracker>; 4],
}

impl Tracking {
    pub(crate) fn new(status: u16, start: Start) -> Box<Self> {
        Box::new(Self { status, start, first_seen: false, trackers: [const { None }; 4] })
    }

    pub(crate) fn add(&mut self, tracker: Tracker) {
        let free = self.trackers.iter_mut().find(|place| place.is_none());
        *free.expect("an answer has at most four watchers") = Some(tracker);
    }

    /// Whether the answer is a failure as far as its head tells.
    pub(crate) fn failed(&self) -> bool {
        self.start.end(None).is_failure()
    }

    /// Tells balancer and breaker at once what the head says.
    pub(crate) fn judge(&mut self) {
        let class = self.start.end(None);
        for place in &mut self.trackers {
            if matches!(place, Some(Tracker::Load(_)))
                && let Some(Tracker::Load(load)) = place.take()
            {
                load.ended(class);
            }
        }
    }

    pub(super) fn first_data(&mut self) {
        if !self.first_seen {
            self.first_data_at(Instant::now());
        }
    }

    fn first_data_at(&mut self, now: Instant) {
        if std::mem::replace(&mut self.first_seen, true) {
            return;
        }
        for tracker in self.trackers.iter_mut().flatten() {
            match tracker {
                Tracker::Http(scope, start) => scope.first_data(self.status, now.duration_since(*start)),
                Tracker::Load(load) => load.answered(now),
                Tracker::Route(..) | Tracker::Backend(..) => {}
            }
        }
    }

    pub(super) fn frame(&self, length: usize) {
        for tracker in self.trackers.iter().flatten() {
            if let Tracker::Backend(scope, _) = tracker {
                scope.frames.observe(length as u64);
            }
        }
    }

    pub(super) fn end(&mut self, end: End<'_>) {
        let now = Instant::now();
        self.first_data_at(now);
        let (class, error) = match end {
            End::Whole(trailers) => (self.start.end(trailers), ""),
            End::Dropped => (self.start.end(None), "UNKNOWN"),
            End::Broken(class, error) => (Class::Error(class), error),
        };
        let status = Some(self.status);
        for tracker in self.trackers.iter_mut().filter_map(Option::take) {
            match tracker {
                Tracker::Http(scope, _) => scope.ended(Outcome { status, class }),
                Tracker::Route(scope, start) => scope.ended(status, error, now.duration_since(start)),
                Tracker::Backend(scope, sent) => scope.ended(status, error, sent.until(now)),
                Tracker::Load(load) => load.ended(class),
            }
        }
    }
}
