//! The counts of a step, about once a second.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use anyhow::anyhow;
use meshy_base::error::Advise as _;
use meshy_experiment::condition::Condition;
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
        let mut sampler = start.sampler();
        let mut before = VecDeque::from([(at, 0)]);
        loop {
            tokio::select! {
                () = seconds.next() => {}
                _ = ended.wait_for(|ended| *ended) => break,
            }
            let exact = is_bound(&self.plan.scenario.conditions(), &step.name.value, at.elapsed());
            let since = start.since(self.ground, self.place, (&mut sampler, exact)).await.ok();
            let last = before.back().map_or(0, |(_, attempts)| *attempts);
            let now = (Instant::now(), since.as_ref().map_or(last, Since::attempts));
            let is_stale = !sampler.is_current();
            self.record(Kind::Tick(Tick { is_stale, ..counted(step, at.elapsed(), tally, since) }))?;
            if exact && sampler.turns() > 1 {
                // What it adds to the count of each proxy is that of different times.
                before.clear();
            }
            before.push_back(now);
            // Over a whole round, the attempts of each proxy are those of the same time.
            while before.len() > sampler.turns() + 1 {
                before.pop_front();
            }
            if before.len() > 1 {
                self.check_cap(step, before[0], now)?;
            }
        }
        // The end of the step counts the edges.
        let is_stale = sampler.turns() > 1;
        self.record(Kind::Tick(Tick { is_stale, ..counted(step, at.elapsed(), tally, None) }))
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

/// Whether a time, of about a whole second, is the start or the end of a window of a condition: its counts must be exact.
fn is_bound(conditions: &[Condition], step: &str, at: Duration) -> bool {
    let mut operands = conditions.iter().flat_map(Condition::operands);
    operands.any(|operand| {
        let is_here = operand.step.as_ref().is_none_or(|name| name == step);
        let is_near = |bound: Duration| bound.abs_diff(at) < Duration::from_millis(500);
        is_here && operand.window.is_some_and(|(from, to)| is_near(from) || is_near(to))
    })
}

fn counted(step: &Step, at: Duration, tally: &Tally, since: Option<Since>) -> Tick {
    let since = since.unwrap_or_default();
    Tick { edges: since.edges, services: since.services, ..tally.tick(&step.name.value, at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_a_window_of_a_condition_are_exact() {
        let conditions = [
            "storm[2s..5s].amplification@stock <= 1.5".parse().unwrap(),
            "other[3s..4s].success > 50%".parse().unwrap(),
            "storm.success > 50%".parse().unwrap(),
        ];
        let exact = (1..=6).filter(|second| {
            // A second is recorded some milliseconds late.
            is_bound(&conditions, "storm", Duration::from_millis(second * 1000 + 30))
        });
        assert_eq!(exact.collect::<Vec<u64>>(), [2, 5]);
    }
}
