//! The mutable state of a service, behind one lock.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::attempts::{Attempt, Attempts};
use crate::fault::{Action, Fault, Faults};

/// Everything that changes from request to request. One lock guards all of it, held for well under a microsecond, so
/// that a response of the admin port is consistent.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) faults: Faults,
    pub(crate) attempts: Attempts,
    counts: Counts,
}

/// What [`Ledger::request`] returns for a request that arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    /// `None` for a request without an id.
    pub(crate) attempt: Option<Attempt>,
    pub(crate) action: Action,
}

/// Counts since the start: the body of `GET /counts`. Health checks and `/crash` are not counted.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that failed on purpose with an error status.
    pub rejected: u64,
    /// Requests that were discarded: they got an empty 200.
    pub discarded: u64,
    /// Responses by status; open requests are not included.
    pub responses: BTreeMap<u16, u64>,
    /// Requests with an id, by attempt number.
    pub attempts: BTreeMap<u32, u64>,
    /// Requests with an id that got a status below 400, by attempt number.
    #[serde(default)]
    pub served: BTreeMap<u32, u64>,
    /// Ids in memory now.
    pub ids: u64,
    /// Ids dropped to bound memory; attempts of a dropped id are counted from 1 again.
    pub forgotten: u64,
}

/// Attempts with a higher number are counted under this one. It is above any practical retry limit and bounds the map.
const MAX_ATTEMPT: u32 = 100;

impl Ledger {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { faults: Faults::new(fault), attempts: Attempts::default(), counts: Counts::default() }
    }

    /// Counts a request that arrived, and decides what the service does with it.
    pub(crate) fn request(&mut self, id: Option<&[u8]>) -> Arrived {
        let attempt = id.and_then(|id| self.attempts.count(id));
        if let Some(attempt) = attempt {
            *self.counts.attempts.entry(attempt.number.min(MAX_ATTEMPT)).or_default() += 1;
        }
        self.counts.requests += 1;
        let action = self.faults.next();
        match action {
            Action::Serve(_) => {}
            Action::Discard => self.counts.discarded += 1,
            Action::Reject(_) => self.counts.rejected += 1,
        }
        Arrived { attempt, action }
    }

    /// Counts a response; `attempt` is the one that [`Ledger::request`] returned for its request.
    pub(crate) fn response(&mut self, status: StatusCode, attempt: Option<Attempt>) {
        if let Some(attempt) = attempt.filter(|_| status.as_u16() < 400) {
            *self.counts.served.entry(attempt.number.min(MAX_ATTEMPT)).or_default() += 1;
            self.attempts.succeeded(attempt);
        }
        *self.counts.responses.entry(status.as_u16()).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        let (ids, forgotten) = (self.attempts.ids() as u64, self.attempts.forgotten());
        Counts { ids, forgotten, ..self.counts.clone() }
    }
}
