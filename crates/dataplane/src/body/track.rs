//! What follows a response: its first data and its end are recorded in the metrics, the balancer and the breaker.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::classify::{Class, HeadClass};
use crate::health::InFlight;
use crate::metrics::{BackendScope, End, HttpScope, InboundScope, Outcome, RouteScope};

/// When a request was sent to its end.
pub(crate) enum SentAt {
    Known(Instant),
    /// Set when the request's body ends.
    Pending(Arc<OnceLock<Instant>>),
}

impl SentAt {
    /// Returns the time from that moment to `now`, zero if the request is still being sent.
    pub(crate) fn until(&self, now: Instant) -> Duration {
        now.duration_since(match self {
            Self::Known(instant) => *instant,
            Self::Pending(cell) => cell.get().copied().unwrap_or(now),
        })
    }
}

/// One recipient of a response's first data and end.
pub(crate) enum Tracker {
    /// The `response_total` families of an endpoint, a route or a route's attempts.
    Http(Arc<HttpScope>, Instant),
    /// The `outbound_*` families of a route.
    Route(Arc<RouteScope>, Instant),
    /// The `outbound_*` families of a route's backend.
    Backend(Arc<BackendScope>, SentAt),
    /// The `inbound_http_*` families of a server's route.
    Inbound(Arc<InboundScope>),
    /// The balancer and the breaker.
    Load(InFlight),
}

/// How a response's stream ended.
pub(crate) enum StreamEnd<'a> {
    /// To its end, with these trailers.
    Complete(Option<&'a HeaderMap>),
    /// Dropped before its end.
    Dropped,
    /// Broken; the error's names in the `response_total` (`class`) and the `outbound_*` families (`label`).
    Broken { class: &'static str, label: &'static str },
}

/// All trackers of one response, at most four.
pub(crate) struct Tracking {
    status: u16,
    class: HeadClass,
    first_data_seen: bool,
    trackers: [Option<Tracker>; 4],
}

impl Tracking {
    pub(crate) fn new(status: u16, class: HeadClass) -> Box<Self> {
        Box::new(Self { status, class, first_data_seen: false, trackers: [const { None }; 4] })
    }

    pub(crate) fn add(&mut self, tracker: Tracker) {
        let free = self.trackers.iter_mut().find(|slot| slot.is_none());
        *free.expect("a response has at most four trackers") = Some(tracker);
    }

    /// Whether the response is a failure by its head.
    pub(crate) fn is_failure_by_head(&self) -> bool {
        self.class.finish(None).is_failure()
    }

    /// Decides the class by trailers that were read ahead, or by their absence.
    pub(crate) fn decide(&mut self, trailers: Option<&HeaderMap>) {
        self.class = HeadClass::Decided(self.class.finish(trailers));
    }

    /// Returns the gRPC status if it is known.
    pub(crate) fn grpc_status(&self) -> Option<u8> {
        match self.class {
            HeadClass::Decided(class) => class.grpc_status(),
            HeadClass::Trailers(_) => None,
        }
    }

    /// Reports the result by the head to the balancer and the breaker.
    pub(crate) fn report_head(&mut self) {
        let class = self.class.finish(None);
        for slot in &mut self.trackers {
            if matches!(slot, Some(Tracker::Load(_)))
                && let Some(Tracker::Load(in_flight)) = slot.take()
            {
                in_flight.finish(class);
            }
        }
    }

    pub(super) fn first_data(&mut self) {
        if !self.first_data_seen {
            self.first_data_at(Instant::now());
        }
    }

    fn first_data_at(&mut self, now: Instant) {
        if std::mem::replace(&mut self.first_data_seen, true) {
            return;
        }
        for tracker in self.trackers.iter_mut().flatten() {
            match tracker {
                Tracker::Http(scope, start) => scope.first_data(self.status, now.duration_since(*start)),
                Tracker::Load(in_flight) => in_flight.first_data(now),
                Tracker::Route(..) | Tracker::Backend(..) | Tracker::Inbound(_) => {}
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

    pub(super) fn end(&mut self, end: StreamEnd<'_>) {
        let now = Instant::now();
        self.first_data_at(now);
        let (class, error) = match end {
            StreamEnd::Complete(trailers) => (self.class.finish(trailers), ""),
            StreamEnd::Dropped => (self.class.finish(None), "UNKNOWN"),
            StreamEnd::Broken { class, label } => (Class::Error(class), label),
        };
        let status = Some(self.status);
        let route_end = End { status, grpc: class.grpc_status(), error };
        for tracker in self.trackers.iter_mut().filter_map(Option::take) {
            match tracker {
                Tracker::Http(scope, _) => scope.ended(Outcome { status, class }),
                Tracker::Route(scope, start) => scope.ended(route_end, now.duration_since(start)),
                Tracker::Backend(scope, sent) => scope.ended(route_end, sent.until(now)),
                Tracker::Inbound(scope) => scope.ended(status),
                Tracker::Load(in_flight) => in_flight.finish(class),
            }
        }
    }
}
