//! What the proxies of a calling service do with the requests of an edge.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The policy of an edge. The default passes each request on once and waits for as long as it takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdgePolicy {
    /// Retries; `None` without.
    pub retry: Option<Retry>,
    /// The time for all attempts of a request together; then the client gets a 504.
    pub timeout: Option<Duration>,
    /// The time for one attempt; then the client gets a 504, which is not retried.
    pub response_timeout: Option<Duration>,
    /// Circuit breaking; `None` without.
    pub breaker: Option<Breaker>,
}

/// Retries of failed requests. With a limit they act as the annotations do (backoff, a retry timeout), without one as a
/// ServiceProfile does (at once, no limit per request). With both, a retry needs both.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// The statuses that are retried.
    pub statuses: RangeInclusive<u16>,
    /// The largest number of retries of one request.
    pub limit: Option<u32>,
    /// The budget of each client's proxy.
    pub budget: Option<RetryBudget>,
    /// How long an attempt may take before it is retried; not applied to the last attempt that the limit allows (rule 36 of
    /// `docs/dataplane-rules.md`).
    pub retry_timeout: Option<Duration>,
}

impl Retry {
    /// Returns retries of each 5xx, at most `limit` for each request.
    pub fn limit(limit: u32) -> Self {
        Self { statuses: 500..=599, limit: Some(limit), budget: None, retry_timeout: None }
    }

    /// Returns retries of each 5xx, as many as the budget allows.
    pub fn budget(budget: RetryBudget) -> Self {
        Self { statuses: 500..=599, limit: None, budget: Some(budget), retry_timeout: None }
    }

    /// Returns whether the proxy would send any retry at all: a profile's budget outside of Linkerd's bounds disables its
    /// retries.
    pub(crate) fn is_effective(&self) -> bool {
        self.limit.is_some() && self.budget.is_none() || self.budget.is_some_and(|budget| budget.is_valid())
    }
}

/// A ServiceProfile's retry budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// Retries per request that ended without a retryable failure.
    pub ratio: f64,
    /// Retries per second that are always allowed.
    pub min_per_second: u32,
    /// How long a request counts.
    pub ttl: Duration,
}

impl RetryBudget {
    /// Returns whether the proxy accepts the budget: a ttl from 1 to 60 s and a ratio from 0 to 1000.
    pub fn is_valid(&self) -> bool {
        let ttl = Duration::from_secs(1)..=Duration::from_secs(60);
        ttl.contains(&self.ttl) && (0.0..=1000.0).contains(&self.ratio)
    }
}

impl Default for RetryBudget {
    /// Linkerd's default for a profile without a budget.
    fn default() -> Self {
        Self { ratio: 0.2, min_per_second: 10, ttl: Duration::from_secs(10) }
    }
}

/// Circuit breaking by consecutive failures, for each endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// The number of consecutive failures that opens the breaker.
    pub max_failures: u32,
    /// The first time without requests; it doubles with each failed probe.
    pub min_penalty: Duration,
    /// The longest time without requests.
    pub max_penalty: Duration,
    /// The largest share of that time that is added at random.
    pub jitter_ratio: f64,
}

impl Default for Breaker {
    /// Linkerd's `consecutive`: seven failures, 1 s doubling to 60 s, jitter 0.5.
    fn default() -> Self {
        Self {
            max_failures: 7,
            min_penalty: Duration::from_secs(1),
            max_penalty: Duration::from_secs(60),
            jitter_ratio: 0.5,
        }
    }
}
