//! The requests of a tick that stand for all of them.

use meshy_experiment::event::{MOST_SAMPLES, Sample};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// At most 500 of the requests since the last tick. Each request has the same chance to be one of them, so that they are spread over the
/// whole tick, and a fault at every second request is seen at half of them.
pub(super) struct Samples {
    /// Each with its number among the requests of the tick.
    kept: Vec<(u64, Sample)>,
    /// Requests of the tick.
    count: u64,
    random: StdRng,
}

impl Default for Samples {
    fn default() -> Self {
        // Equal loads have equal samples.
        Self { kept: Vec::new(), count: 0, random: StdRng::seed_from_u64(0) }
    }
}

impl Samples {
    /// Adds a request; a random other one leaves when there are enough (reservoir sampling, algorithm R).
    pub(super) fn add(&mut self, sample: Sample) {
        let number = self.count;
        self.count += 1;
        if self.kept.len() < MOST_SAMPLES {
            self.kept.push((number, sample));
            return;
        }
        let place = self.random.random_range(0..self.count);
        if let Some(kept) = usize::try_from(place).ok().and_then(|place| self.kept.get_mut(place)) {
            *kept = (number, sample);
        }
    }

    /// Takes the samples in the order in which the requests ended; the next tick begins.
    pub(super) fn take(&mut self) -> Vec<Sample> {
        self.count = 0;
        let mut kept = std::mem::take(&mut self.kept);
        kept.sort_unstable_by_key(|(number, _)| *number);
        kept.into_iter().map(|(_, sample)| sample).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_a_tick_are_spread_over_the_whole_tick() {
        let mut samples = Samples::default();
        for tick in 0..3 {
            for number in 0..2_000 {
                let start_ms = f64::from(number) / 2.0;
                samples.add(Sample { start_ms, succeeded: number % 2 == 0, ..Sample::default() });
            }
            let taken = samples.take();
            assert_eq!(taken.len(), MOST_SAMPLES, "tick {tick}");
            assert!(taken.is_sorted_by(|a, b| a.start_ms < b.start_ms), "in the order of time");
            for tenth in 0..10 {
                let part = f64::from(tenth) * 100.0..f64::from(tenth + 1) * 100.0;
                let count = taken.iter().filter(|sample| part.contains(&sample.start_ms)).count();
                assert!((25..=75).contains(&count), "tick {tick}: {count} samples in {part:?} ms");
            }
            let succeeded = taken.iter().filter(|sample| sample.succeeded).count();
            assert!(
                (200..=300).contains(&succeeded),
                "tick {tick}: every second request failed: {succeeded}"
            );
        }
    }

    #[test]
    fn all_requests_of_a_tick_with_few_are_samples() {
        let mut samples = Samples::default();
        for number in 0..MOST_SAMPLES {
            samples.add(Sample { start_ms: number as f64, ..Sample::default() });
        }
        assert_eq!(samples.take().len(), MOST_SAMPLES);
        assert!(samples.take().is_empty());
    }
}
