//! What was decided and seen, behind one lock.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::fault::{Fate, Fault, Faults};
use crate::tries::{Tries, Try};

/// Everything of a service that changes from request to request. One lock guards it all, held for well under a
/// microsecond, so that what the admin port shows is of one moment.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) faults: Faults,
    pub(crate) tries: Tries,
    counts: Counts,
}

/// Counts since the start: the body of `GET /counts`. Health checks and `/crash` are not in them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that arrived.
    pub requests: u64,
    /// Of these, failed on purpose with a status.
    pub rejected: u64,
    /// Of these, thrown away with an empty 200.
    pub discarded: u64,
    /// Answers by status; a request still open is in none.
    pub answers: BTreeMap<u16, u64>,
    /// Requests with an id, by the number of the try they were.
    pub tries: BTreeMap<u32, u64>,
    /// Of these, those answered with a status below 400: how often the first, the second … try was the good one.
    #[serde(default)]
    pub served: BTreeMap<u32, u64>,
    /// Ids remembered now.
    pub ids: u64,
    /// Ids dropped to bound memory; their tries would be counted from 1 again.
    pub forgotten: u64,
}

/// Tries beyond this one are counted as this one: no retry policy goes there, and the map stays small.
const LAST_TRY: u32 = 100;

impl Ledger {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { faults: Faults::new(fault), tries: Tries::default(), counts: Counts::default() }
    }

    /// A request has come: which try it is, if it says which request, and what becomes of it.
    pub(crate) fn arrival(&mut self, id: Option<&[u8]>) -> (Option<Try>, Fate) {
        let this = id.and_then(|id| self.tries.count(id));
        if let Some(this) = this {
            *self.counts.tries.entry(this.number.min(LAST_TRY)).or_default() += 1;
        }
        self.counts.requests += 1;
        let fate = self.faults.next();
        match fate {
            Fate::Serve(_) => {}
            Fate::Discard => self.counts.discarded += 1,
            Fate::Reject(_) => self.counts.rejected += 1,
        }
        (this, fate)
    }

    /// A request was answered; `this` is the try it was, if it said which request.
    pub(crate) fn answer(&mut self, status: StatusCode, this: Option<Try>) {
        if let Some(this) = this.filter(|_| status.as_u16() < 400) {
            *self.counts.served.entry(this.number.min(LAST_TRY)).or_default() += 1;
            self.tries.served(this);
        }
        *self.counts.answers.entry(status.as_u16()).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        let (ids, forgotten) = (self.tries.ids() as u64, self.tries.forgotten());
        Counts { ids, forgotten, ..self.counts.clone() }
    }
}
