//! Where every request to a service went, and what it cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::routes::{Dialect, RouteCounts};

/// The outcome of requests; what cannot be known is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outcomes {
    /// Requests that were sent.
    pub requests_count: u64,
    /// Answered well at the first attempt.
    pub first_attempt_count: Option<u64>,
    /// Saved by a retry.
    pub after_retries_count: Option<u64>,
    /// Of these, by the number of the attempt that was good.
    #[serde(deserialize_with = "by_number")]
    pub after_retries_by_attempt_count: BTreeMap<u32, u64>,
    /// Failed: a retry was wanted, the budget had nothing left.
    pub no_budget_count: u64,
    /// Failed: the limit's retries were used up.
    pub limit_count: u64,
    /// Ended by the route's timeout.
    pub timed_out_count: u64,
    /// Refused by the breaker or a full queue before they were sent. None where a profile's counters, which name no
    /// such error, hold errors without a name.
    pub refused_count: Option<u64>,
    /// Failed, and no policy asked for a retry.
    pub not_retryable_count: u64,
    /// Attempts that were sent for them.
    pub attempts_count: u64,
    /// Attempts beyond the first, per request.
    #[serde(alias = "added_load_ratio")]
    pub added_attempts_per_request: Option<f64>,
    /// Median latency of saved requests beyond that of first attempts, in milliseconds.
    pub added_latency_ms: Option<f64>,
    /// Where two sources speak of the same and differ: by how much, and why that can be.
    pub remarks: Vec<String>,
}

/// Reads numbers as keys, which are texts in JSON: within a tagged enum serde does not convert them itself.
fn by_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u32, u64>, D::Error> {
    let texts = BTreeMap::<String, u64>::deserialize(deserializer)?;
    let numbers =
        texts.into_iter().map(|(key, count)| Ok((key.parse().map_err(serde::de::Error::custom)?, count)));
    numbers.collect()
}

/// What the test service counted in the same time: good answers by the number of their try.
pub type Served = BTreeMap<u32, u64>;

impl Outcomes {
    /// Joins the clients' counters and, where there is one, the test service's own count.
    pub fn of(routes: &BTreeMap<(Dialect, String), RouteCounts>, served: Option<&Served>) -> Self {
        let mut all = RouteCounts::default();
        routes.values().for_each(|route| all.add(route));
        let ended = all.timed_out_count + all.refused_count + all.no_budget_count + all.limit_count;
        let mut outcomes = Self {
            requests_count: all.requests_count,
            no_budget_count: all.no_budget_count,
            limit_count: all.limit_count,
            timed_out_count: all.timed_out_count,
            refused_count: (all.unnamed_error_count == 0).then_some(all.refused_count),
            not_retryable_count: all.failed_count.saturating_sub(ended),
            attempts_count: all.attempts_count,
            added_attempts_per_request: (all.requests_count > 0)
                .then(|| all.attempts_count as f64 / all.requests_count as f64 - 1.0),
            ..Self::default()
        };
        if all.retries() == 0 {
            outcomes.first_attempt_count = Some(all.succeeded_count);
            outcomes.after_retries_count = Some(0);
        }
        if all.unnamed_error_count > 0 {
            outcomes.remarks.push(format!(
                "{} requests ended in an error that a profile's counters do not name: connections that broke, and what \
                 a full queue refused; they stand under not retryable",
                all.unnamed_error_count
            ));
        }
        if let Some(served) = served {
            outcomes.take_served(served, all.succeeded_count);
        }
        outcomes
    }

    fn take_served(&mut self, served: &Served, succeeded: u64) {
        let by_service: u64 = served.values().sum();
        if by_service != succeeded {
            self.remarks.push(format!(
                "the proxies count {succeeded} good answers, the service {by_service}: requests that were under way \
                 at either end of the window, or came past the proxies"
            ));
        }
        self.first_attempt_count = Some(served.get(&1).copied().unwrap_or(0));
        self.after_retries_by_attempt_count =
            served.iter().filter(|(attempt, _)| **attempt > 1).map(|(t, n)| (*t, *n)).collect();
        self.after_retries_count = Some(self.after_retries_by_attempt_count.values().sum());
    }

    /// The rows as words and counts; none where it is not known.
    pub fn rows(&self) -> Vec<(String, Option<u64>)> {
        let mut rows = vec![("succeeded on the first attempt".to_owned(), self.first_attempt_count)];
        rows.push(("succeeded after retries".to_owned(), self.after_retries_count));
        const APART: u32 = 4;
        for (number, count) in self.after_retries_by_attempt_count.range(..=APART) {
            rows.push((format!("  on attempt {number}"), Some(*count)));
        }
        let later: u64 = self.after_retries_by_attempt_count.range(APART + 1..).map(|(_, count)| count).sum();
        if later > 0 {
            rows.push((format!("  on attempt {} or later", APART + 1), Some(later)));
        }
        rows.push(("failed, retry budget exhausted".to_owned(), Some(self.no_budget_count)));
        rows.push(("failed, retry limit reached".to_owned(), Some(self.limit_count)));
        rows.push(("failed, not retryable".to_owned(), Some(self.not_retryable_count)));
        rows.push(("timed out".to_owned(), Some(self.timed_out_count)));
        rows.push(("rejected by the circuit breaker".to_owned(), self.refused_count));
        rows
    }
}
