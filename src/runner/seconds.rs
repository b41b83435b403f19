//! When the counts of a step are recorded.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Returns a time in whole milliseconds, as the events have it.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// When counts are recorded.
pub(super) enum Seconds {
    /// Each second.
    Timer(Interval),
    /// When the reports of senders in the cluster were read, about each second: between two times nothing new is known.
    Reports(watch::Receiver<()>),
}

impl Seconds {
    /// Returns each full second after `at`.
    pub(super) fn after(at: Instant) -> Self {
        let second = Duration::from_secs(1);
        let mut seconds = interval_at(at + second, second);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self::Timer(seconds)
    }

    /// Waits for the next time.
    pub(super) async fn next(&mut self) {
        match self {
            Self::Timer(seconds) => drop(seconds.tick().await),
            Self::Reports(reports) => {
                if reports.changed().await.is_err() {
                    // The load has ended, which ends the wait for this.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}
