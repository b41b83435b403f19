//! Success under a budget as a formula, good well above the budget and up to five points too high near the knee.

use super::{Policy, Scenario, budget};

/// How much of the ttl the bucket spans under real arrivals: six of its ten slots, so that the reserve comes back in
/// that time. Measured with the crate.
const SPAN: f64 = 0.6;

/// The share of requests that succeed in the steady state. With R requests/s, failure p an attempt, ratio r and reserve m
/// the retries made are r × successes + m, which gives (1-p)(R+m) / (R(1-r(1-p))).
pub fn success_ratio(scenario: &Scenario) -> f64 {
    let p = scenario.fail_ratio;
    match scenario.policy {
        Policy::None => 1.0 - p,
        Policy::Limit { limit } => 1.0 - p.powi(limit as i32 + 1),
        Policy::Budget { retry_ratio, min_retries_per_second, .. } => {
            let (deposit, withdrawal) = budget::amounts(retry_ratio);
            let r = deposit as f64 / withdrawal.max(1) as f64;
            let m = f64::from(min_retries_per_second) * f64::from(scenario.clients) / SPAN;
            let rate = scenario.requests_per_second;
            let below = 1.0 - r * (1.0 - p);
            if below <= 0.0 { 1.0 } else { ((1.0 - p) * (rate + m) / (rate * below)).min(1.0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_over_the_budget_it_gives_the_measured_values() {
        let at = |requests_per_second| {
            success_ratio(&Scenario {
                fail_ratio: 0.7,
                requests_per_second,
                over_seconds: 30.0,
                clients: 1,
                policy: Policy::SEED,
            })
        };
        assert!((at(40.0) - 0.452).abs() < 0.003, "{}", at(40.0));
        assert!((at(20.0) - 0.585).abs() < 0.003, "{}", at(20.0));
        assert_eq!(at(2.0), 1.0);
    }
}
