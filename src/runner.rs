//! Runs a scenario: deploys its topology or finds the services that are deployed, changes policies and faults between the
//! steps, sends the load, and records every event.
//!
//! ```text
//! ground   the places of the variants in the cluster
//! guard    consent, and a cap on attempts, on clusters that meshy did not create
//! changes  policies and faults in the cluster, through a session that restores them
//! called   whether the Services that senders call are there
//! evidence whether clients use the policies of a step
//! prediction the prediction of each step on a topology
//! destination      the way to the target of a load
//! sender   the load of a step from this machine
//! senders  the load of a step from pods of the cluster
//! counts   what proxies and services counted: edges and services
//! arrived  what the proxies of services counted: mutual TLS, and requests that no proxy of a client counted
//! steps    the steps in their order, each for all variants at the same time
//! step     one step of one variant: changes, load, totals
//! lateness whether this machine keeps up with a step
//! ticks    the counts of a step, each second or as `seconds` sets it
//! ```

mod arrived;
mod called;
mod changes;
mod counts;
mod destination;
mod evidence;
mod ground;
mod guard;
mod lateness;
mod prediction;
mod reach;
mod seconds;
mod sender;
mod senders;
mod step;
mod steps;
mod ticks;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Context as _;
use meshy_experiment::condition::evaluate;
use meshy_experiment::event::{
    ConditionResult, Kind, Mesh, Prediction, Recorder, RunEnded, RunStarted, RunStatus, StepPlan,
};
use meshy_experiment::scenario::policies::PolicyFile;
use meshy_experiment::scenario::{Scenario, Step};
use meshy_lab::Env;
use meshy_metrics::Window;
use meshy_policy::policy::{Session, Stopped};
use meshy_policy::test_service::FaultChange;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::run_cluster::RunCluster;
use crate::runs;
use changes::InForce;
pub(crate) use counts::edge as edge_counts;
pub(crate) use ground::Graph;
use ground::{Ground, Place};
pub(crate) use guard::Limits;
use step::{Last, Run};

/// A scenario with everything that it names, read and checked.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The scenario.
    pub scenario: Scenario,
    /// The file, for errors.
    pub file: String,
    /// Its policy files by name.
    pub policies: BTreeMap<String, PolicyFile>,
    /// What it runs on.
    pub graph: Graph,
    /// What the user allows.
    pub limits: Limits,
    /// Whether each step waits for the user.
    pub paused: bool,
    /// Names of the run.
    pub tags: Vec<String>,
}

/// What a run resulted in.
pub(crate) struct Finished {
    /// The expectations of the scenario, in order.
    pub condition_results: Vec<ConditionResult>,
    /// How long it took.
    pub took: Duration,
    /// Whether it ended before its last step.
    pub interrupted: bool,
    /// What the last step with counts has counted.
    pub(crate) last: Option<(Mesh, Window)>,
}

/// The policies of one variant.
struct Policies {
    /// Of each step.
    steps: Vec<InForce>,
    /// The services that have a ServiceProfile in one of them.
    profiled: BTreeSet<(String, String)>,
    /// Whether each step waits until clients use its policies. The proxies of an embedded cluster in this process do so at
    /// once.
    verified: bool,
}

