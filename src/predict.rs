//! What retries will do, before they are tried: the policy's own arithmetic under simulated traffic.
//!
//! A budget is simulated with a copy of tower's bucket whose clock is an argument (`budget`); a limit has an exact
//! formula. Beside the simulation stands the closed form, which is off near the knee (`closed_form`).

pub mod budget;
pub mod closed_form;
pub mod interval;
mod simulate;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use meshy_base::activity::{self, Kind};

pub use interval::Interval;

/// When failed requests are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Policy {
    /// Never.
    None,
    /// As a ServiceProfile's budget allows; no limit for one request.
    Budget {
        /// Retries per request that did not need one: the profile's `retryRatio`, which may exceed 1 and so is no
        /// ratio in the documents' sense.
        #[serde(rename = "retries_per_request", alias = "retry_ratio")]
        retry_ratio: f64,
        /// Retries per second that are always allowed.
        min_retries_per_second: u32,
        /// How long a request counts, in seconds.
        ttl_seconds: f64,
    },
    /// At most so many retries of each request, as the retry annotations have it; no budget.
    Limit {
        /// Retries, not attempts.
        #[serde(rename = "limit_per_request", alias = "limit")]
        limit: u32,
    },
}

impl Policy {
    /// The budget of the seed's profile, which is also Linkerd's default.
    pub const SEED: Self = Self::Budget { retry_ratio: 0.2, min_retries_per_second: 10, ttl_seconds: 10.0 };

    /// Why a proxy would throw this budget away and retry nothing, if it would.
    pub fn void(&self) -> Option<String> {
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

/// What is to be predicted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Scenario {
    /// The chance that one attempt fails.
    pub fail_ratio: f64,
    /// Requests per second, of all clients together.
    pub requests_per_second: f64,
    /// For how long, in seconds.
    pub over_seconds: f64,
    /// Proxies that send, each with a budget of its own.
    #[serde(rename = "clients_count", alias = "clients")]
    pub clients: u32,
    /// The policy.
    pub policy: Policy,
}

impl Scenario {
    /// How many requests that is.
    pub fn requests(&self) -> u64 {
        (self.requests_per_second * self.over_seconds).round().max(1.0) as u64
    }

    fn over(&self) -> Duration {
        Duration::from_secs_f64(self.over_seconds)
    }
}

/// What will be seen, with the interval that chance allows to so many requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Prediction {
    /// What was asked.
    pub scenario: Scenario,
    /// Requests in the time.
    pub requests_count: u64,
    /// Share of requests that succeed in the end.
    pub success_ratio: Interval,
    /// Attempts for each request.
    pub attempts_per_request: Interval,
    /// Attempts beyond the first, per request: 1.5 is 150 % more load on the server.
    #[serde(alias = "added_load_ratio")]
    pub added_attempts_per_request: Interval,
    /// Retries per second that failures ask for.
    pub retries_wanted_per_second: f64,
    /// Retries per second that are made.
    pub retries_made_per_second: f64,
    /// The closed form's success, to be set beside.
    pub closed_form_success_ratio: f64,
    /// How often the traffic was simulated; 0 where the formula is exact.
    pub simulations_count: u64,
    /// What the user should know of this policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// Predicts; the same scenario and seed give the same numbers.
pub fn predict(scenario: Scenario, seed: u64) -> Prediction {
    let _simulating = activity::begin(Kind::Work, "simulating requests");
    let remark = scenario.policy.void();
    let effective =
        Scenario { policy: if remark.is_some() { Policy::None } else { scenario.policy }, ..scenario };
    let prediction = match effective.policy {
        Policy::Budget { .. } => simulate::prediction(effective, seed),
        Policy::None => exact(effective, 0),
        Policy::Limit { limit } => exact(effective, limit),
    };
    Prediction { scenario, remark, ..prediction }
}

/// Requests fail or succeed independently of each other, so binomial chance is all there is.
fn exact(scenario: Scenario, limit: u32) -> Prediction {
    let requests = scenario.requests();
    let p = scenario.fail_ratio;
    let success = 1.0 - p.powi(limit as i32 + 1);
    let (mut mean, mut square) = (0.0, 0.0);
    for attempts in 1..=limit + 1 {
        let chance =
            if attempts == limit + 1 { p.powi(limit as i32) } else { p.powi(attempts as i32 - 1) * (1.0 - p) };
        mean += f64::from(attempts) * chance;
        square += f64::from(attempts).powi(2) * chance;
    }
    let deviation = ((square - mean * mean).max(0.0) / requests as f64).sqrt();
    let attempts = Interval::normal(mean, deviation).at_least(1.0);
    Prediction {
        scenario,
        requests_count: requests,
        success_ratio: Interval::binomial(requests, success),
        attempts_per_request: attempts,
        added_attempts_per_request: attempts.less(1.0),
        // The last attempt's failure asks for one more, which the limit refuses.
        retries_wanted_per_second: scenario.requests_per_second * mean * p,
        retries_made_per_second: scenario.requests_per_second * (mean - 1.0),
        closed_form_success_ratio: success,
        simulations_count: 0,
        remark: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed_at(requests_per_second: f64) -> Prediction {
        let scenario = Scenario {
            fail_ratio: 0.7,
            requests_per_second,
            over_seconds: 30.0,
            clients: 1,
            policy: Policy::SEED,
        };
        predict(scenario, 1)
    }

    /// Rows measured on a real Linkerd, 30 s each.
    #[test]
    fn every_measured_row_lies_in_its_interval() {
        for (rate, measured) in
            [(1.0, 1.0), (2.0, 1.0), (5.0, 1.0), (10.0, 0.84), (20.0, 0.607), (40.0, 0.432)]
        {
            let success = seed_at(rate).success_ratio;
            assert!(success.holds(measured), "{rate}/s: {measured} is not in {success:?}");
        }
        for (limit, measured) in [(0, 0.227), (1, 0.49), (3, 0.715), (5, 0.875)] {
            let policy = Policy::Limit { limit };
            let scenario = Scenario { policy, ..seed_at(10.0).scenario };
            let success = predict(scenario, 1).success_ratio;
            assert!(success.holds(measured), "limit {limit}: {measured} is not in {success:?}");
        }
    }

    /// The crate's means under realistic arrivals, as measured with the crate itself on a real clock.
    #[test]
    fn the_means_are_those_of_the_crate() {
        for (rate, mean, tolerance) in
            [(5.0, 0.994, 0.01), (10.0, 0.817, 0.02), (20.0, 0.585, 0.015), (40.0, 0.451, 0.01)]
        {
            let success = seed_at(rate).success_ratio.mean;
            assert!((success - mean).abs() < tolerance, "{rate}/s: {success} is not about {mean}");
        }
    }

    #[test]
    fn a_void_budget_predicts_no_retries_and_says_why() {
        let policy = Policy::Budget { retry_ratio: 0.2, min_retries_per_second: 10, ttl_seconds: 90.0 };
        let prediction = predict(Scenario { policy, ..seed_at(1.0).scenario }, 1);
        assert!((prediction.success_ratio.mean - 0.3).abs() < 1e-9);
        assert!(prediction.remark.unwrap().contains("90 s"));
    }
}
