//! `meshy run`: a scenario from a file, step by step.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use meshy_base::bounded::Links;
use meshy_base::error::{Advise as _, Exit};
use meshy_base::{activity, bounded, input, private};
use meshy_experiment::chart::{self, Chart, TextOptions};
use meshy_experiment::condition::Condition;
use meshy_experiment::event::{Event, Judgement, Kind, Recorder, Results};
use meshy_experiment::gate::Gate;
use meshy_experiment::run::Run;
use meshy_experiment::scenario::policies::near_shipped;
use meshy_experiment::scenario::{Scenario, Settings, Step, Via, shipped};
use meshy_topology::Topology;
use serde::Serialize;

use super::experiment::Ends;
use crate::context::Context;
use crate::runner::{self, Finished, Graph, Plan};
use crate::runs;
use crate::summary::{WIDTH, wrapped};
use crate::ui::Table;

/// The flags of `meshy run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy run --list\n  meshy run retries --fast\n  \
                        meshy run storm --set trigger=slow=3x:30s\n  meshy run ./my-scenario.yaml --junit result.xml")]
pub struct Args {
    /// A scenario that ships with meshy, or a file
    #[arg(value_name = "SCENARIO", required_unless_present = "list")]
    scenario: Option<String>,
    /// List the scenarios that ship with meshy
    #[arg(long, conflicts_with = "scenario")]
    list: bool,
    /// Run the short form that the scenario defines
    #[arg(long)]
    fast: bool,
    /// Run only this step
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
    /// Start at this step
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    start_at: Option<String>,
    /// Set a parameter of the scenario; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Check this condition in addition to those of the scenario; may be repeated (docs/scenarios.md)
    #[arg(long, value_name = "CONDITION")]
    expect: Vec<String>,
    /// Show the text of each step and wait for Enter before it
    #[arg(long)]
    pause: bool,
    /// Write the expectations as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Append the result to a file as Markdown
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Write the chart as SVG; one file per variant
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A row of `--list`.
#[derive(Serialize)]
struct Row {
    name: String,
    title: String,
    seconds: f64,
}

#[derive(Serialize)]
struct Document<'a> {
    run: &'a str,
    scenario: &'a str,
    events: &'a Path,
    interrupted: bool,
    expectations: &'a [Judgement],
}

/// Returns a reader of policy files next to a scenario file.
fn near(scenario: &Path) -> impl Fn(&str) -> Option<String> {
    let folder = scenario.parent().unwrap_or(Path::new("")).to_owned();
    move |name| bounded::read_text(&folder.join(name), input::LARGEST, Links::Followed).ok()
}

impl Args {
    /// Returns how long the load takes at most by the scenario's file; 0 where it cannot be read.
    pub(crate) fn planned(&self) -> Duration {
        self.read().map(|read| read.scenario.duration().0).unwrap_or_default()
    }

    fn read(&self) -> anyhow::Result<Plan> {
        let name = self.scenario.as_deref().unwrap_or_default();
        let settings = Settings { set: self.set.clone(), fast: self.fast };
        let path = Path::new(name);
        let is_path = name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml");
        let found = match shipped::find(name) {
            Ok(found) => Some(found),
            Err(_) if is_path => None,
            Err(problem) => return Err(problem.into()),
        };
        let (file, scenario, policies) = match &found {
            None => {
                let text = input::any_text(path).with_context(|| format!("cannot read {name}"))?;
                let scenario = self.selected(Scenario::parse(name, &text, &settings)?)?;
                let policies = scenario.policy_files(name, near(path))?;
                (name.to_owned(), scenario, policies)
            }
            Some(found) => {
                let scenario = self.selected(found.parse(&settings)?)?;
                let policies = scenario.policy_files(found.path, near_shipped(found))?;
                (found.path.to_owned(), scenario, policies)
            }
        };
        let graph = graph(&scenario, &file, found.is_none().then_some(path))?;
        let services: Vec<&str> = match &graph {
            Graph::Overlays(names) => names.iter().map(String::as_str).collect(),
            Graph::Topology(topology) => {
                topology.services.iter().map(|service| service.name.as_str()).collect()
            }
        };
        scenario.check_services(&file, &services)?;
        check_loads(&scenario, &file, &graph)?;
        Ok(Plan {
            scenario,
            policies,
            graph,
            run: jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S-%3f").to_string(),
        })
    }

    fn selected(&self, mut scenario: Scenario) -> anyhow::Result<Scenario> {
        for text in &self.expect {
            text.parse::<Condition>().map_err(|error| anyhow!("invalid condition `{text}`: {error}"))?;
            scenario.expect.push(text.clone().into());
        }
        Ok(match (&self.only, &self.start_at) {
            (Some(step), _) => scenario.only(step)?,
            (None, Some(step)) => scenario.start_at(step)?,
            (None, None) => scenario,
        })
    }
}

