//! What `meshy run` prints and writes: headings, the result, files for pipelines.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use meshy_base::error::{Advise as _, Exit};
use meshy_base::{Report, activity};
use meshy_experiment::chart::{self, Chart, TextOptions};
use meshy_experiment::event::ConditionResult;
use meshy_experiment::gate::Gate;
use meshy_experiment::scenario::{self, Scenario};
use meshy_topology::capacity_limit;
use serde::Serialize;

use super::Args;
use crate::context::Context;
use crate::recording::Recording;
use crate::run_cluster::RunCluster;
use crate::runner::{self, Finished, Graph, Plan};
use crate::runs::Run;
use crate::steps::Step;
use crate::summary::{self, WIDTH, wrapped};
use crate::ui::no_echo::NoEcho;
use crate::ui::{self, Screen};

/// What `-o json` prints.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::commands) struct Document<'a> {
    #[serde(flatten)]
    run: &'a Run,
    /// The file with all events.
    events: &'a Path,
    /// Whether it ended before its last step.
    interrupted: bool,
    /// The conditions, in order.
    expectations: &'a [ConditionResult],
}

/// A longer run shows its length first.
const LONG: Duration = Duration::from_secs(30);

/// Checks that the files of the result can be written, before anything is started.
///
/// # Errors
/// There is no such folder, or the file is a folder.
pub(super) fn check_files(args: &Args) -> anyhow::Result<()> {
    for file in [&args.junit, &args.summary, &args.svg].into_iter().flatten() {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(anyhow!("cannot write {}: there is no folder {}", file.display(), folder.display()))
                .exit(Exit::Usage);
        }
        if file.is_dir() {
            return Err(anyhow!("cannot write {}: it is a folder", file.display())).exit(Exit::Usage);
        }
    }
    Ok(())
}

/// Returns a warning for each step whose load is above what the topology can serve.
pub(super) fn overloads(plan: &Plan) -> Vec<String> {
    let Graph::Topology(topology) = &plan.graph else { return Vec::new() };
    // With several entry points the share of each is not known.
    let limit = capacity_limit(topology).filter(|_| topology.entrypoints().count() == 1);
    let Some(limit) = limit else { return Vec::new() };
    let loads = plan.scenario.steps.iter().filter_map(|step| Some((&step.name.value, step.load.as_ref()?)));
    let above = loads.filter(|(_, load)| load.rate.value.0 > limit.requests_per_second);
    let warning = |(step, load): (&String, &scenario::Load)| {
        format!("step `{step}` sends {}/s, above {limit}", load.rate.value.0)
    };
    above.map(warning).collect()
}

/// Returns how long a scenario takes, for a long one.
pub(super) fn length(scenario: &Scenario) -> Option<String> {
    let length = scenario.duration();
    let steps = scenario.steps.len();
    let steps = format!("{steps} step{}", if steps == 1 { "" } else { "s" });
    let variants = match scenario.variants.len() {
        0 | 1 => String::new(),
        many => format!(", {many} variants at the same time"),
    };
    (length.0 >= LONG)
        .then(|| format!("`{}` takes {length}: {steps}{variants}", scenario.metadata.name.value))
}

/// Says what would run, with the notes for a speaker.
pub(super) fn plan(report: &Report, scenario: &Scenario) {
    for step in &scenario.steps {
        report.say(format!("would run step `{}` for {}", step.name.value, step.duration()));
        if let Some(note) = &step.note {
            wrapped(&format!("note: {note}"), WIDTH - 2)
                .iter()
                .for_each(|line| report.say(format!("  {line}")));
        }
    }
}

/// A step's heading. In a talk it fills the screen; with a hushed terminal it waits for a key.
pub(super) async fn heading(
    context: &Context,
    (present, no_echo): (bool, Option<&NoEcho>),
    (number, count): (usize, usize),
    step: &scenario::Step,
) -> anyhow::Result<()> {
    let title = step.title.as_deref().unwrap_or(&step.name.value);
    let title = format!("{} of {count}   {title}", number + 1);
    let screen = Screen::stderr();
    let pad = if present { "    " } else { "" };
    if let Some(no_echo) = no_echo.filter(|_| present && number > 0) {
        // What the step before showed stays until the speaker goes on.
        key(context, &screen, no_echo).await?;
    }
    if present {
        screen.clear()?;
        context.report.say("\n");
    }
    context.report.say(format!("\n{pad}{}", ui::bold(&title)));
    for text in [&step.text, &step.question].into_iter().flatten() {
        let width = if present { 60 } else { WIDTH };
        wrapped(text, width).iter().for_each(|line| context.report.say(format!("{pad}{line}")));
    }
    match no_echo {
        Some(no_echo) => key(context, &screen, no_echo).await,
        None => Ok(()),
    }
}

/// How many lines [`key`] writes below the text: the prompt, and an empty line after it.
const PROMPT_LINES: usize = 2;

