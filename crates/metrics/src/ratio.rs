//! Shares of counts.

/// Returns the share of `good` in both counts, 0 to 1; none where both are 0.
pub(crate) fn share(good: u64, bad: u64) -> Option<f64> {
    (good + bad > 0).then(|| good as f64 / (good + bad) as f64)
}
