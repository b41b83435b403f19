//! The steps of a run in their order, each for all variants at the same time.

use std::io::Write;
use std::time::Duration;

use futures::stream::{FuturesOrdered, StreamExt as _};
use meshy_experiment::scenario::Step;
use meshy_experiment::scenario::plan::Changes;
use tokio::sync::watch;

use super::lateness::Lateness;
use super::step::{self, Ending, Run};
use super::{Plan, senders};

/// How long the heading of a step waits for the endings of the steps before: less than the second after which the first counts of the
/// step are shown.
const HEADING: Duration = Duration::from_millis(800);

/// Runs the steps, each for all variants at the same time; returns false if a stop was requested.
pub(super) async fn all<'a, W: Write + Send>(
    plan: &'a Plan,
    runs: &[Run<'a, W>],
    stop: &watch::Receiver<bool>,
    before: &mut impl AsyncFnMut(usize, &Step) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let steps = &plan.scenario.steps;
    let mut endings = FuturesOrdered::new();
    for (number, step) in steps.iter().enumerate() {
        if *stop.borrow() {
            break;
        }
        let last = number.checked_sub(1);
        let continues = last.is_some_and(|last| follows(plan, runs, last));
        if !continues {
            while let Some(ended) = endings.next().await {
                ended?;
            }
            step::stoppable(stop, before(number, step)).await?;
            futures::future::try_join_all(runs.iter().map(|run| run.change(last, number))).await?;
        }
        let goes_on = number + 1 < steps.len() && follows(plan, runs, number);
        let each = futures::future::try_join_all(runs.iter().map(|run| run.step(step, goes_on)));
        let heading = continues.then(|| before(number, step));
        let (ended, lateness) = Lateness::during(with_endings(&mut endings, heading, each)).await;
        endings.extend(ended?);
        if let (Some(run), Some(text)) = (runs.first(), lateness.warning(&step.name.value)) {
            run.warn(text)?;
        }
    }
    while let Some(ended) = endings.next().await {
        ended?;
    }
    Ok(!*stop.borrow())
}

/// Runs a step while the steps before end, whose requests may still be open. What is shown keeps the order of
/// the steps: the heading comes after those endings, unless they take long.
async fn with_endings<T>(
    endings: &mut FuturesOrdered<Ending<'_>>,
    heading: Option<impl Future<Output = anyhow::Result<()>>>,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let late = tokio::time::sleep(HEADING);
    tokio::pin!(work, late);
    let mut heading = heading;
    loop {
        if (endings.is_empty() || late.is_elapsed())
            && let Some(heading) = heading.take()
        {
            heading.await?;
        }
        tokio::select! {
            biased;
            done = &mut work => {
                if let Some(heading) = heading.take() {
                    heading.await?;
                }
                return done;
            }
            ended = endings.next(), if !endings.is_empty() => ended.transpose().map(drop)?,
            () = &mut late, if heading.is_some() => {}
        }
    }
}

/// Whether the step after `number` starts without a pause, as part of one disturbance: nothing changes, no key is waited for and
/// no pods must start or end.
fn follows<W>(plan: &Plan, runs: &[Run<'_, W>], number: usize) -> bool {
    let steps = &plan.scenario.steps;
    let unchanged = |run: &Run<'_, W>| {
        Changes::between(Some(&steps[number]), &steps[number + 1], run.place.variant.as_ref()).is_empty()
    };
    let from_pods = |step: &Step| step.load.as_ref().is_some_and(|load| senders::count(load).is_some());
    !plan.paused && !steps[number..=number + 1].iter().any(from_pods) && runs.iter().all(unchanged)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::FutureExt as _;
    use tokio::time::sleep;

    use super::*;

    /// Runs a step of two seconds while the step before ends, and returns what happened in its order.
    async fn order(ending: Duration) -> Vec<&'static str> {
        let happened = Mutex::new(Vec::new());
        let note = |what| happened.lock().unwrap().push(what);
        let ended = async {
            sleep(ending).await;
            note("ending");
            anyhow::Ok(())
        };
        let heading = async {
            note("heading");
            anyhow::Ok(())
        };
        let work = async {
            note("load");
            sleep(Duration::from_secs(2)).await;
            note("end of the load");
            anyhow::Ok(())
        };
        {
            let mut endings = FuturesOrdered::from_iter([ended.boxed()]);
            with_endings(&mut endings, Some(heading), work).await.unwrap();
            while let Some(ended) = endings.next().await {
                ended.unwrap();
            }
        }
        happened.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_step_is_recorded_before_the_heading_of_the_step_that_follows_at_once() {
        let order = order(Duration::from_millis(300)).await;
        assert_eq!(order, ["load", "ending", "heading", "end of the load"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_takes_long_delays_neither_the_heading_nor_the_end_of_the_next_step() {
        let late = order(Duration::from_millis(1500)).await;
        assert_eq!(late, ["load", "heading", "ending", "end of the load"]);
        let later = order(Duration::from_secs(5)).await;
        assert_eq!(later, ["load", "heading", "end of the load", "ending"]);
    }
}
