//! Decides which requests fail.

use http::StatusCode;

use super::{Action, Fault};
use crate::random::Random;

/// The number of requests in a shuffled block.
const BLOCK: u8 = 10;

/// Decides the action for each request.
#[derive(Debug)]
pub(super) struct Failures {
    /// How many statuses of the sequence were used.
    step: usize,
    block: Block,
    random: Random,
}

/// The rest of a shuffled block.
#[derive(Debug, Default)]
struct Block {
    requests: u8,
    failures: u8,
    /// The part of a failure that the next block adds, if a tenth of the percentage is not a whole number.
    rest: f64,
}

impl Failures {
    pub(super) fn new(seed: Option<u64>) -> Self {
        Self { step: 0, block: Block::default(), random: Random::new(seed) }
    }

    /// Restarts the random numbers and the block.
    pub(super) fn seed(&mut self, seed: Option<u64>) {
        *self = Self { step: self.step, ..Self::new(seed) };
    }

    /// Starts the sequence at its first status.
    pub(super) fn restart_sequence(&mut self) {
        self.step = 0;
    }

    /// Starts the sequence or the block again if another fault defines it now.
    pub(super) fn follow(&mut self, before: &Fault, now: &Fault) {
        if before.sequence != now.sequence {
            self.step = 0;
        }
        if before.blocks != now.blocks || percent(before) != percent(now) {
            self.block = Block::default();
        }
    }

    /// Returns the action for the next request.
    pub(super) fn next(&mut self, fault: &Fault) -> Action {
        if !fault.sequence.is_empty() {
            let status = fault.sequence[self.step % fault.sequence.len()];
            self.step = (self.step + 1) % fault.sequence.len();
            return match StatusCode::from_u16(status) {
                Ok(StatusCode::OK) | Err(_) => Action::Serve,
                Ok(status) => Action::Reject(status),
            };
        }
        // A number is drawn even if no request fails, so that the nth request of a seed does not depend on earlier faults.
        let unit = self.random.unit();
        let percent = percent(fault);
        let fails = if fault.blocks { self.block.next(percent, unit) } else { unit * 100.0 < percent };
        match (fails, fault.reject || fault.errors.is_some()) {
            (false, _) => Action::Serve,
            (true, true) => Action::Reject(StatusCode::INTERNAL_SERVER_ERROR),
            (true, false) => Action::Discard,
        }
    }
}

impl Block {
    /// Returns whether the next request fails; `unit` is a random number in 0..1. A request fails with the probability
    /// that it has in a shuffled block of which the requests so far are known.
    fn next(&mut self, percent: f64, unit: f64) -> bool {
        if self.requests == 0 {
            let failures = percent / f64::from(BLOCK) + self.rest;
            // 70 % of a block can be slightly less than 7 in binary numbers.
            let whole = (failures + 1e-6).floor();
            // The percentage is at most 100 and the rest below 1: a whole number from 0 to 10.
            self.failures = whole as u8;
            self.rest = (failures - whole).max(0.0);
            self.requests = BLOCK;
        }
        let fails = unit * f64::from(self.requests) < f64::from(self.failures);
        self.requests -= 1;
        self.failures -= u8::from(fails);
        fails
    }
}

