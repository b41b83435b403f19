//! One edge without queues: a client, a service that fails some of its attempts, and a retry policy.
//!
//! Every attempt fails with the same probability, independently. With a limit the result is exact (`exact`), and so it is without
//! retries if failures come in shuffled blocks (`blocks`). Under a budget
//! the traffic is simulated against a copy of tower's bucket (`simulate`); next to it stands the closed form, which is off
//! where the budget just begins to be exhausted.

mod blocks;
mod exact;
mod simulate;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::closed_form;
use crate::interval::Interval;

/// When failed requests are retried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Policy {
    /// Never.
    None,
    /// A retry budget, as of a ServiceProfile; no limit for one request.
    Budget {
        /// Retries per request that does not fail: the profile's `retryRatio`. It may exceed 1 and so is not a ratio in the
        /// sense of the documents.
        #[serde(rename = "retries_per_request", alias = "retry_ratio")]
        retry_ratio: f64,
        /// Retries per second that are always allowed.
        min_retries_per_second: u32,
        /// How long a request counts, in seconds.
        ttl_seconds: f64,
    },
    /// A retry limit, as of the retry annotations: at most so many retries of each request; no budget.
    Limit {
        /// Retries, not attempts.
        #[serde(rename = "limit_per_request", alias = "limit")]
        limit: u32,
    },
}

impl Policy {
    /// The budget of the original demo's profile, which is also Linkerd's default.
    pub const DEFAULT_BUDGET: Self =
        Self::Budget { retry_ratio: 0.2, min_retries_per_second: 10, ttl_seconds: 10.0 };

    /// Returns the policy in a few words.
    pub fn words(&self) -> String {
        match self {
            Self::None => "no retries".to_owned(),
            Self::Limit { limit } => format!("at most {limit} retries per request"),
            Self::Budget { retry_ratio, min_retries_per_second, ttl_seconds } => format!(
                "a retry budget of {:.0} % of the requests that do not fail plus {min_retries_per_second} retries/s, ttl {ttl_seconds} s",
                retry_ratio * 100.0
            ),
        }
    }

    /// Returns why a proxy ignores this budget and retries nothing, or `None` if it does not.
    pub(crate) fn void(&self) -> Option<String> {
        match *self {
            Self::Budget { ttl_seconds, .. } if !(1.0..=60.0).contains(&ttl_seconds) => Some(format!(
                "a ttl of {ttl_seconds} s lies outside 1 to 60 s: the proxy drops the whole budget"
            )),
            Self::Budget { retry_ratio, .. } if !(0.0..=1000.0).contains(&retry_ratio) => Some(format!(
                "a ratio of {retry_ratio} lies outside 0 to 1000: the proxy drops the whole budget"
            )),
            _ => None,
        }
    }
}

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EdgeLoad {
    /// The probability that one attempt fails.
    pub fail_ratio: f64,
    /// Requests per second, of all clients together.
    pub requests_per_second: f64,
    /// How long the load lasts, in seconds.
    pub over_seconds: f64,
    /// Proxies that send, each with a separate budget.
    #[serde(rename = "clients_count", alias = "clients")]
    pub clients: u32,
    /// The policy.
    pub policy: Policy,
    /// Failures come in shuffled blocks of ten attempts, each of which has exactly the share of failures; the first attempt
    /// starts a block.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocks: bool,
    /// With `blocks`: the first attempt is anywhere in a block, as on a service that has had requests before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub within_block: bool,
}

impl EdgeLoad {
    /// Returns the number of requests; at least one.
    pub fn requests(&self) -> u64 {
        (self.requests_per_second * self.over_seconds).round().max(1.0) as u64
    }

    fn over(&self) -> Duration {
        Duration::from_secs_f64(self.over_seconds)
    }
}

/// What is predicted, with the interval that holds 99.7 % of such runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EdgePrediction {
    /// What was requested.
    pub scenario: EdgeLoad,
    /// Requests of the load.
    pub requests_count: u64,
    /// Share of requests that succeed, retries included.
    pub success_ratio: Interval,
    /// Attempts for each request.
    #[serde(alias = "tries_per_request")]
    pub attempts_per_request: Interval,
    /// Attempts after the first, per request: 1.5 is 150 % more load on the service.
    #[serde(alias = "added_tries_per_request", alias = "added_load_ratio")]
    pub added_attempts_per_request: Interval,
    /// Retries per second that are needed.
    pub retries_wanted_per_second: f64,
    /// Retries per second that are made.
    pub retries_made_per_second: f64,
    /// The closed form's success, for comparison.
    pub closed_form_success_ratio: f64,
    /// How often the traffic was simulated; 0 where the formula is exact.
    pub simulations_count: u64,
    /// A warning about this policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// Predicts one edge. The same load and seed result in the same numbers.
pub fn predict_edge(load: EdgeLoad, seed: u64) -> EdgePrediction {
    let remark = load.policy.void();
    let effective = EdgeLoad { policy: if remark.is_some() { Policy::None } else { load.policy }, ..load };
    let prediction = match effective.policy {
        Policy::None if effective.blocks && !effective.within_block => blocks::prediction(effective),
        _ if effective.blocks => simulate::prediction(effective, seed),
        Policy::Budget { .. } => simulate::prediction(effective, seed),
        Policy::None => exact::prediction(effective, 0),
        Policy::Limit { limit } => exact::prediction(effective, limit),
    };
    EdgePrediction { scenario: load, remark, ..prediction }
}

