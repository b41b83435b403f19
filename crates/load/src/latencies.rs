//! Latencies counted in the buckets of an HDR histogram, in memory that grows with the buckets in use only.

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

/// The largest latency in microseconds; a longer one is counted as this.
const MOST_MICROS: u64 = 600_000_000;

/// The most bytes of a serialized histogram that are read. One with three digits and every bucket in use has less.
const MOST_BYTES: usize = 1 << 20;

/// Counts of latencies in microseconds. Buckets and percentiles are those of an HDR histogram from 1 µs to 10 minutes with one,
/// two or three significant digits.
///
/// Serialized, it is the standard V2 form of HDR histograms in base64, which other tools read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies {
    digits: u8,
    /// The lowest value of each bucket in use and its count, in ascending order.
    buckets: Vec<(u32, u64)>,
}

impl Latencies {
    /// Returns an empty histogram with this number of significant digits, 1 to 3.
    pub fn new(digits: u8) -> Self {
        Self { digits: digits.clamp(1, 3), buckets: Vec::new() }
    }

    /// Counts a latency.
    pub fn record(&mut self, micros: u64) {
        self.add(micros, 1);
    }

    fn add(&mut self, micros: u64, count: u64) {
        let micros = micros.clamp(1, MOST_MICROS);
        let lowest = (micros >> self.shift(micros)) << self.shift(micros);
        let lowest = u32::try_from(lowest).unwrap_or(u32::MAX);
        match self.buckets.binary_search_by_key(&lowest, |(value, _)| *value) {
            Ok(found) => self.buckets[found].1 += count,
            Err(place) => self.buckets.insert(place, (lowest, count)),
        }
    }

    /// Adds the counts of another histogram. The result has the digits of the one with fewer.
    pub fn merge(&mut self, other: &Self) {
        if other.digits < self.digits {
            let finer = std::mem::replace(self, Self::new(other.digits));
            finer.buckets.iter().for_each(|(value, count)| self.add(u64::from(*value), *count));
        }
        other.buckets.iter().for_each(|(value, count)| self.add(u64::from(*value), *count));
    }

    /// Returns the number of latencies.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// Returns the buckets in use: their highest value in microseconds, and their count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets.iter().map(|(value, count)| (self.highest(*value), *count))
    }

    /// Returns the latency in microseconds that this share of all does not exceed: the highest value of its bucket; 0 without
    /// latencies.
    pub(crate) fn at_quantile(&self, quantile: f64) -> u64 {
        let wanted = ((quantile.clamp(0.0, 1.0) * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        found.map_or(0, |(value, _)| self.highest(*value))
    }

    /// Returns the highest value of the last bucket in use, in microseconds; 0 without latencies.
    pub fn max(&self) -> u64 {
        self.buckets.last().map_or(0, |(value, _)| self.highest(*value))
    }

    fn highest(&self, lowest: u32) -> u64 {
        let lowest = u64::from(lowest);
        lowest + (1 << self.shift(lowest)) - 1
    }

    /// By how many bits the values of a bucket differ at most. `2 × 10^digits` values, rounded up to a power of two, are
    /// distinguished one by one; each doubling beyond them costs a bit.
    fn shift(&self, micros: u64) -> u32 {
        let exact_bits = match self.digits {
            1 => 5,
            2 => 8,
            _ => 11,
        };
        (u64::BITS - micros.leading_zeros()).saturating_sub(exact_bits)
    }

    fn to_text(&self) -> anyhow::Result<String> {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, MOST_MICROS, self.digits)?;
        for (value, count) in &self.buckets {
            histogram.record_n(u64::from(*value), *count)?;
        }
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&histogram, &mut bytes)
            .map_err(|error| anyhow::anyhow!("{error:?}"))?;
        Ok(STANDARD.encode(bytes))
    }

    fn from_text(text: &str) -> anyhow::Result<Self> {
        ensure!(text.len() <= MOST_BYTES, "it has {} bytes, the most is {MOST_BYTES}", text.len());
        let bytes = STANDARD.decode(text)?;
        let header = bytes.get(8..32).context("it ends within its header")?;
        let field = |from: usize| header[from..from + 8].try_into().map(u64::from_be_bytes);
        // The bounds say how much memory the histogram takes.
        ensure!((field(8)?, field(16)?) == (1, MOST_MICROS), "its bounds are not 1 µs and 10 minutes");
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| anyhow::anyhow!("not a histogram: {error:?}"))?;
        let mut latencies = Self::new(histogram.sigfig());
        for bucket in histogram.iter_recorded() {
            latencies.add(bucket.value_iterated_to(), bucket.count_since_last_iteration());
        }
        Ok(latencies)
    }
}

impl Serialize for Latencies {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_text().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_text(&text)
            .map_err(|error| serde::de::Error::custom(format!("invalid latencies: {error:#}")))
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    fn values() -> Vec<u64> {
        let mut rng = rand::rng();
        let spread = (0..5_000).map(|_| 2f64.powf(rng.random_range(0.0..31.0)) as u64);
        spread.chain([0, 1, 31, 32, 255, 256, 2047, 2048, MOST_MICROS, u64::MAX]).collect()
    }

    #[test]
    fn buckets_and_percentiles_are_those_of_an_hdr_histogram() {
        for digits in 1..=3 {
            let mut histogram = Histogram::<u64>::new_with_bounds(1, MOST_MICROS, digits).unwrap();
            let mut latencies = Latencies::new(digits);
            for value in values() {
                histogram.record(value.clamp(1, MOST_MICROS)).unwrap();
                latencies.record(value);
            }
            assert_eq!(latencies.count(), histogram.len());
            for quantile in [0.0, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
                let (ours, theirs) = (latencies.at_quantile(quantile), histogram.value_at_quantile(quantile));
                assert_eq!(ours, theirs, "{digits} digits, quantile {quantile}");
            }
            assert_eq!(latencies.max(), histogram.max());
        }
    }

    #[test]
    fn a_serialized_histogram_is_read_back_unchanged() {
        for digits in 1..=3 {
            let mut latencies = Latencies::new(digits);
            values().into_iter().for_each(|value| latencies.record(value));
            let text = serde_json::to_string(&latencies).unwrap();
            assert_eq!(serde_json::from_str::<Latencies>(&text).unwrap(), latencies);
        }
        let empty = Latencies::new(2);
        let text = serde_json::to_string(&empty).unwrap();
        assert_eq!(serde_json::from_str::<Latencies>(&text).unwrap(), empty);
    }

    #[test]
    fn a_text_that_is_no_histogram_or_has_other_bounds_is_an_error() {
        let mut wide = Histogram::<u64>::new_with_bounds(1, u64::MAX / 2, 3).unwrap();
        wide.record(1).unwrap();
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&wide, &mut bytes).unwrap();
        for text in [String::new(), "!".to_owned(), STANDARD.encode([7; 40]), STANDARD.encode(bytes)] {
            let error = serde_json::from_value::<Latencies>(text.into()).unwrap_err().to_string();
            assert!(error.starts_with("invalid latencies: "), "{error}");
        }
    }

    #[test]
    fn a_merge_of_other_digits_has_the_fewer() {
        let (mut fine, mut coarse) = (Latencies::new(3), Latencies::new(1));
        fine.record(1_001);
        coarse.record(2_000);
        fine.merge(&coarse);
        assert_eq!((fine.digits, fine.count()), (1, 2));
    }
}
