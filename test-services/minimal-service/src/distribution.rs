//! Random times.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// How times vary around their mean.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Each time is the mean.
    #[default]
    Fixed,
    /// Uniform from 0 to twice the mean.
    Uniform,
    /// Exponential.
    Exponential,
}

impl Distribution {
    /// Returns a random time with this mean, in milliseconds; `mean` is finite and not negative.
    pub(crate) fn draw(self, mean: f64, random: &mut Random) -> f64 {
        match self {
            Self::Fixed => mean,
            Self::Uniform => 2.0 * mean * random.unit(),
            // `unit` is below 1, so the logarithm is finite.
            Self::Exponential => -mean * (1.0 - random.unit()).ln(),
        }
    }
}

/// Returns a number of milliseconds, finite and not negative, as a duration.
pub(crate) fn milliseconds(number: f64) -> Duration {
    Duration::from_secs_f64(number / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_mean_and_the_deviation_of_their_distribution() {
        const DRAWS: u32 = 100_000;
        // The standard deviations of the three are 0, mean / √3 and mean.
        let cases =
            [(Distribution::Fixed, 0.0), (Distribution::Uniform, 5.7735), (Distribution::Exponential, 10.0)];
        for (distribution, deviation) in cases {
            let mut random = Random::new(Some(1));
            let times: Vec<f64> = (0..DRAWS).map(|_| distribution.draw(10.0, &mut random)).collect();
            let mean = times.iter().sum::<f64>() / f64::from(DRAWS);
            let square = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / f64::from(DRAWS);
            assert!((mean - 10.0).abs() < 0.1, "{distribution:?}: mean {mean}");
            assert!((square.sqrt() - deviation).abs() < 0.15, "{distribution:?}: {}", square.sqrt());
            assert!(times.iter().all(|time| time.is_finite() && *time >= 0.0), "{distribution:?}");
        }
    }
}
