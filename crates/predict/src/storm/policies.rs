//! The policies that a storm compares.

use std::time::Duration;

use crate::model::{Breaker, EdgePolicy, Model, Retry, RetryBudget};

/// A policy of every edge of the storm's chain, and what it needs of the last service.
#[derive(Clone, Debug, PartialEq)]
pub struct StormPolicy {
    /// The name in tables and files.
    pub name: &'static str,
    /// The request timeouts.
    pub timeouts: Timeouts,
    /// The retries of the first edge.
    pub first: Option<Retry>,
    /// The retries of each other edge.
    pub others: Option<Retry>,
    /// Circuit breaking on each edge.
    pub breaker: Option<Breaker>,
    /// Pods of the last service; its workers are split among them.
    pub replicas: usize,
    /// Whether the last service stops work whose client has disconnected.
    pub cancel: bool,
}

/// The request timeouts of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeouts {
    /// None.
    None,
    /// 2 s on the first edge, and on each further edge half of the one before: 2, 1, 0.5 s.
    Inwards,
    /// 2 s on each edge.
    Equal,
}

/// The timeout of the first edge.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The retry timeout of the policies that have one.
const RETRY_TIMEOUT: Duration = Duration::from_millis(500);
/// The retry limit.
const LIMIT: u32 = 2;
/// The budget: ratio 0.2, 1/s, 10 s.
const BUDGET: RetryBudget = RetryBudget { ratio: 0.2, min_per_second: 1, ttl: Duration::from_secs(10) };

const NONE: StormPolicy = StormPolicy {
    name: "none",
    timeouts: Timeouts::None,
    first: None,
    others: None,
    breaker: None,
    replicas: 1,
    cancel: false,
};

/// Returns the policies of the shipped scenario.
pub fn policies() -> [StormPolicy; 5] {
    let timeouts = StormPolicy { name: "timeouts", timeouts: Timeouts::Inwards, ..NONE };
    [
        NONE,
        timeouts.clone(),
        everywhere("retries-everywhere", Retry::limit(LIMIT)),
        StormPolicy { name: "retries-first-edge", first: Some(Retry::limit(LIMIT)), ..timeouts },
        everywhere("budget", Retry::budget(BUDGET)),
    ]
}

/// Returns policies for comparison, whose verdicts do not ship: timeouts of 2 s on each edge with and without a retry timeout,
/// a breaker, and a last service that stops work without a client.
pub fn extras() -> [StormPolicy; 5] {
    let limit = Retry::limit(LIMIT);
    let attempt = Retry { retry_timeout: Some(RETRY_TIMEOUT), ..limit.clone() };
    let attempts = StormPolicy { timeouts: Timeouts::Equal, ..everywhere("retry-timeouts", attempt) };
    [
        StormPolicy { name: "retry-timeouts-first-edge", others: None, ..attempts.clone() },
        StormPolicy { name: "retry-timeouts-cancel", cancel: true, ..attempts.clone() },
        attempts,
        StormPolicy { timeouts: Timeouts::Equal, ..everywhere("equal-timeouts", limit.clone()) },
        StormPolicy { breaker: Some(Breaker::default()), replicas: 2, ..everywhere("breaker", limit) },
    ]
}

fn everywhere(name: &'static str, retry: Retry) -> StormPolicy {
    StormPolicy { name, timeouts: Timeouts::Inwards, first: Some(retry.clone()), others: Some(retry), ..NONE }
}

impl StormPolicy {
    /// Sets the policy of each edge and what the last service needs.
    pub(super) fn apply(&self, model: &mut Model) {
        for (index, edge) in model.edges.iter_mut().enumerate() {
            let retry = if index == 0 { &self.first } else { &self.others };
            edge.policy = EdgePolicy {
                retry: retry.clone(),
                timeout: match self.timeouts {
                    Timeouts::None => None,
                    Timeouts::Inwards => Some(TIMEOUT / 2u32.pow(index as u32)),
                    Timeouts::Equal => Some(TIMEOUT),
                },
                response_timeout: None,
                breaker: self.breaker,
            };
        }
        if let Some(last) = model.services.last_mut() {
            last.replicas = self.replicas;
            if let Some(capacity) = &mut last.capacity {
                capacity.cancel = self.cancel;
                capacity.workers = capacity.workers.div_ceil(self.replicas);
                capacity.queue = capacity.queue.div_ceil(self.replicas);
            }
        }
    }
}
