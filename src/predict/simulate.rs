//! Traffic against a budget, played through many times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::budget::Budget;
use super::{Interval, Policy, Prediction, Scenario, closed_form};

/// Runs of one prediction: with 300 a standard deviation is known to 4 %.
const MOST_RUNS: u64 = 1_000;
const LEAST_RUNS: u64 = 300;
/// Requests simulated in all: about a second's work for a debug build.
const REQUESTS: u64 = 200_000;
/// An attempt on a small service, on average. The result hardly depends on it while it is short against the bucket's slots.
const TRY_NANOS: f64 = 2_000_000.0;
/// Arrivals of an open loop stray by timers and queues. Without any stray, gaps would equal slots and the bucket would
/// act as on no real clock.
const STRAY_NANOS: f64 = 500_000.0;

#[derive(Default)]
struct Run {
    succeeded: u64,
    attempts: u64,
    refused: u64,
}

/// Simulates the scenario's budget.
pub(super) fn prediction(scenario: Scenario, seed: u64) -> Prediction {
    let requests = scenario.requests();
    let runs = (REQUESTS / requests).clamp(LEAST_RUNS, MOST_RUNS);
    let mut random = StdRng::seed_from_u64(seed);
    let outcomes: Vec<Run> = (0..runs).map(|_| play(&scenario, &mut random)).collect();
    let of = |most, value: &dyn Fn(&Run) -> f64| Interval::of(outcomes.iter().map(value).collect(), most);
    let count = requests as f64;
    let attempts = of(f64::INFINITY, &|run| run.attempts as f64 / count).at_least(1.0);
    let made = scenario.requests_per_second * (attempts.mean - 1.0);
    let refused = of(1.0, &|run| run.refused as f64 / count).mean * scenario.requests_per_second;
    Prediction {
        scenario,
        requests_count: requests,
        success_ratio: of(1.0, &|run| run.succeeded as f64 / count),
        attempts_per_request: attempts,
        added_attempts_per_request: attempts.less(1.0),
        retries_wanted_per_second: made + refused,
        retries_made_per_second: made,
        closed_form_success_ratio: closed_form::success_ratio(&scenario),
        simulations_count: runs,
        remark: None,
    }
}

fn play(scenario: &Scenario, random: &mut StdRng) -> Run {
    let Policy::Budget { retry_ratio, min_retries_per_second, ttl_seconds } = scenario.policy else {
        return Run::default();
    };
    let ttl = Duration::from_secs_f64(ttl_seconds);
    let clients = scenario.clients.max(1) as usize;
    let mut budgets = vec![Budget::new(ttl, min_retries_per_second, retry_ratio); clients];
    let requests = scenario.requests();
    let step = scenario.over().as_nanos() as f64 / requests as f64;
    let mut run = Run::default();
    // Ends of attempts, in the order of time; retries of one request overlap with the next requests.
    let mut ends: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut sent = 0;
    loop {
        let next = (sent < requests).then_some((sent as f64 * step) as u64);
        let now = match (next, ends.peek()) {
            (Some(next), end) if end.is_none_or(|Reverse((end, _))| next <= *end) => {
                let end = next + exponential(random, STRAY_NANOS) + exponential(random, TRY_NANOS);
                ends.push(Reverse((end, sent as usize % clients)));
                run.attempts += 1;
                sent += 1;
                continue;
            }
            (_, Some(_)) => ends.pop(),
            (_, None) => return run,
        };
        let Some(Reverse((now, client))) = now else { return run };
        if !random.random_bool(scenario.fail_ratio) {
            budgets[client].deposit(now);
            run.succeeded += 1;
        } else if budgets[client].withdraw(now) {
            ends.push(Reverse((now + exponential(random, TRY_NANOS), client)));
            run.attempts += 1;
        } else {
            run.refused += 1;
        }
    }
}

fn exponential(random: &mut StdRng, mean: f64) -> u64 {
    let unit: f64 = random.random();
    (-mean * (1.0 - unit).ln()) as u64
}
