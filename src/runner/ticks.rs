//! The counts of a step, about once a second.

use std::io::Write;
use std::time::Duration;

use anyhow::anyhow;
use meshy_base::error::Advise as _;
use meshy_experiment::event::{Kind, Tick};
use meshy_experiment::scenario::Step;
use tokio::sync::watch;
use tokio::time::Instant;

use super::counts::{self, Since};
use super::seconds::Seconds;
use super::step::Run;
use crate::tally::Tally;

impl<W: Write + Send> Run<'_, W> {
    /// Records the counts each second, until the load has ended. At the cap on attempts the run ends with an error.
    pub(super) async fn tick(
        &self,
        (step, at): (&Step, Instant),
        mut seconds: Seconds,
        tally: &Tally,
        start: &counts::Start,
        mut ended: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let mut before = (at, 0);
        loop {
            tokio::select! {
                () = seconds.next() => {}
                _ = ended.wait_for(|ended| *ended) => break,
            }
            let reads = self.cap.is_some() || start.is_small();
            let since = if reads { start.since(self.ground, self.place).await.ok() } else { None };
            let now = (Instant::now(), since.as_ref().map_or(before.1, Since::attempts));
            self.record(Kind::Tick(counted(step, at.elapsed(), tally, since)))?;
            self.check_cap(step, before, now)?;
            before = now;
        }
        self.record(Kind::Tick(counted(step, at.elapsed(), tally, None)))
    }

    fn check_cap(&self, step: &Step, before: (Instant, u64), now: (Instant, u64)) -> anyhow::Result<()> {
        let Some(cap) = self.cap else { return Ok(()) };
        let rate = now.1.saturating_sub(before.1) as f64 / (now.0 - before.0).as_secs_f64().max(1e-3);
        if rate <= cap {
            return Ok(());
        }
        let name = &step.name.value;
        Err(anyhow!(
            "step `{name}` caused {rate:.0} attempts per second, {cap:.0} are allowed; the run was stopped"
        ))
        .hint("`--max-attempts` allows more")
    }
}

fn counted(step: &Step, at: Duration, tally: &Tally, since: Option<Since>) -> Tick {
    let since = since.unwrap_or_default();
    Tick { edges: since.edges, services: since.services, ..tally.tick(&step.name.value, at) }
}