/// Reads the topology of a scenario.
fn graph(scenario: &Scenario, file: &str, path: Option<&Path>) -> anyhow::Result<Graph> {
    let Some(topology) = &scenario.topology else {
        return Err(anyhow!("{file} has no topology, and scenarios on deployed services cannot be run yet"))
            .hint("add `topology:`, for example `topology: chain-3`");
    };
    let topology = match topology.name() {
        Some(name) => {
            let near =
                path.and_then(Path::parent).map(|folder| folder.join(name)).filter(|file| file.is_file());
            Topology::load(near.as_deref().and_then(Path::to_str).unwrap_or(name))?
        }
        None => serde_json::from_value(topology.0.clone())
            .with_context(|| format!("invalid topology in {file}"))?,
    };
    Ok(if topology.overlays.is_empty() {
        Graph::Topology(topology)
    } else {
        Graph::Overlays(names(&topology))
    })
}

/// Checks that each load is sent to an entry point from this machine, which is what this version can do.
fn check_loads(scenario: &Scenario, file: &str, graph: &Graph) -> anyhow::Result<()> {
    let is_entry = |service: &str| match graph {
        Graph::Overlays(names) => names.iter().any(|name| name == service),
        Graph::Topology(topology) => topology.entrypoints().any(|entry| entry.name == service),
    };
    for step in &scenario.steps {
        let Some(load) = &step.load else { continue };
        let place = format!("{file}:{}: step `{}`", load.target.line, step.name.value);
        if load.senders.is_some() || load.via == Some(Via::Direct) {
            return Err(anyhow!("{place}: senders in the cluster are not supported yet"))
                .hint("a load without `senders` and with `via: ingress` is sent from this machine");
        }
        if !is_entry(&load.target.value) {
            return Err(anyhow!("{place}: `{}` is not an entry point", load.target.value))
                .hint("a load is sent to a service with `entrypoint: true`");
        }
    }
    Ok(())
}

/// The names of the overlays, which may be written as folders.
fn names(topology: &Topology) -> Vec<String> {
    let name = |overlay: &String| overlay.rsplit('/').next().unwrap_or(overlay).to_owned();
    topology.overlays.iter().map(name).collect()
}

/// Runs a scenario.
///
/// # Errors
/// Returns an error if the scenario is not valid, which is found before anything is started, or if the run fails.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.list {
        return list(context);
    }
    let plan = args.read().exit(Exit::Usage)?;
    if context.dry_run {
        for step in &plan.scenario.steps {
            context.report.say(format!("would run step `{}` for {}", step.name.value, step.duration()));
        }
        return Ok(Exit::Done);
    }
    let folder = runs::folder()?;
    private::ensure_folder(&folder)?;
    let file = folder.join(format!("{}.events.jsonl", plan.run));
    let writer = private::open(&file, rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY)
        .with_context(|| format!("cannot write {}", file.display()))?;
    let recorder = Recorder::new(std::io::BufWriter::new(writer), jiff::Timestamp::now());
    let ends = Ends::listen(context)?;
    let view = recorder.subscribe(256);
    let report = context.report.clone();
    let showing = tokio::spawn(async move {
        while let Some(event) = view.next().await {
            lines(&event).iter().for_each(|line| report.say(line));
        }
    });
    let before = async |step: &Step| present(context, &args, step).await;
    let finished = runner::run(context, &plan, &recorder, ends.stop(), before).await;
    let results = recorder.results();
    drop(recorder);
    showing.await?;
    let finished = finished?;
    conclude(context, &args, &plan, (&finished, &results), &file)?;
    if finished.interrupted {
        return ends.exit("run");
    }
    let gate = gate(&plan, &finished);
    match gate.failure() {
        None => Ok(Exit::Done),
        Some(failure) => Err(anyhow!("{failure}")).exit(Exit::Expectation),
    }
}

fn list(context: &Context) -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    for one in shipped::shipped() {
        let scenario = one.parse(&Settings::default())?;
        let seconds = scenario.duration().0.as_secs_f64();
        rows.push(Row { name: one.name.clone(), title: runner::title(&scenario), seconds });
    }
    context.data(&rows, |rows| {
        let mut table = Table::new(1, &["SCENARIO", "TIME", "TITLE"]);
        for row in rows {
            table.row([row.name.clone(), format!("{:.0}s", row.seconds), row.title.clone()]);
        }
        table.render()
    })?;
    Ok(Exit::Done)
}

/// Shows the text of a step, and waits for Enter with `--pause`.
async fn present(context: &Context, args: &Args, step: &Step) -> anyhow::Result<()> {
    let title = step.title.as_deref().unwrap_or(&step.name.value);
    context.report.say(format!("\n{title}"));
    for text in [&step.text, &step.question].into_iter().flatten() {
        wrapped(text, WIDTH).iter().for_each(|line| context.report.say(format!("  {line}")));
    }
    if args.pause {
        context.report.say("  press Enter to start the step");
        let _waiting = activity::begin(activity::Kind::Work, "waiting for Enter");
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    }
    Ok(())
}

