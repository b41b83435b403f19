//! The load that a viewer starts and stops, and what was counted at this sender.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use meshy_experiment::event::{Counts, MOST_SAMPLES, Sample};
use meshy_experiment::latency::{Latencies, Quantiles};
use meshy_load::{Ended, Outcome, Plan, Target};
use tokio::sync::watch;

/// A response after this time does not count as goodput, as in a scenario.
const DEADLINE: Duration = Duration::from_secs(2);

/// A load runs until it is stopped; this is more than a day.
const LENGTH: Duration = Duration::from_secs(100_000);

/// Requests of all loads that this page sent. Clones count together.
#[derive(Clone, Default)]
pub(super) struct Sent(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    counts: Counts,
    latencies: BTreeMap<u64, u64>,
    now: BTreeMap<u64, u64>,
    samples: Vec<Sample>,
}

/// A load that is being sent; it stops when this is dropped.
pub(super) struct Sending {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    rate: f64,
    begun: Instant,
}

impl Sent {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a load from now on; `since` is the time since the start of the step.
    pub(super) fn send(&self, target: Target, rate: f64, since: Duration) -> Sending {
        let (stop, stopped) = watch::channel(false);
        let sent = self.clone();
        let observer = Arc::new(move |ended: Ended| sent.ended(&ended, since));
        let connections = (rate * 10.0).ceil().clamp(16.0, 4_000.0) as usize;
        let plan = Plan { rate, length: LENGTH, connections, ..Plan::default() };
        let task = tokio::spawn(async move {
            meshy_load::run_observed(target, plan, stopped, |_| {}, Some(observer)).await?;
            Ok(())
        });
        Sending { stop, task, rate, begun: Instant::now() }
    }

    /// Ends a load; its open requests are counted for a moment.
    ///
    /// # Errors
    /// The load could not be sent.
    pub(super) async fn end(&self, sending: Sending) -> anyhow::Result<()> {
        self.lock().counts.offered += sending.offered();
        sending.stop.send_replace(true);
        sending.task.await?
    }

    fn ended(&self, ended: &Ended, since: Duration) {
        let status = match ended.outcome {
            Outcome::Answer(status) | Outcome::Carried(status) => status,
            _ => 0,
        };
        let succeeded = ended.outcome.succeeded();
        let micros = u64::try_from(ended.latency.as_micros()).unwrap_or(u64::MAX);
        let mut counted = self.lock();
        let counts = &mut counted.counts;
        counts.requests += 1;
        counts.succeeded += u64::from(succeeded);
        counts.in_time += u64::from(succeeded && ended.latency <= DEADLINE);
        let name = if status == 0 { "none".to_owned() } else { status.to_string() };
        *counts.statuses.entry(name).or_default() += 1;
        *counted.latencies.entry(rounded(micros)).or_default() += 1;
        *counted.now.entry(rounded(micros)).or_default() += 1;
        if counted.samples.len() < MOST_SAMPLES {
            counted.samples.push(Sample {
                start_ms: (since + ended.intended).as_secs_f64() * 1000.0,
                latency_ms: ended.latency.as_secs_f64() * 1000.0,
                status,
                succeeded,
                attempts: ended.attempts,
            });
        }
    }

    /// Returns the counts, with those of a load that is being sent.
    pub(super) fn counts(&self, sending: Option<&Sending>) -> Counts {
        let counts = self.lock().counts.clone();
        Counts { offered: counts.offered + sending.map_or(0, Sending::offered), ..counts }
    }

    /// Returns all latencies.
    pub(super) fn latencies(&self) -> Latencies {
        Latencies::from_counts(self.lock().latencies.clone())
    }

    /// Takes the latencies and the samples since the last call.
    pub(super) fn take_now(&self) -> (Option<Quantiles>, Vec<Sample>) {
        let mut counted = self.lock();
        let now = Latencies::from_counts(std::mem::take(&mut counted.now)).quantiles();
        (now, std::mem::take(&mut counted.samples))
    }
}

impl Sending {
    fn offered(&self) -> u64 {
        (self.begun.elapsed().as_secs_f64() * self.rate) as u64
    }
}

/// Rounds up to two digits, which bounds the number of different values.
fn rounded(micros: u64) -> u64 {
    let mut unit = 1;
    while micros / unit >= 1000 {
        unit *= 10;
    }
    micros.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_all_loads_are_counted_together() {
        let sent = Sent::default();
        let ended = |status, latency| Ended {
            intended: Duration::ZERO,
            outcome: Outcome::Answer(status),
            attempts: Some(2),
            latency: Duration::from_millis(latency),
        };
        sent.clone().ended(&ended(200, 5), Duration::ZERO);
        sent.ended(&ended(503, 3000), Duration::from_secs(7));
        let counts = sent.counts(None);
        assert_eq!((counts.requests, counts.succeeded, counts.in_time), (2, 1, 1));
        assert_eq!(counts.statuses, BTreeMap::from([("200".to_owned(), 1), ("503".to_owned(), 1)]));
        let (now, samples) = sent.take_now();
        assert_eq!((now.is_some(), samples.len(), samples[1].start_ms), (true, 2, 7000.0));
        assert_eq!((sent.take_now(), sent.latencies().count()), ((None, Vec::new()), 2));
    }
}
