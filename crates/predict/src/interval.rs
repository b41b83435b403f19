//! How far chance alone can move a number.

use serde::{Deserialize, Serialize};

/// A mean and the bounds between which 997 of 1000 repetitions lie (three standard deviations of a normal one).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Interval {
    /// The expected value.
    pub mean: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// What lies outside on either side: half of three in a thousand.
const TAIL: f64 = 0.0015;

impl Interval {
    /// Returns the interval of a normally distributed value.
    pub fn normal(mean: f64, deviation: f64) -> Self {
        Self { mean, low: mean - 3.0 * deviation, high: mean + 3.0 * deviation }
    }

    /// Returns the interval of the share of successes among `count` independent requests. The tails are summed exactly,
    /// since near 0 and 1 the normal shape is wrong.
    pub fn binomial(count: u64, chance: f64) -> Self {
        if chance <= 0.0 || chance >= 1.0 {
            return Self { mean: chance, low: chance, high: chance };
        }
        let low = lower_bound(count, chance) as f64 / count as f64;
        let high = 1.0 - lower_bound(count, 1.0 - chance) as f64 / count as f64;
        Self { mean: chance, low, high }
    }

    /// Returns the interval of the number of successes among `drawn` of `all` requests, of which exactly `good` succeed.
    pub(crate) fn drawn(all: u64, good: u64, drawn: u64) -> Self {
        let ways = choose(all, drawn);
        let chance = |successes: u64| {
            choose(good, successes) * choose(all.saturating_sub(good), drawn - successes) / ways
        };
        let outermost = |mut counts: Box<dyn Iterator<Item = u64>>| {
            let mut sum = 0.0;
            counts.find(|count| {
                sum += chance(*count);
                sum > TAIL
            })
        };
        let mean = good as f64 * drawn as f64 / all as f64;
        let low = outermost(Box::new(0..=drawn)).unwrap_or(0) as f64;
        let high = outermost(Box::new((0..=drawn).rev())).unwrap_or(drawn) as f64;
        Self { mean, low, high }
    }

    /// Returns the interval of simulated values: three deviations or the outermost quantiles, whichever reaches further,
    /// since under a budget the values are skewed; not beyond 0 and `most`. Without values it is 0.
    pub fn of(mut values: Vec<f64>, most: f64) -> Self {
        if values.is_empty() {
            return Self { mean: 0.0, low: 0.0, high: 0.0 };
        }
        values.sort_by(f64::total_cmp);
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
        let cut = (count * TAIL) as usize;
        let low = values[cut].min(mean - 3.0 * deviation).max(0.0);
        let high = values[values.len() - 1 - cut].max(mean + 3.0 * deviation).min(most);
        Self { mean, low, high }
    }

    /// Returns where the unknown probability behind `hits` of `count` lies (Wilson's interval at three deviations).
    pub fn of_share(hits: u64, count: u64) -> Self {
        if count == 0 {
            return Self { mean: 0.0, low: 0.0, high: 1.0 };
        }
        let (n, z) = (count as f64, 3.0);
        let share = hits as f64 / n;
        let below = 1.0 + z * z / n;
        let centre = (share + z * z / (2.0 * n)) / below;
        let reach = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt() / below;
        Self { mean: share, low: (centre - reach).max(0.0), high: (centre + reach).min(1.0) }
    }

    /// Whether a value lies within.
    pub fn holds(&self, value: f64) -> bool {
        // Shares are quotients: the last bit does not count.
        (self.low - 1e-9..=self.high + 1e-9).contains(&value)
    }

    pub(crate) fn at_least(self, least: f64) -> Self {
        Self { low: self.low.max(least), ..self }
    }

    pub(crate) fn less(self, amount: f64) -> Self {
        Self { mean: self.mean - amount, low: self.low - amount, high: self.high - amount }
    }
}

/// Returns in how many ways `some` of `all` can be chosen; 0 if there are fewer.
fn choose(all: u64, some: u64) -> f64 {
    if some > all {
        return 0.0;
    }
    (0..some).map(|k| (all - k) as f64 / (some - k) as f64).product()
}

/// Returns the largest k with at most [`TAIL`] of the probability below it.
fn lower_bound(count: u64, chance: f64) -> u64 {
    // From the log of P(0) upwards; for large counts the first terms underflow to nothing, which is right.
    let mut log = count as f64 * (1.0 - chance).ln();
    let odds = (chance / (1.0 - chance)).ln();
    let mut sum = 0.0;
    for k in 0..count {
        sum += log.exp();
        if sum > TAIL {
            return k;
        }
        log += odds + ((count - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_bounds_are_about_three_deviations() {
        let interval = Interval::binomial(300, 0.3);
        assert!((interval.low - 0.2233).abs() < 0.004, "{interval:?}");
        assert!((interval.high - 0.3800).abs() < 0.004, "{interval:?}");
        assert_eq!(Interval::binomial(10, 1.0), Interval { mean: 1.0, low: 1.0, high: 1.0 });
    }

    #[test]
    fn a_part_of_a_block_has_at_most_its_successes_and_a_whole_one_exactly() {
        assert_eq!(Interval::drawn(10, 3, 4), Interval { mean: 1.2, low: 0.0, high: 3.0 });
        assert_eq!(Interval::drawn(10, 3, 9), Interval { mean: 2.7, low: 2.0, high: 3.0 });
        assert_eq!(Interval::drawn(10, 3, 10), Interval { mean: 3.0, low: 3.0, high: 3.0 });
        assert_eq!(Interval::drawn(10, 3, 0), Interval { mean: 0.0, low: 0.0, high: 0.0 });
        // One of 252 draws takes all five successes, more than a tail; of 1,000 with 30 draws none is that extreme.
        assert_eq!(Interval::drawn(10, 5, 5), Interval { mean: 2.5, low: 0.0, high: 5.0 });
        let many = Interval::drawn(1000, 500, 30);
        assert!(many.low > 5.0 && many.high < 25.0, "{many:?}");
    }

    #[test]
    fn a_share_of_few_says_little() {
        assert!(Interval::of_share(3, 3).low < 0.5);
        assert!(Interval::of_share(300, 300).low > 0.95);
        assert_eq!(Interval::of_share(0, 0), Interval { mean: 0.0, low: 0.0, high: 1.0 });
    }
}
