//! Latencies as counts by value: exact to merge, small to write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::interval::{Interval, float};

/// Latencies as a list of (microseconds, count), ascending, each value rounded up by less than one percent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Latencies(BTreeMapAsList);

type BTreeMapAsList = Vec<(u64, u64)>;

/// The usual quantiles, in milliseconds. Absent where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Quantiles {
    /// The median.
    pub p50_ms: f64,
    /// The 95th percentile.
    pub p95_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Values below this are kept exactly; above, 128 steps for each doubling.
const EXACT: u64 = 256;

/// Returns the upper end of the bucket that a value belongs to.
fn bucket(micros: u64) -> u64 {
    if micros < EXACT {
        return micros;
    }
    // 8 bits are kept, the first of which is always 1.
    let shift = 56 - micros.leading_zeros();
    (((micros >> shift) + 1) << shift).wrapping_sub(1)
}

impl Latencies {
    /// Builds the counts from (microseconds, count) pairs, in any order.
    pub fn from_counts(counts: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut map = BTreeMap::new();
        for (micros, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let known: &mut u64 = map.entry(bucket(micros)).or_default();
            *known = known.saturating_add(count);
        }
        Self(map.into_iter().collect())
    }

    /// Adds all counts of another, exactly.
    pub fn merge(&mut self, other: &Self) {
        *self = Self::from_counts(self.0.iter().chain(&other.0).copied());
    }

    /// Returns the (microseconds, count) pairs, ascending.
    pub fn counts(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Returns how many latencies were counted.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Returns the value at a rank from 1, in milliseconds.
    fn at_rank(&self, rank: u64) -> Option<f64> {
        let mut seen: u64 = 0;
        let found = self.0.iter().find(|(_, count)| {
            seen = seen.saturating_add(*count);
            seen >= rank
        });
        found.or(self.0.last()).map(|(micros, _)| float(*micros) / 1000.0)
    }

    /// Returns a quantile with its 95 % interval, in milliseconds; `None` without latencies.
    pub fn quantile(&self, q: f64) -> Option<Interval> {
        let count = self.count();
        let (low, high) = Interval::ranks(q, count);
        let rank = (float(count) * q).ceil().max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and the count"
        )]
        let mean = self.at_rank(rank as u64)?;
        Some(Interval { mean, low: self.at_rank(low)?, high: self.at_rank(high)? })
    }

    /// Returns the longest, in milliseconds.
    pub fn max(&self) -> Option<f64> {
        self.0.last().map(|(micros, _)| float(*micros) / 1000.0)
    }

    /// Returns the usual quantiles; `None` without latencies.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let at = |q: f64| self.quantile(q).map(|interval| interval.mean);
        Some(Quantiles { p50_ms: at(0.5)?, p95_ms: at(0.95)?, p99_ms: at(0.99)?, max_ms: self.max()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_up_by_less_than_one_percent() {
        for micros in [0, 1, 255, 256, 257, 1000, 123_456, 60_000_000, u64::MAX / 2] {
            let kept = bucket(micros);
            assert!(kept >= micros && float(kept - micros) <= float(micros) * 0.01, "{micros}: {kept}");
            assert_eq!(bucket(kept), kept, "a kept value is kept again");
        }
    }

    #[test]
    fn quantiles_of_a_merge_are_those_of_the_union() {
        let (all, mut half): (Vec<_>, _) =
            ((1..=1000).map(|ms| (ms * 1000, 1)).collect(), Latencies::default());
        half.merge(&Latencies::from_counts(all[..500].iter().copied()));
        half.merge(&Latencies::from_counts(all[500..].iter().copied()));
        assert_eq!(half, Latencies::from_counts(all));
        let p50 = half.quantile(0.5).unwrap();
        assert!((p50.mean - 500.0).abs() < 5.0 && p50.low < 480.0 && p50.high > 520.0, "{p50:?}");
        assert_eq!(Latencies::default().quantiles(), None);
    }
}
