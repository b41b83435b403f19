//! The clocks of senders, compared with the one of this machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a sender's clock differs from this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset {
    /// The sender's clock minus this one's, in microseconds.
    pub(crate) micros: i64,
    /// By how much that may be wrong: half of the time that the comparison took.
    pub(crate) error: Duration,
}

impl Offset {
    /// Returns the offset from a sender's time that was read between two times of this machine, in microseconds.
    pub(crate) fn of(before: u64, theirs: u64, after: u64) -> Self {
        let took = after.saturating_sub(before);
        let ours = before + took / 2;
        Self { micros: signed(theirs) - signed(ours), error: Duration::from_micros(took / 2) }
    }

    /// Returns the one with the smaller error.
    pub(crate) fn better(self, other: Self) -> Self {
        if other.error < self.error { other } else { self }
    }

    /// Returns the sender's time for a time of this machine.
    pub(crate) fn to_theirs(self, ours: u64) -> u64 {
        ours.saturating_add_signed(self.micros)
    }

    /// Returns this machine's time for a time of the sender.
    pub(crate) fn to_ours(self, theirs: u64) -> u64 {
        theirs.saturating_add_signed(-self.micros)
    }
}

/// Returns this machine's time, in microseconds of Unix time.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comparison_that_took_the_least_time_counts() {
        let slow = Offset::of(1_000, 61_500, 3_000);
        let fast = Offset::of(5_000, 65_050, 5_100);
        assert_eq!((slow.micros, slow.error), (59_500, Duration::from_millis(1)));
        assert_eq!((fast.micros, fast.error), (60_000, Duration::from_micros(50)));
        assert_eq!(slow.better(fast), fast);
        assert_eq!((fast.to_theirs(1), fast.to_ours(60_001)), (60_001, 1));
    }
}
