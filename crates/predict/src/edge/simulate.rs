//! Traffic against a budget, or against a service that fails in blocks, simulated many times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::blocks::{BLOCK, Blocks};
use super::{EdgeLoad, EdgePrediction, Policy, closed_form_success};
use crate::budget::Budget;
use crate::interval::Interval;
use crate::random::Random;

/// Runs of one prediction: with 300 a standard deviation is known to 4 %.
const MOST_RUNS: u64 = 1_000;
const LEAST_RUNS: u64 = 300;
/// Requests simulated in all runs together.
const REQUESTS: u64 = 200_000;
/// An attempt at a small service, on average. The result hardly depends on it while it is short against the bucket's slots.
const ATTEMPT_NANOS: f64 = 2_000_000.0;
/// How far arrivals of an open loop deviate, because of timers and queues. Without any deviation, gaps would equal slots and
/// the bucket would act as on no real clock.
const JITTER_NANOS: f64 = 500_000.0;

/// The service had up to so many attempts before: ten blocks, after which shares of whole percents come back to their start.
const EARLIER: usize = 10 * BLOCK as usize;

#[derive(Default)]
struct Run {
    succeeded: u64,
    attempts: u64,
    refused: u64,
}

/// Which attempts fail.
#[derive(Default)]
struct Failures {
    requests: u64,
    failures: u64,
    blocks: Blocks,
}

impl Failures {
    /// Before the first attempt: at the start of a block, or anywhere in one.
    fn begin(load: &EdgeLoad, random: &mut Random) -> Self {
        let mut failures = Self::default();
        if load.blocks && load.within_block {
            for _ in 0..random.below(EARLIER) {
                failures.next(load, random);
            }
        }
        failures
    }

    /// Whether the next attempt fails: independently, or by its block, which has exactly the share of failures.
    fn next(&mut self, load: &EdgeLoad, random: &mut Random) -> bool {
        if !load.blocks {
            return random.chance(load.fail_ratio);
        }
        if self.requests == 0 {
            self.failures = self.blocks.next(load.fail_ratio);
            self.requests = BLOCK;
        }
        let fails = random.chance(self.failures as f64 / self.requests as f64);
        self.requests -= 1;
        self.failures -= u64::from(fails);
        fails
    }
}

/// Simulates the load.
pub(super) fn prediction(load: EdgeLoad, seed: u64) -> EdgePrediction {
    let requests = load.requests();
    let runs = (REQUESTS / requests).clamp(LEAST_RUNS, MOST_RUNS);
    let mut random = Random::new(seed, 0);
    let outcomes: Vec<Run> = (0..runs).map(|_| simulate(&load, &mut random)).collect();
    let of = |most, value: &dyn Fn(&Run) -> f64| Interval::of(outcomes.iter().map(value).collect(), most);
    let count = requests as f64;
    let attempts = of(f64::INFINITY, &|run| run.attempts as f64 / count).at_least(1.0);
    let made = load.requests_per_second * (attempts.mean - 1.0);
    let refused = of(1.0, &|run| run.refused as f64 / count).mean * load.requests_per_second;
    EdgePrediction {
        scenario: load,
        requests_count: requests,
        success_ratio: of(1.0, &|run| run.succeeded as f64 / count),
        attempts_per_request: attempts,
        added_attempts_per_request: attempts.less(1.0),
        retries_wanted_per_second: made + refused,
        retries_made_per_second: made,
        closed_form_success_ratio: closed_form_success(&load),
        simulations_count: runs,
        remark: None,
    }
}

fn simulate(load: &EdgeLoad, random: &mut Random) -> Run {
    let clients = load.clients.max(1) as usize;
    let (mut budgets, limit) = match load.policy {
        Policy::Budget { retry_ratio, min_retries_per_second, ttl_seconds } => {
            let ttl = Duration::from_secs_f64(ttl_seconds);
            (vec![Budget::new(ttl, min_retries_per_second, retry_ratio); clients], u32::MAX)
        }
        Policy::None => (Vec::new(), 0),
        Policy::Limit { limit } => (Vec::new(), limit),
    };
    let mut failures = Failures::begin(load, random);
    let requests = load.requests();
    let step = load.over().as_nanos() as f64 / requests as f64;
    let mut run = Run::default();
    // Ends of attempts, in the order of time; retries of one request overlap with the next requests.
    let mut ends: BinaryHeap<Reverse<(u64, usize, u32)>> = BinaryHeap::new();
    let mut sent = 0;
    loop {
        let next = (sent < requests).then_some((sent as f64 * step) as u64);
        let ended = match (next, ends.peek()) {
            (Some(next), end) if end.is_none_or(|Reverse((end, ..))| next <= *end) => {
                let end = next + exponential(random, JITTER_NANOS) + exponential(random, ATTEMPT_NANOS);
                ends.push(Reverse((end, sent as usize % clients, 0)));
                run.attempts += 1;
                sent += 1;
                continue;
            }
            (_, Some(_)) => ends.pop(),
            (_, None) => return run,
        };
        let Some(Reverse((now, client, retries))) = ended else { return run };
        if !failures.next(load, random) {
            if let Some(budget) = budgets.get_mut(client) {
                budget.deposit(now);
            }
            run.succeeded += 1;
        } else if retries < limit && budgets.get_mut(client).is_none_or(|budget| budget.withdraw(now)) {
            ends.push(Reverse((now + exponential(random, ATTEMPT_NANOS), client, retries + 1)));
            run.attempts += 1;
        } else {
            run.refused += 1;
        }
    }
}

fn exponential(random: &mut Random, mean: f64) -> u64 {
    random.exponential(mean) as u64
}
