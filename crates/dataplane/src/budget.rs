//! The retry budget of a profile: tower's own bucket, the one Linkerd uses, and a log of its decisions for replays.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower::retry::budget::{Budget as _, TpsBudget};

use crate::profile::RetryBudget;

/// What a budget was asked and what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A request ended without asking for a retry.
    Deposit,
    /// A retry was asked for; whether it was granted.
    Withdraw(bool),
}

/// Is told every decision of a budget, in order, while the budget is held; must not block.
pub type DecisionLog = Arc<dyn Fn(Decision) + Send + Sync>;

/// One client's budget for one profile, full when new.
pub struct Budget {
    bucket: TpsBudget,
    log: Option<DecisionLog>,
}

impl Budget {
    /// A full budget, or `None` where Linkerd's proxy throws the values away: a ttl outside 1 to 60 s or a ratio
    /// outside 0 to 1000. Without a budget nothing is retried.
    pub fn new(values: RetryBudget, log: Option<DecisionLog>) -> Option<Self> {
        let ttl = Duration::from_secs(1)..=Duration::from_secs(60);
        let free = values.min_retries_per_second;
        // The bucket would panic on more free retries a second than a signed number holds.
        let fits = ttl.contains(&values.ttl)
            && (0.0..=1000.0).contains(&values.retry_ratio)
            && free < i32::MAX as u32;
        fits.then(|| Self { bucket: TpsBudget::new(values.ttl, free, values.retry_ratio), log })
    }

    /// Counts a request that needs no (further) retry.
    pub fn deposit(&self) {
        self.bucket.deposit();
        self.note(Decision::Deposit);
    }

    /// Asks for a retry; `false` leaves the bucket as it was.
    pub fn withdraw(&self) -> bool {
        let granted = self.bucket.withdraw();
        self.note(Decision::Withdraw(granted));
        granted
    }

    fn note(&self, decision: Decision) {
        if let Some(log) = &self.log {
            log(decision);
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bucket.fmt(f)
    }
}
