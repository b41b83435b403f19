//! `meshy run`: a scenario, step by step.

pub(super) mod plan;
pub(super) mod show;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use meshy_base::error::{Advise as _, Exit};
use meshy_base::limit;
use meshy_experiment::scenario::{Settings, Step, shipped};
use serde::Serialize;

use super::experiment::{self, Ends};
use super::predict::positive;
use crate::args::ProviderChoice;
use crate::context::Context;
use crate::recording::Recording;
use crate::run_cluster::{Choice, RunCluster};
use crate::runner::{self, Finished, Graph, Plan};
use crate::ui::Table;
use crate::ui::no_echo::NoEcho;
use meshy_lab::cluster::Spec;
use meshy_lab::up::UpSpec;
use meshy_policy::policy::Session;

/// The flags of `meshy run`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:\n  meshy run --list\n  meshy run retries --fast\n  \
                        meshy run storm --set trigger=slow=3x:30s\n  meshy run ./my-scenario.yaml --junit result.xml")]
pub struct Args {
    /// A scenario that ships with meshy, or a file
    #[arg(value_name = "SCENARIO", required_unless_present_any = ["list", "restore"])]
    pub(super) scenario: Option<String>,
    /// List the scenarios that ship with meshy
    #[arg(long, conflicts_with = "scenario")]
    pub(super) list: bool,
    /// Only restore the policies and faults that a killed run changed
    #[arg(long, conflicts_with_all = ["scenario", "list"])]
    pub(super) restore: bool,
    /// Run the short form of the scenario, on a new embedded cluster
    #[arg(long)]
    pub(super) fast: bool,
    /// With --fast: run on the existing lab, and restore its policies and faults at the end
    #[arg(long, requires = "fast", conflicts_with = "fresh")]
    pub(super) on_lab: bool,
    /// Run on a new embedded cluster although a lab is up
    #[arg(long, conflicts_with = "keep")]
    pub(super) fresh: bool,
    /// Keep the namespaces of the run. Without a lab, first create an embedded lab and keep it (not with --fast)
    #[arg(long)]
    pub(super) keep: bool,
    /// Run only this step
    #[arg(long, value_name = "STEP")]
    pub(super) only: Option<String>,
    /// Start at this step
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    pub(super) start_at: Option<String>,
    /// Set a parameter of the scenario; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub(super) set: Vec<(String, String)>,
    /// Name the run, so that `report before after` finds it; may be repeated
    #[arg(long = "tag", value_name = "NAME", value_parser = crate::runs::tag)]
    pub(super) tags: Vec<String>,
    /// More conditions that must be met, else exit code 5 (docs/scenarios.md); may be repeated
    #[arg(long, value_name = "CONDITIONS")]
    pub(super) expect: Vec<String>,
    /// The namespace of a scenario without a topology
    #[arg(long, short, value_name = "NAMESPACE")]
    pub(super) namespace: Option<String>,
    /// Wait for a key before each step
    #[arg(long)]
    pub(super) pause: bool,
    /// As --pause, with each step on an empty screen
    #[arg(long)]
    pub(super) present: bool,
    /// Take over policy fields that other tools own, and give them back at the end
    #[arg(long)]
    pub(super) force: bool,
    /// Allow faults and storms on a cluster that meshy did not create
    #[arg(long)]
    pub(super) allow_storm: bool,
    /// Stop if all edges together have more attempts per second (docs/scenarios.md)
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    pub(super) max_attempts: Option<f64>,
    /// On a new embedded cluster: clients use a new profile only after 5 s without requests, as on a real Linkerd
    #[arg(long, env = "MESHY_LIKE_LINKERD", hide_env = true)]
    pub(super) like_linkerd: bool,
    /// Write the expectations as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Append the result to a file, as Markdown
    #[arg(long, env = "GITHUB_STEP_SUMMARY", hide_env = true, value_name = "FILE")]
    pub(super) summary: Option<PathBuf>,
    /// Write the chart as SVG; one file per variant
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
    /// The scenario, once it is read.
    #[arg(skip)]
    pub(super) read: OnceCell<Box<Plan>>,
}

/// A row of `--list`.
#[derive(Serialize)]
struct Row {
    name: String,
    title: String,
    seconds: f64,
}

impl Args {
    /// Returns how long the load takes at most by the scenario's file; 0 where it cannot be read.
    pub(crate) fn planned(&self) -> Duration {
        // Errors are reported when the command runs.
        let Ok(plan) = self.read() else { return Duration::ZERO };
        self.read.get_or_init(|| Box::new(plan)).scenario.duration().0
    }

