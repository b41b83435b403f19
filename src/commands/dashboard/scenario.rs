//! Scenarios that viewers start: the run of `meshy run NAME --pause`, whose events go to the page and whose steps wait for a
//! viewer instead of a key.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use meshy_experiment::scenario::{Scenario, Settings, Step, shipped};
use meshy_page::control::{self, Progress, Short};
use meshy_page::{Hub, State};
use tokio::sync::{mpsc, watch};

use super::super::experiment::Ends;
use super::super::run;
use crate::context::Context;
use crate::recording::Recording;
use crate::run_cluster::{Choice, RunCluster};
use crate::runner::{self, Graph, Plan};

/// How long a run may take, with the pauses of a talk.
const LENGTH: Duration = Duration::from_secs(12 * 3600);

/// Events that may wait for the hub, which takes them at once.
const WAITING: usize = 100_000;

/// A run that a viewer has requested.
pub(super) struct Order {
    args: run::Args,
    plan: Plan,
    stop: watch::Receiver<bool>,
    next: mpsc::Receiver<()>,
}

/// What happens to a run.
pub(super) enum News {
    /// A step waits for the viewer.
    Waits(usize),
    /// The run has ended, and everything is restored. Whether it ended before its last step, or the error that ended it.
    Ended(anyhow::Result<bool>),
}

/// The scenario that runs.
pub(super) struct Running {
    name: String,
    /// Whether it runs in its own namespaces.
    is_topology: bool,
    has_variants: bool,
    stop: watch::Sender<bool>,
    next: mpsc::Sender<()>,
}

impl Running {
    /// Reads a scenario of the list, with everything that it names.
    ///
    /// # Errors
    /// It is not valid.
    pub(super) fn read(known: &control::Scenario, short: bool) -> anyhow::Result<(Self, Order, Progress)> {
        let command =
            known.short.as_ref().filter(|_| short).map_or(&known.command, |short| &short.command).clone();
        let args = run::Args {
            scenario: Some(known.name.clone()),
            pause: true,
            fast: short,
            on_lab: short,
            ..run::Args::default()
        };
        let plan = args.read()?;
        let (stop, stopped) = watch::channel(false);
        let (next, waits) = mpsc::channel(1);
        let running = Self {
            name: plan.scenario.metadata.name.value.clone(),
            is_topology: matches!(plan.graph, Graph::Topology(_)),
            has_variants: !plan.scenario.variants.is_empty(),
            stop,
            next,
        };
        let progress = progress(&known.name, &plan.scenario, command);
        Ok((running, Order { args, plan, stop: stopped, next: waits }, progress))
    }

    /// Starts the step that waits.
    ///
    /// # Errors
    /// The run is about to end.
    pub(super) fn next(&self) -> anyhow::Result<()> {
        self.next.try_send(()).context("the scenario is about to end")
    }

    /// Asks the run to end.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns the namespace whose services are called; none of several.
    pub(super) fn shown(&self) -> String {
        if self.has_variants { String::new() } else { self.namespace(None) }
    }

    /// Returns the namespace of a variant.
    pub(super) fn namespace(&self, variant: Option<&str>) -> String {
        match (self.is_topology, variant) {
            (false, _) => "default".to_owned(),
            (true, None) => self.name.clone(),
            (true, Some(variant)) => format!("{}-{variant}", self.name),
        }
    }
}

/// Returns the scenarios and lessons that ship with the program; `flags` name the lab.
///
/// # Errors
/// One of them is not valid.
pub(super) fn list(flags: &str) -> anyhow::Result<Vec<control::Scenario>> {
    let mut found = Vec::new();
    for one in shipped::shipped() {
        let read = |fast| one.parse(&Settings { fast, ..Settings::default() });
        let (scenario, short) = (read(false)?, read(true)?);
        let seconds = |scenario: &Scenario| scenario.duration().0.as_secs_f64();
        let command = command(&one.name, flags, false);
        let has_short = seconds(&short) < seconds(&scenario);
        found.push(control::Scenario {
            title: runner::title(&scenario),
            seconds: seconds(&scenario),
            command,
            short: has_short
                .then(|| Short { seconds: seconds(&short), command: self::command(&one.name, flags, true) }),
            name: one.name,
        });
    }
    Ok(found)
}

