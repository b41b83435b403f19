//! A service that fails in shuffled blocks: each block of ten attempts has exactly the share of failures.

use super::{EdgeLoad, EdgePrediction, exact};
use crate::interval::Interval;

/// Attempts in a block.
pub(super) const BLOCK: u64 = 10;

/// The failures of one block after another.
#[derive(Default)]
pub(super) struct Blocks {
    /// The part of a failure that the next block adds.
    rest: f64,
}

impl Blocks {
    /// Returns the failures of the next block.
    pub(super) fn next(&mut self, fail_ratio: f64) -> u64 {
        let failures = fail_ratio * BLOCK as f64 + self.rest;
        // 70 % of a block can be slightly less than 7 in binary numbers.
        let whole = (failures + 1e-6).floor();
        self.rest = (failures - whole).max(0.0);
        whole as u64
    }
}

/// Returns the prediction without retries, where the first request starts a block: whole blocks are certain, and only the
/// requests of the last one are left to chance.
pub(super) fn prediction(load: EdgeLoad) -> EdgePrediction {
    let requests = load.requests();
    let mut blocks = Blocks::default();
    let certain: u64 = (0..requests / BLOCK).map(|_| BLOCK - blocks.next(load.fail_ratio)).sum();
    let drawn = requests % BLOCK;
    let last = Interval::drawn(BLOCK, BLOCK - blocks.next(load.fail_ratio), drawn);
    let share = |successes: f64| (certain as f64 + successes) / requests as f64;
    EdgePrediction {
        success_ratio: Interval { mean: share(last.mean), low: share(last.low), high: share(last.high) },
        ..exact::prediction(load, 0)
    }
}
