//! tower's retry budget with the clock as an argument.
//!
//! Linkerd's proxy uses the crate's `TpsBudget`. To simulate hours in milliseconds the time must be an argument; a test
//! compares this copy with the crate, decision by decision. Its peculiarities are kept on purpose: slots that real arrivals
//! skip make the window about six tenths of the ttl (`docs/predict.md`).

use std::time::Duration;

const SLOTS: usize = 10;

/// A retry budget. Times are nanoseconds since it was made and never decrease.
#[derive(Clone, Debug)]
pub struct Budget {
    slots: [i64; SLOTS],
    current: usize,
    turned: u64,
    open: i64,
    /// The sum of the slots.
    sum: i64,
    reserve: i64,
    deposit: i64,
    withdrawal: i64,
    slot: u64,
}

impl Budget {
    /// Returns a full budget. The crate expects a ratio from 0 to 1000 and a ttl from 1 to 60 s.
    pub fn new(ttl: Duration, min_retries_per_second: u32, ratio: f64) -> Self {
        let (deposit, withdrawal) = amounts(ratio);
        // The crate counts whole seconds here, and only here.
        let reserve = i64::from(min_retries_per_second) * ttl.as_secs() as i64 * withdrawal;
        let slot = (ttl / SLOTS as u32).as_nanos() as u64;
        Self { slots: [0; SLOTS], current: 0, turned: 0, open: 0, sum: 0, reserve, deposit, withdrawal, slot }
    }

    /// Deposits for a request that ended without a failure that can be retried.
    pub fn deposit(&mut self, now: u64) {
        self.turn(now);
        self.open += self.deposit;
    }

    /// Withdraws for a retry; returns `false`, and changes nothing, if the budget is exhausted.
    pub fn withdraw(&mut self, now: u64) -> bool {
        self.turn(now);
        let granted = self.open + self.sum + self.reserve >= self.withdrawal;
        if granted {
            self.open -= self.withdrawal;
        }
        granted
    }

    fn turn(&mut self, now: u64) {
        let mut gap = now.saturating_sub(self.turned);
        if gap < self.slot {
            return;
        }
        self.slots[self.current] = std::mem::take(&mut self.open);
        self.current = (self.current + 1) % SLOTS;
        // Strictly greater: a gap of exactly one slot clears nothing, a hair more skips one.
        while gap > self.slot {
            self.slots[self.current] = 0;
            self.current = (self.current + 1) % SLOTS;
            gap -= self.slot;
        }
        self.sum = self.slots.iter().sum();
        self.turned = now;
    }
}

/// Returns how much a deposit and a withdrawal count. Whole numbers: a ratio of 0.3 acts as one third.
pub(crate) fn amounts(ratio: f64) -> (i64, i64) {
    // In single precision, as the crate divides.
    let ratio = ratio as f32;
    if ratio == 0.0 {
        (0, 1)
    } else if ratio <= 1.0 {
        (1, (1.0 / ratio) as i64)
    } else {
        (1000, (1000.0 / ratio) as i64)
    }
}

#[cfg(test)]
mod tests {
    use tower::retry::budget::{Budget as _, TpsBudget};

    use super::*;
    use crate::random::Random;

    #[tokio::test(start_paused = true)]
    async fn each_decision_is_the_crates() {
        let mut refused = 0;
        for (seed, (ttl, min, ratio)) in [
            (10, 10, 0.2),
            (1, 0, 0.5),
            (60, 3, 0.3),
            (10, 10, 0.0),
            (5, 1, 1.0),
            (10, 0, 2.5),
            (7, 2, 999.0),
            (10, 1, 0.2),
        ]
        .into_iter()
        .enumerate()
        {
            let ttl = Duration::from_secs(ttl);
            let theirs = TpsBudget::new(ttl, min, ratio as f32);
            let begun = tokio::time::Instant::now();
            let mut ours = Budget::new(ttl, min, ratio);
            let mut random = Random::new(seed as u64, 0);
            for step in 0..5_000 {
                // Whole milliseconds too: there a gap can be exactly one slot. And now and then a long silence.
                let gap = match random.below(100) {
                    0 => Duration::from_millis(500 + random.below(14_500) as u64),
                    1..40 => Duration::from_millis(random.below(200) as u64),
                    _ => Duration::from_nanos(random.below(200_000_000) as u64),
                };
                tokio::time::advance(gap).await;
                let now = begun.elapsed().as_nanos() as u64;
                if random.chance(0.3) {
                    theirs.deposit();
                    ours.deposit(now);
                } else {
                    let granted = theirs.withdraw();
                    assert_eq!(ours.withdraw(now), granted, "step {step} of ratio {ratio}, min {min}");
                    refused += u32::from(!granted);
                }
            }
        }
        assert!(refused > 1_000, "only {refused} refusals: the comparison would be empty");
    }
}
