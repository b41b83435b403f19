//! A rate limit's bucket.

use super::{SECOND, Time};

/// A bucket that holds the requests of one second, full at first.
#[derive(Clone)]
pub(super) struct Bucket {
    rate: f64,
    level: f64,
    updated: Time,
}

impl Bucket {
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, level: rate.max(1.0), updated: 0 }
    }

    /// Takes one request from the bucket, or returns `false` if there is none.
    pub(super) fn take(&mut self, now: Time) -> bool {
        let elapsed = (now - self.updated) as f64 / SECOND as f64;
        self.updated = now;
        self.level = (self.level + elapsed * self.rate).min(self.rate.max(1.0));
        let allowed = self.level >= 1.0;
        if allowed {
            self.level -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows d03 and d05 of the second set of measurements.
    #[test]
    fn a_burst_takes_the_bucket_and_a_steady_load_the_rate() {
        let mut bucket = Bucket::new(5.0);
        let burst = (0..50).filter(|i| bucket.take(i * SECOND / 200)).count();
        assert_eq!(burst, 6, "5 at once and 1 refilled in a quarter of a second");
        let mut bucket = Bucket::new(3.0);
        let steady = (0..120).filter(|i| bucket.take(i * SECOND / 6)).count();
        assert!((61..=63).contains(&steady), "{steady}");
    }
}
