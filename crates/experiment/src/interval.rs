//! Confidence intervals at 95 %: the range of the value behind a measurement.

use serde::{Deserialize, Serialize};

/// 95 % of a normal distribution lie within so many standard deviations.
const Z: f64 = 1.959_964;

/// A value and the bounds between which the true one lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Interval {
    /// The measured or expected value.
    pub mean: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// Returns the interval of a value that is known exactly.
    pub fn exact(mean: f64) -> Self {
        Self { mean, low: mean, high: mean }
    }

    /// Returns the interval of the share behind `hits` of `count` (Wilson's interval); 0 to 1 without any.
    pub fn share(hits: u64, count: u64) -> Self {
        if count == 0 {
            return Self { mean: 0.0, low: 0.0, high: 1.0 };
        }
        let (n, share) = (float(count), float(hits.min(count)) / float(count));
        let below = 1.0 + Z * Z / n;
        let centre = (share + Z * Z / (2.0 * n)) / below;
        let reach = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt() / below;
        // At the ends rounding leaves a bound that is off by 1e-17.
        let low = if hits == 0 { 0.0 } else { (centre - reach).max(0.0) };
        let high = if hits >= count { 1.0 } else { (centre + reach).min(1.0) };
        Self { mean: share, low, high }
    }

    /// Returns the shares that chance leaves `count` requests of which each one counts with this probability: four standard
    /// deviations, which one measurement in 15,000 exceeds.
    pub fn chance(share: f64, count: u64) -> Self {
        let reach = 4.0 * (share * (1.0 - share) / float(count.max(1))).sqrt();
        Self { mean: share, low: (share - reach).max(0.0), high: (share + reach).min(1.0) }
    }

    /// Returns the interval of the expected count behind a count of independent events (Poisson, score interval).
    pub fn count(events: u64) -> Self {
        let mean = float(events);
        let (centre, reach) = (mean + Z * Z / 2.0, Z * (mean + Z * Z / 4.0).sqrt());
        Self { mean, low: (centre - reach).max(0.0), high: centre + reach }
    }

    /// Returns the interval with each bound moved and scaled: `value × factor + offset`, for a factor above zero.
    #[must_use]
    pub fn scaled(self, factor: f64, offset: f64) -> Self {
        let scale = |value: f64| value * factor + offset;
        Self { mean: scale(self.mean), low: scale(self.low), high: scale(self.high) }
    }

    /// Returns the ranks (from 1) between which the quantile `q` of the true distribution lies.
    pub(crate) fn ranks(q: f64, count: u64) -> (u64, u64) {
        let n = float(count);
        let reach = Z * (n * q * (1.0 - q)).sqrt();
        (rank((n * q - reach).floor(), count), rank((n * q + reach).ceil() + 1.0, count))
    }
}

/// A rank between 1 and `count`.
fn rank(value: f64, count: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1 and the count")]
    let rank = value.clamp(1.0, float(count.max(1))) as u64;
    rank
}

/// A count as a float. Beyond 2^53 the last digits are lost, which no interval shows.
#[expect(clippy::cast_precision_loss, reason = "explained above")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Interval, low: f64, high: f64) {
        assert!((found.low - low).abs() < 5e-4 && (found.high - high).abs() < 5e-4, "{found:?}");
    }

    #[test]
    fn shares_have_wilsons_interval() {
        // Values of the formula, calculated by hand.
        close(Interval::share(7, 10), 0.3968, 0.8922);
        close(Interval::share(0, 10), 0.0, 0.2775);
        close(Interval::share(300, 300), 0.9874, 1.0);
        close(Interval::share(0, 0), 0.0, 1.0);
    }

    #[test]
    fn chance_leaves_four_standard_deviations() {
        close(Interval::chance(0.1, 400), 0.04, 0.16);
        close(Interval::chance(0.01, 100), 0.0, 0.0498);
        close(Interval::chance(1.0, 100), 1.0, 1.0);
    }

    #[test]
    fn counts_have_the_score_interval_of_poisson() {
        close(Interval::count(0), 0.0, 3.8415);
        close(Interval::count(100), 82.2272, 121.6143);
    }

    #[test]
    fn ranks_of_a_quantile_enclose_it_and_stay_in_range() {
        assert_eq!(Interval::ranks(0.5, 100), (40, 61));
        assert_eq!(Interval::ranks(0.99, 10), (9, 10));
        assert_eq!(Interval::ranks(0.5, 0), (1, 1));
    }
}