/// Runs the scenario on a cluster; the session restores what it changes. `before` is called before each step with its number,
/// for texts and pauses.
///
/// # Errors
/// Returns an error if a change is rejected, the user does not allow the run, or the recorder cannot write. What was recorded
/// until then stays.
pub(crate) async fn run<W: Write + Send>(
    env: &Env,
    plan: &Plan,
    (run_cluster, session): (&RunCluster, &mut Session),
    (recorder, id): (&Recorder<W>, &str),
    stop: watch::Receiver<bool>,
    mut before: impl AsyncFnMut(usize, &Step) -> anyhow::Result<()>,
) -> anyhow::Result<Finished> {
    let begun = Instant::now();
    let started = RunStarted {
        run: id.to_owned(),
        command: env.command.clone(),
        scenario: Some(plan.scenario.metadata.name.value.clone()),
        tags: plan.tags.clone(),
        title: title(&plan.scenario),
        lab: run_cluster.lab.clone(),
        provider: run_cluster.provider.to_owned(),
        versions: runs::versions(&run_cluster.client).await?,
        variants: plan.scenario.variants.iter().map(|variant| variant.name.value.clone()).collect(),
        steps: plan.scenario.steps.iter().map(planned).collect(),
    };
    recorder.record(begun.elapsed(), None, Kind::RunStarted(started))?;
    let last = Last::default();
    let with = (recorder, &last, id);
    let ran = all(env, plan, (run_cluster, session), with, (begun, stop.clone()), &mut before).await;
    let stopped = *stop.borrow() && ran.as_ref().is_err_and(|error| error.is::<Stopped>());
    let (interrupted, status) = match &ran {
        Ok(true) => (false, RunEnded { status: RunStatus::Completed, reason: None }),
        Err(error) if !stopped => {
            (false, RunEnded { status: RunStatus::Failed, reason: Some(format!("{error:#}")) })
        }
        Ok(false) | Err(_) => (true, RunEnded { status: RunStatus::Interrupted, reason: None }),
    };
    let results = recorder.results();
    let conditions = plan.scenario.conditions();
    let condition_results: Vec<ConditionResult> = match ran.is_ok() && !interrupted {
        true => conditions.iter().flat_map(|condition| evaluate(condition, &results)).collect(),
        false => Vec::new(),
    };
    for condition_result in &condition_results {
        recorder.record(begun.elapsed(), None, Kind::Expectation(condition_result.clone()))?;
    }
    recorder.record(begun.elapsed(), None, Kind::RunEnded(status))?;
    if !stopped {
        ran?;
    }
    let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Finished { condition_results, took: begun.elapsed(), interrupted, last })
}

/// Prepares the cluster and runs the steps; returns false if a stop was requested.
async fn all<W: Write + Send>(
    env: &Env,
    plan: &Plan,
    (run_cluster, session): (&RunCluster, &mut Session),
    (recorder, last, id): (&Recorder<W>, &Last, &str),
    (begun, stop): (Instant, watch::Receiver<bool>),
    before: &mut impl AsyncFnMut(usize, &Step) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let ground = {
        let variants = plan.scenario.variants.iter().map(|variant| (Some(variant), "default"));
        let known = policies(plan, run_cluster, variants.chain(std::iter::once((None, "default"))))?;
        let objects = known.iter().flat_map(|one| one.steps.iter().map(|step| step.objects().collect()));
        guard::check(env, run_cluster, &plan.scenario, objects, &plan.limits)?;
        called::check(plan, run_cluster, &env.report).await?;
        // What was deployed until then is in namespaces that the session deletes.
        step::stoppable(&stop, Ground::prepare(env, (&plan.scenario, &plan.graph), run_cluster, session))
            .await?
    };
    if ground.is_deployed() {
        let names: Vec<&str> = ground.places.iter().flat_map(Place::names).collect();
        plan.scenario.check_services(&plan.file, &names)?;
        called::report_unready(plan, run_cluster, &env.report).await?;
    }
    let each = ground.places.iter().map(|place| (place.variant.as_ref(), place.namespace.as_str()));
    let policies = policies(plan, run_cluster, each)?;
    hold(&ground, &policies, session).await?;
    let session = Mutex::new(session);
    let runs: Vec<Run<'_, W>> = ground
        .places
        .iter()
        .zip(&policies)
        .map(|(place, policies)| Run {
            plan,
            ground: &ground,
            place,
            policies,
            session: &session,
            recorder,
            id,
            report: &env.report,
            last,
            begun,
            cap: plan.limits.cap(run_cluster),
            stop: stop.clone(),
        })
        .collect();
    predictions(env, plan, &runs).await?;
    if matches!(plan.graph, Graph::Topology(_)) && !ground.run_cluster.is_own() {
        for run in &runs {
            evidence::reachable(&ground, run.place, &plan.scenario.steps, &env.report).await?;
        }
    }
    warm_up(env, plan, &runs).await?;
    steps::all(plan, &runs, &stop, before).await
}

/// Returns the policies of each variant.
fn policies<'a>(
    plan: &Plan,
    run_cluster: &RunCluster,
    variants: impl Iterator<Item = (Option<&'a meshy_experiment::scenario::Variant>, &'a str)>,
) -> anyhow::Result<Vec<Policies>> {
    let of = |(variant, namespace)| {
        let each = plan.scenario.steps.iter();
        let each = each.map(|step| InForce::of(&plan.policies, step, variant, namespace));
        let steps: Vec<InForce> = each.collect::<anyhow::Result<_>>()?;
        let profiled = evidence::profiled(steps.iter());
        Ok(Policies { steps, profiled, verified: !(run_cluster.is_own() && run_cluster.at_once) })
    };
    variants.map(of).collect()
}

