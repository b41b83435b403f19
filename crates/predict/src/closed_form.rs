//! Formulas for services without queues: a failure probability per attempt is all that matters.

use crate::budget::amounts;

/// How much of its ttl a budget spans under real arrivals: six of its ten slots, so the reserve comes back in that time.
/// Measured with tower's crate.
pub(crate) const BUDGET_SPAN: f64 = 0.6;

/// Returns the share of requests that succeed with at most `limit` retries, if each attempt fails with probability `p`.
pub fn limit_success(p: f64, limit: u32) -> f64 {
    1.0 - p.powi(limit as i32 + 1)
}

/// Returns the attempts per request with at most `limit` retries: mean and standard deviation.
pub fn limit_attempts(p: f64, limit: u32) -> (f64, f64) {
    let (mut mean, mut square) = (0.0, 0.0);
    for attempts in 1..=limit + 1 {
        let last = attempts == limit + 1;
        let probability = p.powi(attempts as i32 - 1) * if last { 1.0 } else { 1.0 - p };
        mean += f64::from(attempts) * probability;
        square += f64::from(attempts).powi(2) * probability;
    }
    (mean, (square - mean * mean).max(0.0).sqrt())
}

/// Returns the share of requests that succeed in the steady state of a budget, for `rate` requests per second and a reserve
/// of `min` retries per second of all clients together. Right well above the budget, up to five points too high where the
/// budget just begins to be exhausted.
///
/// The retries made are r × successes + m, where m is the reserve over `BUDGET_SPAN` and r the ratio as tower rounds it.
/// That results in (1-p)(R+m) / (R(1-r(1-p))).
pub(crate) fn budget_success(p: f64, rate: f64, ratio: f64, min: f64) -> f64 {
    let (deposit, withdrawal) = amounts(ratio);
    let r = deposit as f64 / withdrawal.max(1) as f64;
    let m = min / BUDGET_SPAN;
    let below = 1.0 - r * (1.0 - p);
    if below <= 0.0 { 1.0 } else { ((1.0 - p) * (rate + m) / (rate * below)).min(1.0) }
}

/// Returns the attempts per request of the entry at each hop of a chain whose last hop fails every attempt, with at most
/// `limit` retries on each edge and no timeouts: 3, 9, 27 for a limit of 2.
pub fn limit_amplification(limit: u32, hops: usize) -> Vec<f64> {
    (1..=hops).map(|hop| f64::from(limit + 1).powi(hop as i32)).collect()
}

/// Returns the same with a budget on each edge, in the steady state: only the reserve allows retries, since a request that
/// ends with a failure adds nothing to the budget. 1 + k × m / rate at hop k, where m is the reserve `min` over `BUDGET_SPAN`.
pub fn budget_amplification(rate: f64, min: f64, hops: usize) -> Vec<f64> {
    (1..=hops).map(|hop| 1.0 + hop as f64 * min / BUDGET_SPAN / rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_over_the_budget_the_formula_returns_the_measured_values() {
        let at = |rate| budget_success(0.7, rate, 0.2, 10.0);
        assert!((at(40.0) - 0.452).abs() < 0.003, "{}", at(40.0));
        assert!((at(20.0) - 0.585).abs() < 0.003, "{}", at(20.0));
        assert_eq!(at(2.0), 1.0);
    }

    #[test]
    fn attempts_with_a_limit_are_those_of_the_geometric_sum() {
        let (mean, deviation) = limit_attempts(0.7, 3);
        assert!((mean - (1.0 - 0.7f64.powi(4)) / 0.3).abs() < 1e-12);
        assert!(deviation > 1.0);
        assert_eq!(limit_attempts(1.0, 2), (3.0, 0.0));
        assert_eq!(limit_amplification(2, 3), [3.0, 9.0, 27.0]);
    }
}
