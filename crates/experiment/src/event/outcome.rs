//! What happens to a request: the classes of docs/tables.md.

use serde::{Deserialize, Serialize};

/// The class of what happened to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Succeeded on the first attempt.
    FirstAttempt,
    /// Succeeded after retries.
    AfterRetries,
    /// Failed, retry budget exhausted.
    BudgetExhausted,
    /// Failed, retry limit reached.
    LimitReached,
    /// Failed, not retryable.
    NotRetryable,
    /// Timed out.
    TimedOut,
    /// Rejected by the circuit breaker.
    BreakerRejected,
    /// Rejected by a rate limit.
    RateLimited,
    /// Denied by policy.
    Denied,
    /// Rejected by load shedding.
    LoadShed,
}

impl Outcome {
    /// All classes, in the order of tables.
    pub const ALL: [Self; 10] = [
        Self::FirstAttempt,
        Self::AfterRetries,
        Self::BudgetExhausted,
        Self::LimitReached,
        Self::NotRetryable,
        Self::TimedOut,
        Self::BreakerRejected,
        Self::RateLimited,
        Self::Denied,
        Self::LoadShed,
    ];

    /// Returns the name in files and conditions.
    pub fn id(&self) -> &'static str {
        self.texts().0
    }

    /// Returns the class in words, as tables show it.
    pub fn words(&self) -> &'static str {
        self.texts().1
    }

    /// Returns the class of a name.
    pub(crate) fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.id() == id)
    }

    /// Whether the request succeeded.
    pub fn succeeded(&self) -> bool {
        matches!(self, Self::FirstAttempt | Self::AfterRetries)
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::FirstAttempt => ("first-attempt", "succeeded on the first attempt"),
            Self::AfterRetries => ("after-retries", "succeeded after retries"),
            Self::BudgetExhausted => ("budget-exhausted", "failed, retry budget exhausted"),
            Self::LimitReached => ("limit-reached", "failed, retry limit reached"),
            Self::NotRetryable => ("not-retryable", "failed, not retryable"),
            Self::TimedOut => ("timed-out", "timed out"),
            Self::BreakerRejected => ("breaker-rejected", "rejected by the circuit breaker"),
            Self::RateLimited => ("rate-limited", "rejected by a rate limit"),
            Self::Denied => ("denied", "denied by policy"),
            Self::LoadShed => ("load-shed", "rejected by load shedding"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_files_is_the_name_in_conditions() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.id());
            assert_eq!(Outcome::of_id(outcome.id()), Some(outcome));
        }
    }
}