/// Returns the percentage of requests that fail without a sequence.
fn percent(fault: &Fault) -> f64 {
    fault.errors.map_or(f64::from(fault.quota), |share| share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejects(fault: &Fault, requests: usize) -> Vec<bool> {
        let mut failures = Failures::new(fault.seed);
        (0..requests).map(|_| matches!(failures.next(fault), Action::Reject(_))).collect()
    }

    fn count(fault: &Fault, requests: usize) -> usize {
        rejects(fault, requests).into_iter().filter(|rejected| *rejected).count()
    }

    #[test]
    fn a_quota_of_70_rejects_70_percent_on_average_over_seeds() {
        // Three standard deviations of a million draws at 70 % are 1,375. A single seed is not enough: with 10,000 draws
        // the count of seed 1 differs by 3.01 standard deviations.
        let of_seed =
            |seed| count(&Fault { quota: 70, reject: true, seed: Some(seed), ..Fault::default() }, 10_000);
        let rejected: usize = (0..100).map(of_seed).sum();
        assert!((698_625..=701_375).contains(&rejected), "{rejected}");
    }

    #[test]
    fn a_share_of_errors_is_a_fraction_and_has_priority_over_the_quota() {
        // Three standard deviations of a million draws at 0.2 % are 134.
        let fault = |seed| Fault { errors: Some(0.002), quota: 100, seed: Some(seed), ..Fault::default() };
        let rejected: usize = (0..100).map(|seed| count(&fault(seed), 10_000)).sum();
        assert!((1_866..=2_134).contains(&rejected), "{rejected}");
        assert_eq!(count(&Fault { errors: Some(0.0), quota: 100, reject: true, ..Fault::default() }, 100), 0);
    }

    #[test]
    fn a_quota_of_0_rejects_no_request_and_100_rejects_all() {
        assert_eq!(count(&Fault { quota: 0, reject: true, ..Fault::default() }, 1_000), 0);
        assert_eq!(count(&Fault { quota: 100, reject: true, ..Fault::default() }, 1_000), 1_000);
    }

    #[test]
    fn each_shuffled_block_of_10_has_exactly_the_share_of_failures() {
        for tenths in 0..=10u8 {
            for fault in [
                Fault { quota: 10 * tenths, reject: true, blocks: true, ..Fault::default() },
                Fault { errors: Some(f64::from(tenths) / 10.0), blocks: true, ..Fault::default() },
            ] {
                for block in rejects(&fault, 1_000).chunks(10) {
                    assert_eq!(block.iter().filter(|rejected| **rejected).count(), usize::from(tenths));
                }
            }
        }
    }

    #[test]
    fn every_position_of_a_block_fails_with_the_same_probability() {
        let fault = Fault { quota: 70, reject: true, blocks: true, seed: Some(1), ..Fault::default() };
        let mut positions = [0u32; 10];
        for block in rejects(&fault, 100_000).chunks(10) {
            positions.iter_mut().zip(block).for_each(|(count, rejected)| *count += u32::from(*rejected));
        }
        // Four standard deviations of 10,000 draws at 70 % are 183.
        assert!(positions.iter().all(|count| (6_817..=7_183).contains(count)), "{positions:?}");
    }

    #[test]
    fn a_share_that_is_not_a_tenth_is_exact_over_several_blocks() {
        let fault = Fault { quota: 75, reject: true, blocks: true, ..Fault::default() };
        for blocks in rejects(&fault, 2_000).chunks(20) {
            assert_eq!(blocks.iter().filter(|rejected| **rejected).count(), 15);
        }
        assert_eq!(count(&Fault { errors: Some(0.02), blocks: true, ..Fault::default() }, 500), 10);
    }

    #[test]
    fn a_seed_reproduces_its_failures() {
        let fault = Fault { quota: 50, reject: true, seed: Some(7), ..Fault::default() };
        let delayed = Fault { delay_max: 0.5, slow: 3.0, ..fault.clone() };
        assert_eq!(rejects(&fault, 64), rejects(&fault, 64));
        assert_eq!(rejects(&fault, 64), rejects(&delayed, 64));
    }

    #[test]
    fn a_sequence_repeats_and_has_priority_over_other_failures() {
        let fault =
            Fault { quota: 100, errors: Some(1.0), sequence: vec![500, 503, 200], ..Fault::default() };
        let mut failures = Failures::new(None);
        let actions: Vec<_> = (0..4).map(|_| failures.next(&fault)).collect();
        let (internal, unavailable) = (StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE);
        let reject = Action::Reject;
        assert_eq!(actions, [reject(internal), reject(unavailable), Action::Serve, reject(internal)]);
    }
}
