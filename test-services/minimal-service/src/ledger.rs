//! The mutable state of a service, behind one lock.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;

use crate::attempts::{Attempt, Attempts};
use crate::callers::Callers;
use crate::counts::{CallCounts, Counts};
use crate::distribution::{Distribution, milliseconds};
use crate::fault::{Action, Fault, Faults};
use crate::node::Node;
use crate::pool::{Place, Pool};
use crate::random::Random;

/// Everything that changes from request to request. One lock guards all of it, held for well under a microsecond, so
/// that a response of the admin port is consistent.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) faults: Faults,
    pub(crate) attempts: Attempts,
    pool: Pool,
    callers: Callers,
    counts: Counts,
    /// The mean in milliseconds and the distribution of the service time.
    service_time: (f64, Distribution),
    late: Duration,
    random: Random,
}

/// What [`Ledger::request`] returns for a request that arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// `None` for a request without an id.
    pub(crate) attempt: Option<Attempt>,
    /// The request's place and what the service does with it; `None`: the queue is full.
    pub(crate) admitted: Option<(Place, Action)>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Responded(StatusCode),
    /// The client disconnected before the response.
    Disconnected,
}

/// Attempts with a higher number are counted under this one. It is above any practical retry limit and bounds the map.
const MAX_ATTEMPT: u32 = 100;

/// The most that is corrected of one sleep: timers round up to a millisecond. A longer delay is load of the machine, which
/// makes a real service slower too.
const MAX_LATE: Duration = Duration::from_millis(1);

impl Ledger {
    pub(crate) fn new(fault: Fault, node: Option<&Node>) -> Self {
        let calls = node.iter().flat_map(|node| node.called());
        let calls = calls.map(|service| (service.to_owned(), CallCounts::default())).collect();
        let capacity = node.and_then(|node| node.capacity.as_ref());
        Self {
            faults: Faults::new(fault),
            attempts: Attempts::default(),
            pool: Pool::new(node),
            callers: Callers::default(),
            counts: Counts { calls, ..Counts::default() },
            service_time: capacity.map_or((0.0, Distribution::Fixed), |capacity| {
                (capacity.service_time_ms, capacity.distribution)
            }),
            late: Duration::ZERO,
            random: Random::new(None),
        }
    }

    /// Counts a request that arrived, admits it, and decides what the service does with it. A request that is not
    /// admitted takes no part in the failures: the next failure of a sequence or block is that of the next one.
    pub(crate) fn request(&mut self, id: Option<&[u8]>, caller: Option<&[u8]>) -> Arrived {
        let caller = caller.map(|caller| self.callers.count(caller));
        let attempt = id.and_then(|id| self.attempts.count(id, caller));
        if let Some(attempt) = attempt {
            *self.counts.attempts.entry(attempt.number.min(MAX_ATTEMPT)).or_default() += 1;
        }
        self.counts.requests += 1;
        let Some(place) = self.pool.enter() else {
            self.counts.queue_rejections += 1;
            return Arrived { attempt, admitted: None };
        };
        self.counts.peak_in_flight = self.counts.peak_in_flight.max(self.pool.open() as u64);
        self.counts.peak_queued = self.counts.peak_queued.max(self.pool.queued() as u64);
        let action = self.faults.next();
        match action {
            Action::Serve => {}
            Action::Discard => self.counts.discarded += 1,
            Action::Reject(_) => self.counts.rejected += 1,
        }
        Arrived { attempt, admitted: Some((place, action)) }
    }

    /// Counts the end of a request: `attempt` and `place` are those that [`Ledger::request`] returned; `worked` is the part
    /// of its service time and delay that passed, `None` if it had no worker.
    pub(crate) fn end(
        &mut self,
        end: End,
        attempt: Option<Attempt>,
        place: Option<Place>,
        worked: Option<Duration>,
    ) {
        if let Some(place) = place {
            self.pool.leave(place);
        }
        let seconds = worked.unwrap_or_default().as_secs_f64();
        self.counts.service_seconds += seconds;
        match end {
            End::Responded(status) => {
                if let Some(attempt) = attempt.filter(|_| status.as_u16() < 400) {
                    *self.counts.served.entry(attempt.number.min(MAX_ATTEMPT)).or_default() += 1;
                    self.attempts.succeeded(attempt);
                }
                *self.counts.responses.entry(status.as_u16()).or_default() += 1;
            }
            End::Disconnected => {
                self.counts.disconnected += 1;
                self.counts.wasted += u64::from(worked.is_some());
                self.counts.wasted_seconds += seconds;
            }
        }
    }

    /// Returns the time that a request takes before its script: a random service time and a random delay.
    pub(crate) fn time(&mut self, action: Action) -> Duration {
        let (mean, distribution) = self.service_time;
        let service_time = distribution.draw(mean, &mut self.random) * self.faults.slow();
        milliseconds(service_time) + self.faults.delay(action)
    }

    /// Returns for how long to sleep, so that the mean of the sleeps is that of the times: shorter by what earlier sleeps
    /// took too long.
    pub(crate) fn sleep(&mut self, time: Duration) -> Duration {
        let correction = self.late.min(time);
        self.late -= correction;
        time.saturating_sub(correction)
    }

    /// Records by how much a sleep took too long.
    pub(crate) fn overslept(&mut self, by: Duration) {
        self.late += by.min(MAX_LATE);
    }

    /// Returns whether an event with this probability occurs.
    pub(crate) fn occurs(&mut self, probability: f64) -> bool {
        self.random.unit() < probability
    }

    /// Counts a call of the script that is started.
    pub(crate) fn call(&mut self, service: &str) {
        self.calls(service).requests += 1;
    }

    /// Counts the status of a call, `None` for a call without a response.
    pub(crate) fn called(&mut self, service: &str, status: Option<StatusCode>) {
        let calls = self.calls(service);
        match status {
            Some(status) => *calls.responses.entry(status.as_u16()).or_default() += 1,
            None => calls.failed += 1,
        }
    }

    fn calls(&mut self, service: &str) -> &mut CallCounts {
        self.counts.calls.get_mut(service).expect("every service of the script has an entry")
    }

    /// Sets the peaks to the present values.
    pub(crate) fn reset_peaks(&mut self) {
        self.counts.peak_in_flight = self.pool.open() as u64;
        self.counts.peak_queued = self.pool.queued() as u64;
    }

    /// Returns the attempts of an id by caller; the key of requests without a caller is empty. Callers without an attempt
    /// are left out.
    pub(crate) fn attempts_of(&self, id: &[u8]) -> BTreeMap<&str, u32> {
        let callers = self.callers.counts().keys().map(|caller| Some(caller.as_str()));
        let each = std::iter::once(None).chain(callers);
        let each = each.map(|caller| (caller.unwrap_or_default(), self.attempts.of(id, caller)));
        each.filter(|(_, attempts)| *attempts > 0).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            ids: self.attempts.ids() as u64,
            forgotten: self.attempts.forgotten(),
            callers: self.callers.counts().clone(),
            in_flight: self.pool.open() as u64,
            queued: self.pool.queued() as u64,
            ..self.counts.clone()
        }
    }
}
