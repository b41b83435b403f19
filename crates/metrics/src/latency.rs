//! Percentiles out of histogram buckets.

use serde::{Deserialize, Serialize};

use super::series::{Scrape, Series};

/// Counts below upper bounds, summed over series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Upper bound and how many values lie at or below it, by bound.
    counts: Vec<(f64, f64)>,
}

/// Three percentiles of the latency in milliseconds; null where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Percentiles {
    /// The median.
    pub p50_ms: Option<f64>,
    /// The 95th percentile.
    pub p95_ms: Option<f64>,
    /// The 99th percentile.
    pub p99_ms: Option<f64>,
}

impl Buckets {
    /// Adds the `_bucket` series of a metric that fit.
    pub fn add(&mut self, scrape: &Scrape, name: &str, fits: impl Fn(&Series) -> bool) {
        for (series, value) in scrape.of(name).filter(|(series, _)| fits(series)) {
            let Some(bound) = series.label("le") else { continue };
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap_or(f64::NAN) };
            // A time has no other bounds.
            if bound.is_nan() || bound < 0.0 {
                continue;
            }
            match self.counts.binary_search_by(|(known, _)| known.total_cmp(&bound)) {
                Ok(at) => self.counts[at].1 += value,
                Err(at) => self.counts.insert(at, (bound, value)),
            }
        }
    }

    /// The value below which this share lies, interpolated within its bucket as Prometheus does; values beyond the last
    /// bound count as the last bound.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.counts.last()?.1;
        if total <= 0.0 {
            return None;
        }
        let rank = share * total;
        let (mut below, mut from) = (0.0, 0.0);
        for &(bound, count) in &self.counts {
            if count >= rank && count > below {
                let within = (rank - below) / (count - below);
                return Some(if bound.is_finite() { from + (bound - from) * within } else { from });
            }
            below = count;
            from = if bound.is_finite() { bound } else { from };
        }
        Some(from)
    }

    /// The usual three.
    pub fn percentiles(&self) -> Percentiles {
        Percentiles { p50_ms: self.quantile(0.5), p95_ms: self.quantile(0.95), p99_ms: self.quantile(0.99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    #[test]
    fn a_percentile_is_interpolated_within_its_bucket() {
        let dump =
            "route_x_bucket{le=\"1\"} 50\nroute_x_bucket{le=\"10\"} 90\nroute_x_bucket{le=\"+Inf\"} 100\n";
        let mut buckets = Buckets::default();
        buckets.add(&text::parse(dump).unwrap(), "route_x_bucket", |_| true);
        assert_eq!(buckets.quantile(0.5), Some(1.0));
        assert_eq!(buckets.quantile(0.7), Some(5.5));
        assert_eq!(buckets.quantile(0.99), Some(10.0));
        assert_eq!(Buckets::default().quantile(0.5), None);
    }
}
