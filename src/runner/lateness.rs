//! Whether this machine keeps up with a step: how late timers fire that are due all the time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How often a timer is due.
const EVERY: Duration = Duration::from_millis(20);

/// A timer that fires later than this is late: a request timeout of half a second is wrong by a tenth then.
const LATE: Duration = Duration::from_millis(50);

/// The share of late timers that is worth a warning. On a machine that keeps up it is 0.
const MOST_LATE: f64 = 0.05;

/// What the timers of a step were like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lateness {
    /// Timers that were due.
    due: u64,
    /// Of these, late ones.
    late: u64,
    /// The latest.
    most: Duration,
}

impl Lateness {
    /// Measures until the work has ended.
    pub(super) async fn during<T>(work: impl Future<Output = T>) -> (T, Self) {
        let (end, ended) = watch::channel(());
        let work = async {
            let done = work.await;
            drop(end);
            done
        };
        tokio::join!(work, Self::measured(ended))
    }

    async fn measured(mut ended: watch::Receiver<()>) -> Self {
        let mut lateness = Self::default();
        let mut due = Instant::now() + EVERY;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(due) => lateness.add(due.elapsed()),
                // The sender is dropped, never used.
                _ = ended.changed() => return lateness,
            }
            due += EVERY;
        }
    }

    fn add(&mut self, by: Duration) {
        self.due += 1;
        self.late += u64::from(by > LATE);
        self.most = self.most.max(by);
    }

    /// Returns the warning about a step, if the machine did not keep up.
    pub(super) fn warning(&self, step: &str) -> Option<String> {
        let share = self.late as f64 / self.due.max(1) as f64;
        (share > MOST_LATE).then(|| {
            format!(
                "this machine did not keep up with step `{step}`: {:.0} % of its timers fired more than {} ms late, the latest {} ms late; \
                 latencies, timeouts and classes may be those of a busy machine, not of the policies",
                share * 100.0,
                LATE.as_millis(),
                self.most.as_millis()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_keeps_up_is_no_warning() {
        let (done, lateness) = Lateness::during(async {
            sleep(Duration::from_secs(10)).await;
            7
        })
        .await;
        assert_eq!((done, lateness.late, lateness.most), (7, 0, Duration::ZERO));
        assert!((499..=500).contains(&lateness.due), "{lateness:?}");
        assert_eq!(lateness.warning("storm"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn timers_that_fire_late_are_a_warning_with_their_share() {
        let ((), lateness) = Lateness::during(async {
            // Ten times nothing runs for 200 ms, as on a machine that does something else.
            for _ in 0..10 {
                sleep(Duration::from_millis(800)).await;
                advance(Duration::from_millis(200)).await;
            }
        })
        .await;
        // Of the ten timers that were due in such a stop, those of its first 150 ms are late.
        let share = lateness.late as f64 / lateness.due as f64;
        assert!((0.1..0.2).contains(&share) && lateness.most >= Duration::from_millis(150), "{lateness:?}");
        let warning = lateness.warning("storm").unwrap();
        assert!(warning.starts_with("this machine did not keep up with step `storm`: 1"), "{warning}");
        assert!(warning.contains("% of its timers fired more than 50 ms late, the latest "), "{warning}");
    }
}
