//! The retry budget of a profile, and whether the proxy takes it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration::{self, DurationError};

/// How many retries one client's proxy may add to what it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Retries earned by each request that ended (0.2: one for every five).
    pub retry_ratio: f64,
    /// Retries a second that need not be earned.
    pub min_retries_per_second: u32,
    /// How long what was earned can be spent, in Go's notation.
    pub ttl: String,
}

/// Why the proxy throws a budget away, and with it every retry of the profile.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BudgetFault {
    /// The controller cannot read the time to live.
    #[error("ttl: {0}")]
    Ttl(#[from] DurationError),
    /// Outside 1 to 60 s.
    #[error("ttl {0:?} is outside 1 s to 60 s")]
    TtlRange(Duration),
    /// Outside 0 to 1000.
    #[error("retryRatio {0} is outside 0 to 1000")]
    Ratio(f64),
}

impl Default for Budget {
    /// What the controller fills in for a profile without a budget.
    fn default() -> Self {
        Self { retry_ratio: 0.2, min_retries_per_second: 10, ttl: "10s".to_owned() }
    }
}

impl Budget {
    /// The time to live.
    ///
    /// # Errors
    /// It is not a duration in Go's notation.
    pub fn ttl(&self) -> Result<Duration, DurationError> {
        duration::go(&self.ttl)
    }

    /// Whether the proxy takes the budget. One that it does not take is dropped whole: no retry at all, and no word
    /// about it but in the proxy's log.
    ///
    /// # Errors
    /// The reason.
    pub fn validity(&self) -> Result<Duration, BudgetFault> {
        let ttl = self.ttl()?;
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&ttl) {
            return Err(BudgetFault::TtlRange(ttl));
        }
        if !(0.0..=1000.0).contains(&self.retry_ratio) {
            return Err(BudgetFault::Ratio(self.retry_ratio));
        }
        Ok(ttl)
    }

    /// The ratio that the proxy's budget really keeps: a retry costs a whole number of requests, so 0.3 acts as 1/3.
    pub fn effective_ratio(&self) -> f32 {
        // The proxy gets the ratio as a 32-bit number and calculates with that.
        let ratio = self.retry_ratio as f32;
        if ratio <= 0.0 {
            0.0
        } else if ratio <= 1.0 {
            1.0 / (1.0 / ratio).floor()
        } else {
            1000.0 / (1000.0 / ratio).floor()
        }
    }

    /// The budget in one sentence.
    pub fn in_words(&self) -> String {
        if let Err(fault) = self.validity() {
            return format!("not taken by the proxy ({fault}): nothing is retried");
        }
        let ratio = self.effective_ratio();
        let earned = if ratio == 0.0 {
            "no retry is earned by requests".to_owned()
        } else if ratio < 1.0 {
            format!("every {:.0} requests earn one retry", 1.0 / ratio)
        } else {
            format!("every request earns {ratio:.0} retries")
        };
        format!(
            "{earned}, beside {} a second that are free; what is not spent within {} is lost; each client has its own",
            self.min_retries_per_second, self.ttl
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(ratio: f64, ttl: &str) -> Budget {
        Budget { retry_ratio: ratio, min_retries_per_second: 10, ttl: ttl.to_owned() }
    }

    #[test]
    fn the_proxy_takes_a_budget_within_its_bounds_only() {
        assert!(Budget::default().validity().is_ok());
        assert!(budget(0.0, "1s").validity().is_ok() && budget(1000.0, "60s").validity().is_ok());
        assert_eq!(budget(0.2, "61s").validity(), Err(BudgetFault::TtlRange(Duration::from_secs(61))));
        assert_eq!(budget(0.2, "999ms").validity(), Err(BudgetFault::TtlRange(Duration::from_millis(999))));
        assert_eq!(budget(1000.5, "10s").validity(), Err(BudgetFault::Ratio(1000.5)));
        assert!(matches!(budget(0.2, "10").validity(), Err(BudgetFault::Ttl(_))));
        assert!(budget(f64::NAN, "10s").validity().is_err());
    }

    #[test]
    fn a_ratio_is_rounded_to_a_whole_price() {
        assert_eq!(budget(0.2, "10s").effective_ratio(), 0.2);
        assert!((budget(0.3, "10s").effective_ratio() - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(budget(0.7, "10s").effective_ratio(), 1.0);
        assert_eq!(budget(0.0, "10s").effective_ratio(), 0.0);
        assert_eq!(budget(2.0, "10s").effective_ratio(), 2.0);
    }

    #[test]
    fn the_seeds_budget_reads_as_a_sentence() {
        assert_eq!(
            Budget::default().in_words(),
            "every 5 requests earn one retry, beside 10 a second that are free; what is not spent within 10s is lost; \
             each client has its own"
        );
    }
}
