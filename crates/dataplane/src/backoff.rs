//! Exponential backoff.

use std::time::Duration;

/// Returns `min` doubled `times` times, at most `max`, plus a random share: `jitter` (0 to 1) times `ratio` of that time.
/// The sum is at most `max` as well.
pub(crate) fn backoff(min: Duration, max: Duration, ratio: f64, times: u32, jitter: f64) -> Duration {
    let base = min.checked_mul(2u32.saturating_pow(times)).unwrap_or(max).min(max);
    (base + base.mul_f64(ratio * jitter)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_adds_at_most_its_share_and_never_exceeds_the_maximum() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(backoff(second, minute, 0.5, 1, 0.0), Duration::from_secs(2));
        assert_eq!(backoff(second, minute, 0.5, 1, 1.0), Duration::from_secs(3));
        assert_eq!(backoff(second, minute, 0.5, 9, 1.0), minute);
        assert_eq!(backoff(second, minute, 0.5, u32::MAX, 0.0), minute);
    }
}