/// Captures what the steps change, and removes other retry policies of the services of a topology: only those of the
/// steps are in force.
async fn hold(ground: &Ground<'_>, policies: &[Policies], session: &mut Session) -> anyhow::Result<()> {
    if ground.run_cluster.is_own() {
        return Ok(());
    }
    for step in policies.iter().flat_map(|policies| &policies.steps) {
        session.hold(&step.changes()).await?;
    }
    for place in &ground.places {
        let is_existing = ground.existing.contains(&place.namespace);
        for name in place.names().filter(|_| is_existing || ground.any_image) {
            session.without_policies(&place.service(name)).await?;
            if is_existing {
                // A run with `--keep` may have left faults.
                let change = FaultChange { reset: true, ..FaultChange::default() };
                session.fault(&place.service(name), None, &change).await?;
            }
        }
    }
    Ok(())
}

/// Records the predictions of all steps on a topology before the first one starts.
async fn predictions<W: Write + Send>(env: &Env, plan: &Plan, runs: &[Run<'_, W>]) -> anyhow::Result<()> {
    let Graph::Topology(topology) = &plan.graph else { return Ok(()) };
    let shown = env.report.step("Predicting", "each step by simulation");
    let work: Vec<_> = runs
        .iter()
        .map(|run| (topology.clone(), plan.scenario.steps.clone(), run.policies.steps.clone()))
        .collect();
    // The cluster in this process goes on meanwhile.
    let simulated = tokio::task::spawn_blocking(move || {
        let one = |(topology, steps, objects): (meshy_topology::Topology, Vec<Step>, Vec<InForce>)| {
            steps
                .iter()
                .zip(&objects)
                .map(|(step, objects)| prediction::step(&topology, step, objects))
                .collect()
        };
        work.into_iter().map(one).collect::<Vec<Vec<Prediction>>>()
    });
    let simulated = shown.ended(simulated.await.context("a simulation ended early"), |_| String::new())?;
    for (run, predictions) in runs.iter().zip(simulated) {
        for prediction in predictions {
            run.record(Kind::Prediction(prediction))?;
        }
    }
    Ok(())
}

/// On a real Linkerd a proxy that has once known a profile follows each later change at once; one that discovered the service
/// before the first profile does not, until it was idle. So the client of each load discovers its profiles once before the first
/// step.
async fn warm_up<W: Write + Send>(env: &Env, plan: &Plan, runs: &[Run<'_, W>]) -> anyhow::Result<()> {
    let steps = plan.scenario.steps.len();
    let with_profiles = |run: &Run<'_, W>| {
        let is_profiled =
            |number: &usize| !evidence::profiled(run.policies.steps[*number..=*number].iter()).is_empty();
        (0..steps).filter(is_profiled).collect::<Vec<_>>()
    };
    let needed = runs.iter().any(|run| !with_profiles(run).is_empty());
    let Some(run) = runs.first().filter(|run| needed && !run.ground.run_cluster.at_once) else {
        return Ok(());
    };
    let step = env.report.step("Warming", "the clients' proxies, so that later switches act at once");
    let warm = async {
        for run in runs {
            run.warm_up(&with_profiles(run)).await?;
        }
        anyhow::Ok(())
    };
    let warmed = step::stoppable(&run.stop, warm).await;
    step.ended(warmed, |()| String::new())
}

impl<W: Write + Send> Run<'_, W> {
    /// Lets the clients of these steps see their profiles once, and then none.
    async fn warm_up(&self, numbers: &[usize]) -> anyhow::Result<()> {
        let steps = &self.plan.scenario.steps;
        let nothing = InForce::default();
        let mut last = &nothing;
        for number in numbers {
            let next = &self.policies.steps[*number];
            last.change_to(next, self.session, self.ground.absent).await?;
            last = next;
            let objects = (&steps[*number], next);
            evidence::in_use(self.ground, self.place, objects, &self.policies.profiled, self.report).await?;
        }
        last.change_to(&nothing, self.session, self.ground.absent).await?;
        Ok(())
    }
}

/// The title of a scenario, else its name.
pub(crate) fn title(scenario: &Scenario) -> String {
    scenario.metadata.title.clone().unwrap_or_else(|| scenario.metadata.name.value.clone())
}

fn planned(step: &Step) -> StepPlan {
    StepPlan {
        step: step.name.value.clone(),
        title: step.title.clone(),
        duration_ms: seconds::millis(step.duration().0),
    }
}