    /// Where the scenario runs.
    fn choice(&self, context: &Context, graph: &Graph) -> anyhow::Result<Choice> {
        let own = Choice::Own { like_linkerd: self.like_linkerd };
        let is_deployed = matches!(graph, Graph::Deployed(_));
        if is_deployed && self.fresh {
            return Err(anyhow!("a new cluster does not have the services of a scenario without a topology"))
                .hint("without `--fresh` the scenario runs on the lab or on the cluster of `--context`")
                .exit(Exit::Usage);
        }
        if !is_deployed && (self.fresh || self.fast && !self.on_lab && context.context.is_none()) {
            return Ok(own);
        }
        match RunCluster::lab_else_own(context, self.like_linkerd)? {
            Choice::Own { .. } if is_deployed => Ok(Choice::Deployed),
            choice => Ok(choice),
        }
    }
}

/// Runs a scenario.
///
/// # Errors
/// Returns an error if the scenario is not valid, which is found before anything is started, or if the run fails.
pub(crate) async fn run(context: &Context, mut args: Args) -> anyhow::Result<Exit> {
    if args.list {
        return list(context);
    }
    if args.restore {
        return experiment::restore_left(context).await;
    }
    let plan = match args.read.take() {
        Some(plan) => *plan,
        None => args.read().exit(Exit::Usage)?,
    };
    show::check_files(&args)?;
    show::overloads(&plan).into_iter().for_each(|warning| context.report.warn(warning));
    if context.dry_run {
        show::plan(&context.report, &plan.scenario);
        return Ok(Exit::Done);
    }
    if args.keep && !args.fast && context.context.is_none() && context.lab()?.is_none() {
        let context = context.with_provider(ProviderChoice::Embedded);
        let cluster = Spec { like_linkerd: args.like_linkerd, ..Spec::default() };
        super::up::bring_up(&context, UpSpec { cluster, ..UpSpec::default() }).await?;
    }
    if args.pause || args.present {
        // The speaker decides when it is over.
        limit::lift();
    }
    if let Some(length) = show::length(&plan.scenario) {
        context.report.say(length);
    }
    let run_cluster = RunCluster::find(context, args.choice(context, &plan.graph)?).await?;
    let recording = Recording::open(&context.report)?;
    recording.view.explain(plan.scenario.conditions());
    let ends = Ends::listen(context)?;
    let no_echo = (args.pause || args.present).then(NoEcho::begin);
    let steps = plan.scenario.steps.len();
    let next = show::next(&run_cluster);
    let heading = async |number: usize, step: &Step| {
        recording.view.show();
        show::heading(context, (args.present, no_echo.as_ref()), (number, steps), step).await
    };
    let finished = perform(context, (&args, &plan), run_cluster, (&recording, &ends), heading).await;
    drop(no_echo);
    let finished = finished?;
    show::conclude(context, &args, &plan, &finished, &recording)?;
    if finished.interrupted {
        return ends.exit(&context.command);
    }
    context.report.say(format!("\nnext:\n{next}"));
    match show::gate(&plan, &finished).failure() {
        None => recording.written().map(|()| Exit::Done),
        Some(failure) => Err(anyhow!("{failure}")).exit(Exit::Expectation),
    }
}

/// Runs a scenario on a cluster, records it, and restores what it changed. `before` is called before each step with its number, for
/// texts and pauses.
///
/// # Errors
/// Those of [`runner::run`]; something cannot be restored.
pub(super) async fn perform(
    context: &Context,
    (args, plan): (&Args, &Plan),
    run_cluster: RunCluster,
    (recording, ends): (&Recording, &Ends),
    mut before: impl AsyncFnMut(usize, &Step) -> anyhow::Result<()>,
) -> anyhow::Result<Finished> {
    let work = async |run_cluster: &RunCluster, session: &mut Session| {
        let events = (&recording.events, recording.id.as_str());
        let ran = runner::run(context, plan, (run_cluster, session), events, ends.stop(), &mut before).await;
        if args.keep {
            session.keep_namespaces();
        }
        ran
    };
    let finished = experiment::on(context, run_cluster, (&context.command, args.force), ends, work).await;
    recording.view.show();
    let finished = finished?;
    // The pods of a topology are gone, unless they are kept.
    let is_there = args.keep || !matches!(plan.graph, Graph::Topology(_));
    if let Some((mesh, window)) = finished.last.as_ref().filter(|_| is_there) {
        recording.counted(mesh, window);
        recording.keep_last_load();
    }
    Ok(finished)
}

fn list(context: &Context) -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    for one in shipped::shipped() {
        let scenario = one.parse(&Settings::default())?;
        let seconds = scenario.duration().0.as_secs_f64();
        rows.push(Row { name: one.name.clone(), title: runner::title(&scenario), seconds });
    }
    context.data(&rows, |rows| {
        let mut table = Table::new(2, &["SCENARIO", "TITLE", "TIME"]);
        for row in rows {
            table.row([row.name.clone(), row.title.clone(), format!("{:.0}s", row.seconds)]);
        }
        table.render()
    })?;
    Ok(Exit::Done)
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("invalid setting `{text}`, expected NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}
