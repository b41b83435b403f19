//! The load that a viewer starts and stops; its requests are counted as those of a scenario.

use std::sync::Arc;
use std::time::Duration;

use meshy_experiment::event::{Tick, Totals};
use meshy_load::{Ended, Plan, Target};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::tally::{DEADLINE, Tally};

/// A load runs until it is stopped; this is more than a day.
const LENGTH: Duration = Duration::from_secs(100_000);

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The loads of a run of the page, one after another.
pub(super) struct Sent {
    tally: Tally,
    begun: Instant,
    /// Requests that were to start.
    offered: u64,
    sending: Option<Sending>,
}

/// A load that is being sent.
struct Sending {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    rate: f64,
    begun: Instant,
    /// Requests of it that were to start.
    offered: u64,
}

impl Sent {
    /// Returns the loads of a run that begins now.
    pub(super) fn new(begun: Instant) -> Self {
        Self { tally: Tally::default(), begun, offered: 0, sending: None }
    }

    /// Sends a load from now on.
    pub(super) fn send(&mut self, target: Target, rate: f64) {
        let (stop, stopped) = watch::channel(false);
        let (tally, start) = (self.tally.clone(), self.begun.elapsed());
        let observer = Arc::new(move |ended: Ended| tally.ended(&ended, start, DEADLINE));
        let connections = (rate * TIMEOUT.as_secs_f64()).ceil().clamp(16.0, 4_000.0) as usize;
        let plan = Plan { rate, length: LENGTH, connections, patience: TIMEOUT, ..Plan::default() };
        let task = tokio::spawn(async move {
            meshy_load::run_observed(target, plan, stopped, |_| {}, Some(observer)).await?;
            Ok(())
        });
        self.sending = Some(Sending { stop, task, rate, begun: Instant::now(), offered: 0 });
    }

    /// Ends the load, if one is sent, and waits for its open requests.
    ///
    /// # Errors
    /// The load could not be sent.
    pub(super) async fn end(&mut self) -> anyhow::Result<()> {
        self.offer();
        let Some(sending) = self.sending.take() else { return Ok(()) };
        sending.stop.send_replace(true);
        sending.task.await?
    }

    /// Counts the requests that were to start by now.
    fn offer(&mut self) {
        let at = self.begun.elapsed();
        let Some(sending) = &mut self.sending else { return };
        let due = (sending.begun.elapsed().as_secs_f64() * sending.rate) as u64;
        let count = due.saturating_sub(sending.offered);
        sending.offered += count;
        self.offered += count;
        self.tally.offer(at, count);
    }

    /// Returns the counts of now as a tick.
    pub(super) fn tick(&mut self, step: &str) -> Tick {
        self.offer();
        let mut tick = self.tally.tick(step, self.begun.elapsed());
        // The tally takes the current second for a whole one.
        tick.load.offered = self.offered;
        tick
    }

    /// Returns everything that was counted.
    pub(super) fn totals(&mut self) -> Totals {
        self.offer();
        let mut totals = self.tally.totals(self.begun.elapsed());
        totals.load.offered = self.offered;
        totals
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Some(sending) = &self.sending {
            sending.stop.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use meshy_load::Outcome;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_of_all_loads_are_counted_together() {
        let mut sent = Sent::new(Instant::now());
        let ended = |status, latency| Ended {
            intended: Duration::ZERO,
            outcome: Outcome::Answer(status),
            attempts: Some(2),
            latency: Duration::from_millis(latency),
        };
        for (rate, start, ended) in [(4.0, 0, ended(200, 5)), (2.0, 10, ended(503, 3000))] {
            let (stop, _) = watch::channel(false);
            let task = tokio::spawn(async { Ok(()) });
            sent.sending = Some(Sending { stop, task, rate, begun: Instant::now(), offered: 0 });
            sent.tally.ended(&ended, Duration::from_secs(start), DEADLINE);
            tokio::time::advance(Duration::from_millis(10_250)).await;
            sent.tick("live");
            sent.end().await.unwrap();
        }
        let totals = sent.totals();
        assert_eq!((totals.load.offered, totals.load.requests, totals.load.succeeded), (61, 2, 1));
        assert_eq!(totals.arrivals.iter().map(|second| second.offered).sum::<u64>(), 61);
        assert_eq!((totals.load.in_time, totals.latencies.count()), (1, 2));
    }
}
