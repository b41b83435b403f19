//! The retry budget of a profile: tower's bucket, which Linkerd uses as well, and a log of its decisions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower::retry::budget::{Budget as _, TpsBudget};

use crate::profile::RetryBudget;

/// A decision of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A request ended without a (further) retry.
    Deposit,
    /// A retry was requested; `true` if it was granted.
    Withdraw(bool),
}

/// Receives every decision of a budget, in order. Called on the request's task, so it must not block.
pub type DecisionLog = Arc<dyn Fn(Decision) + Send + Sync>;

/// One client's retry budget for one profile. A new one is full.
pub struct Budget {
    bucket: TpsBudget,
    log: Option<DecisionLog>,
}

impl Budget {
    /// Returns a full budget, or `None` where Linkerd's proxy ignores the values: a ttl outside of 1 to 60 s or a ratio
    /// outside of 0 to 1000. Without a budget no request is retried.
    pub fn new(values: RetryBudget, log: Option<DecisionLog>) -> Option<Self> {
        let ttl = Duration::from_secs(1)..=Duration::from_secs(60);
        let reserve = values.min_retries_per_second;
        // The bucket panics if this does not fit a signed number.
        let valid = ttl.contains(&values.ttl)
            && (0.0..=1000.0).contains(&values.retry_ratio)
            && reserve < i32::MAX as u32;
        valid.then(|| Self { bucket: TpsBudget::new(values.ttl, reserve, values.retry_ratio), log })
    }

    /// Deposits for a request that ended without a (further) retry.
    pub fn deposit(&self) {
        self.bucket.deposit();
        self.log(Decision::Deposit);
    }

    /// Withdraws for a retry; returns `false`, and changes nothing, if the budget is exhausted.
    pub fn withdraw(&self) -> bool {
        let granted = self.bucket.withdraw();
        self.log(Decision::Withdraw(granted));
        granted
    }

    fn log(&self, decision: Decision) {
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