fn command(name: &str, flags: &str, short: bool) -> String {
    let short = if short { " --fast --on-lab" } else { "" };
    format!("meshy run {name} --pause{short}{flags}")
}

/// Carries out the requested runs, one at a time, until the page ends.
pub(super) async fn serve(
    (context, hub): (&Context, &Arc<Hub>),
    interrupted: watch::Receiver<bool>,
    mut orders: mpsc::Receiver<Order>,
    news: mpsc::UnboundedSender<News>,
) {
    while let Some(order) = orders.recv().await {
        let ended = one((context, hub), interrupted.clone(), order, &news).await;
        // Without a page no one waits for it.
        let _ = news.send(News::Ended(ended));
    }
}

async fn one(
    (context, hub): (&Context, &Arc<Hub>),
    interrupted: watch::Receiver<bool>,
    order: Order,
    news: &mpsc::UnboundedSender<News>,
) -> anyhow::Result<bool> {
    let Order { args, plan, stop, mut next } = order;
    let context = context.begun_now("run", LENGTH);
    let run_cluster = RunCluster::find(&context, Choice::Deployed).await?;
    let recording = Recording::open(&context.report)?;
    recording.view.explain(plan.scenario.conditions());
    let events = recording.events.subscribe(WAITING);
    let ends = Ends::asked(interrupted, stop);
    let run = async move {
        let before = async |number: usize, _: &Step| {
            recording.view.show();
            // Without a page the run is about to be stopped.
            let _ = news.send(News::Waits(number));
            next.recv().await.context("the page has ended")
        };
        let finished =
            run::perform(&context, (&args, &plan), run_cluster, (&recording, &ends), before).await?;
        recording.written()?;
        // The recording ends here, and with it its events.
        Ok(finished.interrupted)
    };
    tokio::join!(hub.follow(events), run).1
}

/// Notes what happens to the scenario.
pub(super) fn update(state: &mut State, news: &News) {
    let Some(run) = &mut state.run else { return };
    match news {
        News::Waits(number) => (run.current, run.waiting) = (*number, true),
        News::Ended(ended) => {
            (run.waiting, run.over) = (false, true);
            match ended {
                Ok(false) => run.current = run.steps.len(),
                Ok(true) => {}
                Err(error) => state.error = Some(format!("{error:#}")),
            }
        }
    }
}

/// Returns the progress of a scenario that is about to begin.
fn progress(name: &str, scenario: &Scenario, command: String) -> Progress {
    let step = |step: &Step| control::Step {
        name: step.name.value.clone(),
        title: step.title.clone().unwrap_or_else(|| step.name.value.clone()),
        text: step.text.clone(),
        question: step.question.clone(),
        note: step.note.clone(),
        why: step.why.clone(),
        seconds: step.duration().0.as_secs_f64(),
    };
    Progress {
        name: name.to_owned(),
        title: runner::title(scenario),
        steps: scenario.steps.iter().map(step).collect(),
        current: 0,
        waiting: false,
        over: false,
        command,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn every_shipped_scenario_can_be_chosen_with_its_command() {
        let found = list(" --name x").unwrap();
        assert_eq!(found.len(), shipped::shipped().len());
        for one in &found {
            assert!(!one.title.is_empty() && one.seconds > 0.0, "{one:?}");
            assert_eq!(one.command, format!("meshy run {} --pause --name x", one.name));
        }
        assert!(found.iter().any(|one| one.short.is_some()));
    }

    #[test]
    fn the_state_follows_the_run() {
        let scenario = shipped::find("retries").unwrap().parse(&Settings::default()).unwrap();
        let run = Some(progress("retries", &scenario, String::new()));
        let mut state = State { run, ..State::default() };
        let place = |state: &State| {
            let run = state.run.as_ref().unwrap();
            (run.current, run.waiting, run.over)
        };
        update(&mut state, &News::Waits(1));
        assert_eq!(place(&state), (1, true, false));
        let mut failed = state.clone();
        update(&mut failed, &News::Ended(Err(anyhow!("no pod"))));
        assert_eq!((place(&failed), failed.error.as_deref()), ((1, false, true), Some("no pod")));
        update(&mut state, &News::Ended(Ok(false)));
        assert_eq!((place(&state), state.error), ((scenario.steps.len(), false, true), None));
    }
}