/// The lines that show an event while the run goes on.
fn lines(event: &Event) -> Vec<String> {
    let variant = event.variant.as_deref().map(|variant| format!("{variant}: ")).unwrap_or_default();
    match &event.kind {
        Kind::Tick(tick) if tick.load.requests > 0 => {
            let success = tick.load.succeeded as f64 / tick.load.requests as f64 * 100.0;
            let p99 = tick.latency_now.map_or("-".to_owned(), |now| format!("{:.0} ms", now.p99_ms));
            vec![format!(
                "  {variant}{:>4.0}s  {:>6} requests  success {success:5.1}%  p99 now {p99}",
                tick.at_ms as f64 / 1000.0,
                tick.load.requests,
            )]
        }
        Kind::PolicyChanged(change) => vec![format!("  {variant}policy {}: {}", change.text, change.subject)],
        Kind::FaultChanged(change) => vec![format!("  {variant}{}", change.text)],
        Kind::Note(note) => vec![format!("  {variant}{}", note.text)],
        _ => Vec::new(),
    }
}

fn gate(plan: &Plan, finished: &Finished) -> Gate {
    Gate {
        name: plan.scenario.metadata.name.value.clone(),
        title: runner::title(&plan.scenario),
        duration: finished.took,
        judgements: finished.judgements.clone(),
    }
}

/// Prints and writes the results.
fn conclude(
    context: &Context,
    args: &Args,
    plan: &Plan,
    (finished, results): (&Finished, &Results),
    events: &Path,
) -> anyhow::Result<()> {
    let recorded =
        std::fs::File::open(events).with_context(|| format!("cannot read {}", events.display()))?;
    let run = Run::read(std::io::BufReader::new(recorded))?;
    let gate = gate(plan, finished);
    if let Some(file) = &args.junit {
        std::fs::write(file, gate.junit()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &args.summary {
        let mut open = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
        open.write_all(gate.summary(results).as_bytes())?;
    }
    for variant in run.variants() {
        if let Some(file) = &args.svg {
            let file = match &variant {
                Some(variant) => file.with_extension(format!("{variant}.svg")),
                None => file.clone(),
            };
            let picture = chart::svg(&Chart::new(&run, variant.as_deref()));
            std::fs::write(&file, picture).with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    let document = Document {
        run: &plan.run,
        scenario: &plan.scenario.metadata.name.value,
        events,
        interrupted: finished.interrupted,
        expectations: &finished.judgements,
    };
    context.data(&document, |_| text(plan, &run, results, &finished.judgements))
}

/// The result for people: a chart per variant, the steps, the explanations, the expectations.
fn text(plan: &Plan, run: &Run, results: &Results, judgements: &[Judgement]) -> String {
    let options = TextOptions { width: 80, height: 12, colour: console::colors_enabled(), ascii: false };
    let mut text = String::new();
    for variant in run.variants() {
        let title = variant.clone().unwrap_or_else(|| runner::title(&plan.scenario));
        text.push_str(&format!("{title}\n{}\n", chart::text(&Chart::new(run, variant.as_deref()), options)));
    }
    text.push_str(&table(results));
    for judgement in judgements {
        text.push_str(&format!("\n{judgement}"));
    }
    text
}

fn table(results: &Results) -> String {
    let mut table = Table::new(2, &["VARIANT", "STEP", "REQUESTS", "SUCCESS", "ATTEMPTS/REQ", "P50", "P99"]);
    for variant in results.variants() {
        for step in results.steps() {
            let Some(found) = results.step(variant, step) else { continue };
            let (load, edges) = (&found.totals.load, &found.totals.edges);
            let watched = found.started.watched.as_deref();
            let at_watched = edges.iter().filter(|edge| Some(edge.to.as_str()) == watched);
            let attempts: u64 = at_watched.map(|edge| edge.attempts).sum();
            let quantiles = found.totals.latencies.quantiles();
            let ms = |pick: fn(meshy_experiment::latency::Quantiles) -> f64| {
                quantiles.map_or("-".to_owned(), |all| format!("{:.0}ms", pick(all)))
            };
            let ratio = |part: u64, digits: usize, factor: f64| match load.requests {
                0 => "-".to_owned(),
                all => format!("{:.digits$}", part as f64 / all as f64 * factor),
            };
            table.row([
                variant.unwrap_or("-").to_owned(),
                step.clone(),
                load.requests.to_string(),
                format!("{}%", ratio(load.succeeded, 1, 100.0)),
                if edges.is_empty() { "-".to_owned() } else { ratio(attempts, 2, 1.0) },
                ms(|all| all.p50_ms),
                ms(|all| all.p99_ms),
            ]);
        }
    }
    table.render()
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}
