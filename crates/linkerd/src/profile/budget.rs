//! The retry budget of a profile, and whether the proxy accepts it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration::{self, DurationError};

/// A retry budget: the limit of the retries that one client's proxy may add to its requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// The number of retries that each request that does not fail adds to the budget; 0.2: 1 retry per 5 requests.
    pub retry_ratio: f64,
    /// The number of retries per second that are allowed in addition.
    pub min_retries_per_second: u32,
    /// How long an unused retry stays in the budget, as a Go duration.
    pub ttl: String,
}

/// Why the proxy rejects a budget. Without a budget it retries no request of the profile.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BudgetError {
    /// The controller cannot parse the `ttl`.
    #[error("ttl: {0}")]
    Ttl(#[from] DurationError),
    /// The `ttl` is outside 1 s to 60 s.
    #[error("invalid ttl {0:?}, expected 1 s to 60 s")]
    TtlRange(Duration),
    /// The `retryRatio` is outside 0 to 1000.
    #[error("invalid retryRatio {0}, expected 0 to 1000")]
    Ratio(f64),
}

impl Default for Budget {
    /// Returns the budget that the controller uses for a profile without one.
    fn default() -> Self {
        Self { retry_ratio: 0.2, min_retries_per_second: 10, ttl: "10s".to_owned() }
    }
}

impl Budget {
    /// Returns the parsed `ttl`.
    ///
    /// # Errors
    /// Returns an error if `ttl` is not a Go duration.
    pub fn ttl(&self) -> Result<Duration, DurationError> {
        duration::go(&self.ttl)
    }

    /// Checks whether the proxy accepts the budget, and returns the parsed `ttl`. The proxy drops an invalid budget, writes
    /// this to its log only, and retries no request.
    ///
    /// # Errors
    /// Returns the reason why the proxy rejects the budget.
    pub fn validate(&self) -> Result<Duration, BudgetError> {
        let ttl = self.ttl()?;
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&ttl) {
            return Err(BudgetError::TtlRange(ttl));
        }
        if !(0.0..=1000.0).contains(&self.retry_ratio) {
            return Err(BudgetError::Ratio(self.retry_ratio));
        }
        Ok(ttl)
    }

    /// Returns the ratio that the proxy applies. The proxy rounds the cost of a retry to a whole number of requests, so 0.3
    /// becomes 1/3.
    pub(crate) fn effective_ratio(&self) -> f32 {
        // The proxy receives the ratio as a 32-bit float.
        let ratio = self.retry_ratio as f32;
        if ratio <= 0.0 {
            0.0
        } else if ratio <= 1.0 {
            1.0 / (1.0 / ratio).floor()
        } else {
            1000.0 / (1000.0 / ratio).floor()
        }
    }

    /// Returns a description of the budget in one sentence, for example "1 retry per 5 requests, plus 10 retries per
    /// second; requests that fail add none; unused retries expire after 10s; each proxy of a client has a separate budget".
    pub fn in_words(&self) -> String {
        if let Err(error) = self.validate() {
            return format!("rejected by the proxy ({error}): no request is retried");
        }
        let ratio = self.effective_ratio();
        let per_request = if ratio == 0.0 {
            String::new()
        } else if ratio < 1.0 {
            format!("1 retry per {:.0} requests, plus ", 1.0 / ratio)
        } else {
            format!("{} per request, plus ", retries((ratio * 100.0).round() / 100.0))
        };
        format!(
            "{per_request}{} per second; requests that fail add none; unused retries expire after {}; each proxy of a client has a separate budget",
            retries(self.min_retries_per_second as f32),
            self.ttl
        )
    }
}

fn retries(count: f32) -> String {
    format!("{count} {}", if count == 1.0 { "retry" } else { "retries" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(ratio: f64, ttl: &str) -> Budget {
        Budget { retry_ratio: ratio, min_retries_per_second: 10, ttl: ttl.to_owned() }
    }

    #[test]
    fn a_budget_outside_the_bounds_of_the_proxy_is_invalid() {
        assert!(Budget::default().validate().is_ok());
        assert!(budget(0.0, "1s").validate().is_ok() && budget(1000.0, "60s").validate().is_ok());
        assert_eq!(budget(0.2, "61s").validate(), Err(BudgetError::TtlRange(Duration::from_secs(61))));
        assert_eq!(budget(0.2, "999ms").validate(), Err(BudgetError::TtlRange(Duration::from_millis(999))));
        assert_eq!(budget(1000.5, "10s").validate(), Err(BudgetError::Ratio(1000.5)));
        assert!(matches!(budget(0.2, "10").validate(), Err(BudgetError::Ttl(_))));
        assert!(budget(f64::NAN, "10s").validate().is_err());
    }

    #[test]
    fn the_cost_of_a_retry_is_rounded_to_whole_requests() {
        assert_eq!(budget(0.2, "10s").effective_ratio(), 0.2);
        assert!((budget(0.3, "10s").effective_ratio() - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(budget(0.7, "10s").effective_ratio(), 1.0);
        assert_eq!(budget(0.0, "10s").effective_ratio(), 0.0);
        assert_eq!(budget(2.0, "10s").effective_ratio(), 2.0);
    }

    #[test]
    fn a_budget_is_described_in_one_sentence() {
        assert_eq!(
            Budget::default().in_words(),
            "1 retry per 5 requests, plus 10 retries per second; requests that fail add none; unused retries expire after \
             10s; each proxy of a client has a separate budget"
        );
        let start = |ratio: f64, min_retries_per_second: u32| {
            let budget = Budget { min_retries_per_second, ..budget(ratio, "10s") };
            budget.in_words().split(';').next().unwrap_or_default().to_owned()
        };
        assert_eq!(start(0.0, 10), "10 retries per second");
        assert_eq!(start(1.0, 1), "1 retry per request, plus 1 retry per second");
        assert_eq!(start(1.5, 0), "1.5 retries per request, plus 0 retries per second");
    }

    #[test]
    fn the_description_of_an_invalid_budget_has_the_reason() {
        assert_eq!(
            budget(0.2, "2m").in_words(),
            "rejected by the proxy (invalid ttl 120s, expected 1 s to 60 s): no request is retried"
        );
    }
}