/// Returns the share of requests that succeed in the steady state, by the closed forms.
pub(crate) fn closed_form_success(load: &EdgeLoad) -> f64 {
    match load.policy {
        Policy::None => closed_form::limit_success(load.fail_ratio, 0),
        Policy::Limit { limit } => closed_form::limit_success(load.fail_ratio, limit),
        Policy::Budget { retry_ratio, min_retries_per_second, .. } => closed_form::budget_success(
            load.fail_ratio,
            load.requests_per_second,
            retry_ratio,
            f64::from(min_retries_per_second) * f64::from(load.clients),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_budget_at(requests_per_second: f64) -> EdgeLoad {
        EdgeLoad {
            fail_ratio: 0.7,
            requests_per_second,
            over_seconds: 30.0,
            clients: 1,
            policy: Policy::DEFAULT_BUDGET,
            blocks: false,
            within_block: false,
        }
    }

    #[test]
    fn failures_in_blocks_leave_only_the_last_block_to_chance() {
        let load =
            EdgeLoad { over_seconds: 3.0, policy: Policy::None, blocks: true, ..default_budget_at(8.0) };
        let success = predict_edge(load, 1).success_ratio;
        // Two blocks of ten have 3 successes each, the 4 requests of the third have 0 to 3.
        assert!(success.low >= 6.0 / 24.0 && success.high <= 9.0 / 24.0 + 1e-9, "{success:?}");
        assert!(success.holds(6.0 / 24.0) && success.holds(9.0 / 24.0), "{success:?}");
        assert!((success.mean - 0.3).abs() < 1e-9, "{success:?}");
        let whole = predict_edge(EdgeLoad { over_seconds: 5.0, ..load }, 1).success_ratio;
        assert!((whole.low - 0.3).abs() < 1e-9 && (whole.high - 0.3).abs() < 1e-9, "{whole:?}");
    }

    #[test]
    fn a_load_that_begins_within_a_block_leaves_two_blocks_to_chance() {
        let independent = EdgeLoad { over_seconds: 10.0, policy: Policy::None, ..default_budget_at(20.0) };
        let within = EdgeLoad { blocks: true, within_block: true, ..independent };
        let (success, wide) =
            (predict_edge(within, 1).success_ratio, predict_edge(independent, 1).success_ratio);
        // 19 or 20 whole blocks have 3 successes each; of the two others, which have 10 requests, between 0 and 6 succeed.
        assert!(success.low >= 57.0 / 200.0 - 1e-9 && success.high <= 63.0 / 200.0 + 1e-9, "{success:?}");
        assert!(success.holds(58.0 / 200.0) && success.holds(62.0 / 200.0), "{success:?}");
        assert!(wide.low < 0.21 && wide.high > 0.39, "{wide:?}");
    }

    /// Rows measured on a real Linkerd, 30 s each.
    #[test]
    fn every_measured_row_lies_in_its_interval() {
        for (rate, measured) in
            [(1.0, 1.0), (2.0, 1.0), (5.0, 1.0), (10.0, 0.84), (20.0, 0.607), (40.0, 0.432)]
        {
            let success = predict_edge(default_budget_at(rate), 1).success_ratio;
            assert!(success.holds(measured), "{rate}/s: {measured} is not in {success:?}");
        }
        for (limit, measured) in [(0, 0.227), (1, 0.49), (3, 0.715), (5, 0.875)] {
            let policy = Policy::Limit { limit };
            let success = predict_edge(EdgeLoad { policy, ..default_budget_at(10.0) }, 1).success_ratio;
            assert!(success.holds(measured), "limit {limit}: {measured} is not in {success:?}");
        }
    }

    /// The crate's means under realistic arrivals, as measured with the crate itself on a real clock.
    #[test]
    fn the_means_are_those_of_the_crate() {
        for (rate, mean, tolerance) in
            [(5.0, 0.994, 0.01), (10.0, 0.817, 0.02), (20.0, 0.585, 0.015), (40.0, 0.451, 0.01)]
        {
            let success = predict_edge(default_budget_at(rate), 1).success_ratio.mean;
            assert!((success - mean).abs() < tolerance, "{rate}/s: {success} is not about {mean}");
        }
    }

    #[test]
    fn a_void_budget_predicts_no_retries_and_explains_it() {
        let policy = Policy::Budget { retry_ratio: 0.2, min_retries_per_second: 10, ttl_seconds: 90.0 };
        let prediction = predict_edge(EdgeLoad { policy, ..default_budget_at(1.0) }, 1);
        assert!((prediction.success_ratio.mean - 0.3).abs() < 1e-9);
        assert!(prediction.remark.unwrap().contains("90 s"));
    }

    #[test]
    fn the_same_seed_results_in_the_same_prediction() {
        let at = |seed| predict_edge(default_budget_at(20.0), seed);
        assert_eq!(at(3), at(3));
        assert_ne!(at(3), at(4));
    }
}
