//! The load of a step, and what was counted at the sender.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use meshy_experiment::event::{ArrivalSecond, Counts, MOST_SAMPLES, Sample};
use meshy_experiment::latency::{Latencies, Quantiles};
use meshy_experiment::scenario::{Load, StatusFrom};
use meshy_load::{Ended, Outcome, Plan, Target};
use tokio::sync::watch;

/// A response after this time does not count as goodput.
const DEADLINE: Duration = Duration::from_secs(2);

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A part of the load of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    /// When it starts, after the start of the step.
    pub(super) start: Duration,
    /// How long requests are sent.
    pub(super) length: Duration,
    /// Requests per second.
    pub(super) rate: f64,
}

/// What was counted at the sender since the start of a step. Clones count together.
#[derive(Clone, Default)]
pub(super) struct Tally(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    counts: Counts,
    arrivals: Vec<ArrivalSecond>,
    latencies: BTreeMap<u64, u64>,
    latencies_now: BTreeMap<u64, u64>,
    samples: Vec<Sample>,
}

impl Tally {
    /// Returns a tally of a load with these parts.
    pub(super) fn of(parts: &[Part]) -> Self {
        let tally = Self::default();
        for part in parts {
            let count = (part.rate * part.length.as_secs_f64()).round() as u64;
            for number in 0..count {
                let second = (part.start.as_secs_f64() + number as f64 / part.rate) as usize;
                tally.lock().second(second).offered += 1;
            }
        }
        tally
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request of a part that started `start` after the start of the step.
    fn ended(&self, ended: &Ended, start: Duration, deadline: Duration) {
        let mut counted = self.lock();
        let succeeded = ended.outcome.succeeded();
        let in_time = succeeded && ended.latency <= deadline;
        let status = match ended.outcome {
            Outcome::Answer(status) | Outcome::Carried(status) => status,
            Outcome::TimedOut | Outcome::Broken | Outcome::NeverSent | Outcome::ClientError => 0,
        };
        let intended = start + ended.intended;
        let counts = &mut counted.counts;
        counts.requests += 1;
        counts.succeeded += u64::from(succeeded);
        counts.in_time += u64::from(in_time);
        let name = if status == 0 { "none".to_owned() } else { status.to_string() };
        *counts.statuses.entry(name).or_default() += 1;
        counted.second(intended.as_secs() as usize).in_time += u64::from(in_time);
        let micros = u64::try_from(ended.latency.as_micros()).unwrap_or(u64::MAX);
        *counted.latencies.entry(rounded(micros)).or_default() += 1;
        *counted.latencies_now.entry(rounded(micros)).or_default() += 1;
        if counted.samples.len() < MOST_SAMPLES {
            counted.samples.push(Sample {
                start_ms: intended.as_secs_f64() * 1000.0,
                latency_ms: ended.latency.as_secs_f64() * 1000.0,
                status,
                succeeded,
                attempts: ended.attempts,
            });
        }
    }

    /// Returns the counts at a time after the start of the step, with those that were to start by then.
    pub(super) fn counts(&self, at: Duration) -> Counts {
        let counted = self.lock();
        let whole = (at.as_secs() as usize).min(counted.arrivals.len());
        let mut offered: u64 = counted.arrivals[..whole].iter().map(|second| second.offered).sum();
        if let Some(part) = counted.arrivals.get(whole) {
            offered += (part.offered as f64 * at.as_secs_f64().fract()) as u64;
        }
        Counts { offered, ..counted.counts.clone() }
    }

    /// Takes the latencies and the samples since the last call.
    pub(super) fn take_now(&self) -> (Option<Quantiles>, Vec<Sample>) {
        let mut counted = self.lock();
        let now = Latencies::from_counts(std::mem::take(&mut counted.latencies_now)).quantiles();
        (now, std::mem::take(&mut counted.samples))
    }

    /// Returns all latencies.
    pub(super) fn latencies(&self) -> Latencies {
        Latencies::from_counts(self.lock().latencies.clone())
    }

    /// Returns goodput by second of arrival.
    pub(super) fn arrivals(&self) -> Vec<ArrivalSecond> {
        self.lock().arrivals.clone()
    }
}

impl Counted {
    fn second(&mut self, second: usize) -> &mut ArrivalSecond {
        if self.arrivals.len() <= second {
            self.arrivals.resize(second + 1, ArrivalSecond::default());
        }
        &mut self.arrivals[second]
    }
}

/// Rounds a latency up to three digits, so that the number of different values is bounded.
fn rounded(micros: u64) -> u64 {
    let mut unit = 1;
    while micros / unit >= 1000 {
        unit *= 10;
    }
    micros.div_ceil(unit) * unit
}

/// Sends a part of the load and counts its requests. `target` is where the ingress forwards to the service.
pub(super) async fn send(
    target: Target,
    load: &Load,
    part: Part,
    tally: &Tally,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    tokio::time::sleep(part.start).await;
    let (tally, deadline) = (tally.clone(), load.deadline.map_or(DEADLINE, |deadline| deadline.0));
    let observer = Arc::new(move |ended: Ended| tally.ended(&ended, part.start, deadline));
    let waiting = (part.rate * PATIENCE.as_secs_f64()).ceil() as usize;
    let connections =
        load.connections.as_ref().map_or(waiting.clamp(16, 4_000), |count| count.value as usize);
    let plan =
        Plan { rate: part.rate, length: part.length, connections, patience: PATIENCE, ..Plan::default() };
    meshy_load::run_observed(target, plan, stop, |_| {}, Some(observer)).await?;
    Ok(())
}

/// Returns the request of a load, sent to `host` at the ingress.
pub(super) fn target(load: &Load, ingress: std::net::SocketAddr, host: &str) -> anyhow::Result<Target> {
    let mut target = Target::new(ingress, host, load.path.as_deref().unwrap_or("/"))?;
    if let Some(method) = &load.method {
        target.method = method.parse().with_context(|| format!("invalid method `{method}`"))?;
    }
    for (name, value) in &load.headers {
        target.header(&format!("{name}: {value}"))?;
    }
    if let Some(body) = &load.body {
        target.body = body.clone().into();
    }
    target.bounce = load.status_from == Some(StatusFrom::Body);
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goodput_is_counted_in_the_second_of_arrival() {
        let part = Part { start: Duration::ZERO, length: Duration::from_secs(2), rate: 2.0 };
        let tally = Tally::of(&[part]);
        let ended = |intended: f64, status, latency: f64| Ended {
            intended: Duration::from_secs_f64(intended),
            outcome: Outcome::Answer(status),
            attempts: None,
            latency: Duration::from_secs_f64(latency),
        };
        for one in [ended(0.0, 200, 0.1), ended(0.5, 200, 2.5), ended(1.0, 503, 0.1), ended(1.5, 200, 1.9)] {
            tally.ended(&one, Duration::ZERO, DEADLINE);
        }
        let second = |offered, in_time| ArrivalSecond { offered, in_time };
        assert_eq!(tally.arrivals(), [second(2, 1), second(2, 1)]);
        let counts = tally.counts(Duration::from_secs(2));
        assert_eq!((counts.offered, counts.requests, counts.succeeded, counts.in_time), (4, 4, 3, 2));
        assert_eq!(counts.statuses, BTreeMap::from([("200".to_owned(), 3), ("503".to_owned(), 1)]));
        assert_eq!(tally.take_now().1.len(), 4);
        assert!(tally.take_now().1.is_empty());
    }

    #[test]
    fn a_latency_is_rounded_up_by_less_than_one_percent() {
        for micros in [0, 1, 999, 1000, 1001, 123_456] {
            let kept = rounded(micros);
            assert!(kept >= micros && kept as f64 <= micros as f64 * 1.01, "{micros}: {kept}");
        }
    }
}
