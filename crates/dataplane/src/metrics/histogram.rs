//! Histograms with Linkerd's buckets.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::registry::Series;

/// The buckets of a family and the format of its values.
pub(crate) struct Buckets {
    /// Upper bounds in the unit of [`Unit`].
    limits: &'static [u64],
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    /// Whole milliseconds, rounded down; the label `le` comes last.
    Millis,
    /// Nanoseconds, written in seconds; the label `le` comes first.
    Seconds,
    /// Bytes, written with a decimal point; the label `le` comes first.
    Bytes,
}

/// 1 to 5 ms, and the same times 10, 100, 1,000 and 10,000.
pub(crate) static LATENCY_MS: Buckets = Buckets {
    limits: &[
        1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1_000, 2_000, 3_000, 4_000, 5_000,
        10_000, 20_000, 30_000, 40_000, 50_000,
    ],
    unit: Unit::Millis,
};
/// 0.05, 0.5, 1 and 10 s.
pub(crate) static REQUEST_SECONDS: Buckets =
    Buckets { limits: &[50_000_000, 500_000_000, 1_000_000_000, 10_000_000_000], unit: Unit::Seconds };
/// 0.025, 0.05, 0.1, 0.25, 0.5, 1 and 10 s.
pub(crate) static BACKEND_SECONDS: Buckets = Buckets {
    limits: &[25_000_000, 50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 10_000_000_000],
    unit: Unit::Seconds,
};
/// 128 bytes, 1 KiB, 10 KiB.
pub(crate) static FRAME_BYTES: Buckets = Buckets { limits: &[128, 1_024, 10_240], unit: Unit::Bytes };

/// The number of values by bucket, and their sum.
pub(crate) struct Histogram {
    buckets: &'static Buckets,
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    pub(crate) fn new(buckets: &'static Buckets) -> Self {
        let counts = (0..=buckets.limits.len()).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, counts, sum: AtomicU64::new(0) }
    }

    pub(crate) fn observe_time(&self, elapsed: Duration) {
        self.observe(match self.buckets.unit {
            Unit::Millis => elapsed.as_millis() as u64,
            _ => elapsed.as_nanos() as u64,
        });
    }

    pub(crate) fn observe(&self, value: u64) {
        let bucket = self.buckets.limits.partition_point(|limit| *limit < value);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    fn format(&self, value: u64) -> String {
        match self.buckets.unit {
            Unit::Millis => value.to_string(),
            Unit::Seconds => format!("{:?}", value as f64 / 1e9),
            Unit::Bytes => format!("{:?}", value as f64),
        }
    }
}

impl Series for Histogram {
    const KIND: &'static str = "histogram";

    fn version(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    fn write(&self, name: &str, labels: &str, out: &mut String) {
        let bounds = self.buckets.limits.iter().map(|limit| self.format(*limit)).chain(["+Inf".into()]);
        let mut total = 0;
        for (bound, count) in bounds.zip(&self.counts) {
            total += count.load(Relaxed);
            let _ = match self.buckets.unit {
                Unit::Millis => writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {total}"),
                _ => writeln!(out, "{name}_bucket{{le=\"{bound}\",{labels}}} {total}"),
            };
        }
        let sum = self.format(self.sum.load(Relaxed));
        let _ = writeln!(out, "{name}_count{{{labels}}} {total}\n{name}_sum{{{labels}}} {sum}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_down_and_bounds_are_inclusive() {
        let histogram = Histogram::new(&LATENCY_MS);
        for micros in [999, 1_000, 1_999, 2_000, 60_000_000] {
            histogram.observe_time(Duration::from_micros(micros));
        }
        let mut text = String::new();
        histogram.write("x", "a=\"b\"", &mut text);
        let value =
            |line: &str| text.lines().find_map(|l| l.strip_prefix(line)).map(str::trim).unwrap().to_owned();
        assert_eq!(value("x_bucket{a=\"b\",le=\"1\"}"), "3");
        assert_eq!(value("x_bucket{a=\"b\",le=\"2\"}"), "4");
        assert_eq!(value("x_bucket{a=\"b\",le=\"50000\"}"), "4");
        assert_eq!(value("x_bucket{a=\"b\",le=\"+Inf\"}"), "5");
        assert_eq!(value("x_sum{a=\"b\"}"), (1 + 1 + 2 + 60_000).to_string());
    }

    #[test]
    fn seconds_are_written_with_a_decimal_point_and_the_bound_first() {
        let histogram = Histogram::new(&REQUEST_SECONDS);
        histogram.observe_time(Duration::from_millis(50));
        let mut text = String::new();
        histogram.write("x", "a=\"b\"", &mut text);
        assert!(text.contains("x_bucket{le=\"0.05\",a=\"b\"} 1\n"), "{text}");
        assert!(text.contains("x_bucket{le=\"1.0\",a=\"b\"} 1\n"), "{text}");
        assert!(text.contains("x_sum{a=\"b\"} 0.05\n"), "{text}");
    }
}
