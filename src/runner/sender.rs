//! Sends the load of a step.

use std::sync::Arc;
use std::time::Duration;

use meshy_experiment::scenario::Load;
use meshy_load::{Ended, Plan, Target};
use tokio::sync::watch;

use crate::tally::{DEADLINE, Part, Tally};

/// How long a request may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the most connections of a load at this rate: so many that every request finds one within its patience.
pub(super) fn connections(load: &Load, rate: f64) -> usize {
    let waiting = (rate * TIMEOUT.as_secs_f64()).ceil() as usize;
    load.connections.as_ref().map_or(waiting.clamp(16, 4_000), |count| count.value as usize)
}

/// Returns the time after which a response of a load does not count as goodput.
pub(super) fn deadline(load: &Load) -> Duration {
    load.deadline.map_or(DEADLINE, |deadline| deadline.0)
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
    let (tally, deadline) = (tally.clone(), deadline(load));
    let observer = Arc::new(move |ended: Ended| tally.ended(&ended, part.start, deadline));
    let plan = Plan {
        rate: part.rate,
        length: part.length,
        connections: connections(load, part.rate),
        patience: TIMEOUT,
        ..Plan::default()
    };
    meshy_load::run_observed(target, plan, stop, |_| {}, Some(observer)).await?;
    Ok(())
}
