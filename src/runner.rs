//! Runs a scenario on an embedded cluster in this process: deploys its topology, changes policies and faults between the steps,
//! sends the load, and records every event.
//!
//! ```text
//! ground   the cluster with the topology, one namespace per variant
//! changes  policies and faults in the cluster
//! sender   the load of a step, and what was counted at the sender
//! counts   what proxies and services counted: edges and services
//! step     one step of one variant: changes, load, a tick per second, totals
//! ```

mod changes;
mod counts;
mod ground;
mod sender;
mod step;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use meshy_experiment::condition::judge;
use meshy_experiment::event::{Judgement, Kind, Recorder, RunEnded, RunStarted, RunStatus, StepPlan};
use meshy_experiment::scenario::policies::PolicyFile;
use meshy_experiment::scenario::{Scenario, Step};
use meshy_lab::Env;
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) use counts::edge as edge_counts;
pub use ground::Graph;
use ground::Ground;

/// A scenario with everything that it names, read and checked.
pub struct Plan {
    /// The scenario.
    pub scenario: Scenario,
    /// Its policy files by name.
    pub policies: BTreeMap<String, PolicyFile>,
    /// What is deployed.
    pub graph: Graph,
    /// The id of the run.
    pub run: String,
}

/// What a run resulted in.
pub struct Finished {
    /// The expectations of the scenario, in order.
    pub judgements: Vec<Judgement>,
    /// How long it took.
    pub took: Duration,
    /// Whether it ended before its last step.
    pub interrupted: bool,
}

/// Runs the scenario; `before` is called before each step, for texts and pauses.
///
/// # Errors
/// Returns an error if the cluster does not start, a change is rejected, or the recorder cannot write. What was recorded until
/// then stays.
pub async fn run<W: Write + Send>(
    env: &Env,
    plan: &Plan,
    recorder: &Recorder<W>,
    stop: watch::Receiver<bool>,
    mut before: impl AsyncFnMut(&Step) -> anyhow::Result<()>,
) -> anyhow::Result<Finished> {
    let begun = Instant::now();
    let ground = Ground::prepare(env, plan).await?;
    let started = RunStarted {
        run: plan.run.clone(),
        command: "run".to_owned(),
        scenario: Some(plan.scenario.metadata.name.value.clone()),
        title: title(&plan.scenario),
        lab: "none".to_owned(),
        provider: "embedded".to_owned(),
        versions: BTreeMap::from([("meshy".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
        variants: plan.scenario.variants.iter().map(|variant| variant.name.value.clone()).collect(),
        steps: plan.scenario.steps.iter().map(planned).collect(),
    };
    recorder.record(begun.elapsed(), None, Kind::RunStarted(started))?;
    let ran = steps(plan, &ground, recorder, (begun, stop), &mut before).await;
    let closed = ground.close().await;
    let (interrupted, status) = match &ran {
        Ok(true) => (false, RunEnded { status: RunStatus::Completed, reason: None }),
        Ok(false) => (true, RunEnded { status: RunStatus::Interrupted, reason: None }),
        Err(error) => (false, RunEnded { status: RunStatus::Failed, reason: Some(format!("{error:#}")) }),
    };
    let results = recorder.results();
    let conditions = plan.scenario.conditions();
    let judgements: Vec<Judgement> = match interrupted {
        true => Vec::new(),
        false => conditions.iter().flat_map(|condition| judge(condition, &results)).collect(),
    };
    for judgement in &judgements {
        recorder.record(begun.elapsed(), None, Kind::Expectation(judgement.clone()))?;
    }
    recorder.record(begun.elapsed(), None, Kind::RunEnded(status))?;
    ran?;
    closed?;
    Ok(Finished { judgements, took: begun.elapsed(), interrupted })
}

/// Runs the steps, each for all variants at the same time; returns false if the run was asked to stop.
async fn steps<W: Write + Send>(
    plan: &Plan,
    ground: &Ground,
    recorder: &Recorder<W>,
    (begun, stop): (Instant, watch::Receiver<bool>),
    before: &mut impl AsyncFnMut(&Step) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let mut last = None;
    for step in &plan.scenario.steps {
        if *stop.borrow() {
            return Ok(false);
        }
        before(step).await?;
        let each = ground.places().iter().map(|place| {
            let run = step::Run { plan, ground, place, recorder, begun, stop: stop.clone() };
            run.step(last, step)
        });
        futures::future::try_join_all(each).await?;
        last = Some(step);
    }
    Ok(!*stop.borrow())
}

/// The title of a scenario, else its name.
pub fn title(scenario: &Scenario) -> String {
    scenario.metadata.title.clone().unwrap_or_else(|| scenario.metadata.name.value.clone())
}

fn planned(step: &Step) -> StepPlan {
    let duration_ms = u64::try_from(step.duration().0.as_millis()).unwrap_or(u64::MAX);
    StepPlan { step: step.name.value.clone(), title: step.title.clone(), duration_ms }
}