async fn key(context: &Context, screen: &Screen, no_echo: &NoEcho) -> anyhow::Result<()> {
    // Only a key that is pressed from now on, and each of these.
    no_echo.discard_keys();
    context.report.say(format!("\n    {}\n", ui::dim("[any key]")));
    if screen.is_terminal() {
        let keyboard = screen.clone();
        let _waiting = activity::begin(activity::Kind::Work, "waiting for a key");
        // A separate thread: the cluster in this process goes on while the speaker speaks.
        let key = tokio::task::spawn_blocking(move || keyboard.wait_for_key()).await?;
        match key {
            // Ctrl-C is a key here; the signal that the terminal makes of it then ends the wait for this.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => std::future::pending().await,
            key => key.context("cannot read the keyboard")?,
        }
        // What is on the screen while the step runs is for the audience: nothing is to be pressed.
        screen.clear_last_lines(PROMPT_LINES)?;
    }
    Ok(())
}

/// What a pipeline reports.
pub(super) fn gate(plan: &Plan, finished: &Finished) -> Gate {
    Gate {
        name: plan.scenario.metadata.name.value.clone(),
        title: runner::title(&plan.scenario),
        duration: finished.took,
        condition_results: finished.condition_results.clone(),
    }
}

/// Prints and writes the results.
pub(super) fn conclude(
    context: &Context,
    args: &Args,
    plan: &Plan,
    finished: &Finished,
    recording: &Recording,
) -> anyhow::Result<()> {
    let gate = gate(plan, finished);
    if let Some(file) = &args.junit {
        write(file, &gate.junit())?;
    }
    if let Some(file) = &args.summary {
        let _writing = activity::writing(file);
        let open = std::fs::OpenOptions::new().create(true).append(true).open(file);
        open.and_then(|mut out| out.write_all(gate.summary(&recording.events.results()).as_bytes()))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let events = recording.view.run();
    if let Some(file) = &args.svg {
        for variant in events.variants() {
            let file = match &variant {
                Some(variant) => file.with_extension(format!("{variant}.svg")),
                None => file.clone(),
            };
            write(&file, &chart::svg(&Chart::new(&events, variant.as_deref())))?;
        }
    }
    let document = Document {
        run: &recording.run(),
        events: &recording.file,
        interrupted: finished.interrupted,
        expectations: &finished.condition_results,
    };
    context.report.say("");
    context.data(&document, |document| text(plan, &events, document.run, &finished.condition_results))
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let _writing = activity::writing(file);
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The result for people: a chart per variant, the steps, the outcomes with the retries on, the verdict.
fn text(
    plan: &Plan,
    events: &meshy_experiment::run::Run,
    run: &Run,
    condition_results: &[ConditionResult],
) -> String {
    let options = TextOptions { width: 80, height: 12, colour: ui::has_colors(), ascii: false };
    let mut text = String::new();
    for variant in events.variants() {
        // The chart has the title of the scenario.
        if let Some(variant) = &variant {
            text.push_str(&format!("{variant}\n"));
        }
        text.push_str(&chart::text(&Chart::new(events, variant.as_deref()), options));
        text.push('\n');
    }
    text.push_str(&summary::of_steps(&run.steps));
    let storms = summary::of_storms(&run.steps);
    if !storms.is_empty() {
        text.push_str(&format!("\n\n{storms}"));
    }
    let retried = |step: &&Step| step.mesh.as_ref().is_some_and(|mesh| mesh.clients.retries() > 0);
    if let Some((step, mesh)) = run
        .steps
        .iter()
        .find(retried)
        .and_then(|step| Some((step, step.mesh.as_ref()?)))
        .filter(|_| plan.scenario.variants.is_empty())
    {
        text.push_str(&format!(
            "\n\nStep `{}`:\n{}\n",
            step.name,
            summary::of_counted_outcomes(&mesh.outcomes)
        ));
    }
    for step in &run.steps {
        let Some(class) = &step.predicted_class else { continue };
        let attempts = step.predicted_attempts_per_request;
        let attempts =
            attempts.map(|of| format!(", {:.1} attempts per request", of.mean)).unwrap_or_default();
        text.push_str(&format!("\npredicted for `{}`: {class}{attempts}", step.name));
    }
    for condition_result in condition_results {
        text.push_str(&format!("\n{condition_result}"));
    }
    let met = run.verdict.as_ref().is_some_and(|verdict| verdict.holds);
    if let Some(conclusion) = plan.scenario.metadata.conclusion.as_ref().filter(|_| met) {
        let results = events.results();
        let filled = meshy_experiment::condition::filled(conclusion, &results);
        text.push_str(&format!("\n\n{}", wrapped(&filled, WIDTH).join("\n")));
    }
    text.push('\n');
    text
}

/// The commands that a user may run next.
pub(super) fn next(run_cluster: &RunCluster) -> String {
    let mut lines = vec![
        ("meshy explain", "the same in sentences"),
        ("meshy report", "one HTML file with the charts"),
        ("meshy run --list", "the other scenarios"),
        ("meshy predict --rate 20", "what the same budget does at more load"),
    ];
    match run_cluster.is_embedded {
        true => lines.push(("meshy up --provider kind", "a lab with a real Linkerd; then the same command")),
        false => lines.push(("meshy down", "deletes the lab")),
    }
    lines.iter().map(|(command, what)| format!("  {command:<26}{what}\n")).collect()
}
