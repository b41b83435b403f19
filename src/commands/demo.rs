//! `meshy demo`: the whole story in one run.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use console::{Term, style};

use super::experiment::{self, Ends};
use super::gate::{self, Gate};
use crate::args::ProviderChoice;
use crate::context::Context;
use crate::demo::stage::Stage;
use crate::demo::{self, Pace, SCENES, Scene};
use crate::expect::Judged;
use crate::live::Live;
use crate::measure::Step;
use crate::measure::View as _;
use crate::runs::{Run, Verdict};
use crate::summary::{self, WIDTH, wrapped};
use crate::ui::hush::Hush;
use meshy_base::error::{Advise as _, Exit};
use meshy_base::limit;
use meshy_lab::cluster::Spec;
use meshy_lab::up::UpSpec;
use meshy_policy::policy::{Session, Stopped};

/// How long the demo takes at most as it was asked to: on a real Linkerd some minutes pass until all clients follow.
pub(crate) const LENGTH: Duration = Duration::from_secs(600);

/// How to tell it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy demo\n  meshy demo --fast\n  meshy demo --present")]
pub struct Args {
    /// Twenty seconds on a separate cluster, with seeded failures: the same each time
    #[arg(long, conflicts_with = "keep")]
    fast: bool,
    /// Step by step on a key, large and sparse, with what to say
    #[arg(long)]
    present: bool,
    /// Keep the embedded lab that the demo brings up
    #[arg(long)]
    keep: bool,
    /// With --fast: on the lab that is up, which is restored afterwards
    #[arg(long, requires = "fast")]
    on_lab: bool,
    /// Take over policy fields that other tools hold; they get them back at the end
    #[arg(long)]
    force: bool,
    /// Only restore the policies and faults that a killed demo or sweep left on the lab
    #[arg(long, conflicts_with_all = ["fast", "present", "keep", "like_linkerd", "on_lab", "force"])]
    restore: bool,
    /// On the embedded cluster that the demo brings up: a new profile is unseen by a client until its discovery was idle
    /// for 5 s, as on a real Linkerd
    #[arg(long, env = "MESHY_LIKE_LINKERD", hide_env = true)]
    like_linkerd: bool,
    #[command(flatten)]
    gate: Gate,
}

/// Runs the demo.
///
/// # Errors
/// The stage cannot be set, or the cluster fails on the way; policies or faults of before cannot be restored.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.restore {
        return experiment::restore_left(context).await;
    }
    if context.dry_run {
        SCENES
            .iter()
            .for_each(|scene| context.report.say(format!("would play `{}`: {}", scene.name, scene.says)));
        return Ok(Exit::Done);
    }
    if args.keep && context.lab()?.is_none() {
        bring_up(context, args.like_linkerd).await?;
    }
    let fresh = args.fast && !args.on_lab;
    let stage = Stage::open(context, fresh, args.like_linkerd).await?;
    let next = next(&stage);
    let mut run = Run::begin("demo", &stage.lab, stage.provider);
    if args.present {
        // The speaker decides when it is over.
        limit::lift();
    }
    let ends = Ends::listen(context)?;
    let played = async |stage: &Stage, session: &mut Session| {
        run.note_versions(&stage.client).await?;
        let played = play(context, &args, (stage, session), &ends, &mut run.steps).await;
        // What was measured until then is shown and recorded.
        if ends.ended() && played.as_ref().is_err_and(|error| error.is::<Stopped>()) {
            Ok(())
        } else {
            played
        }
    };
    experiment::on(context, stage, ("demo", args.force), &ends, played).await?;
    conclude(context, &args, run, &ends, &next)
}

/// `meshy up --provider embedded` with this run's own global flags.
async fn bring_up(context: &Context, like_linkerd: bool) -> anyhow::Result<()> {
    let context = context.with_provider(ProviderChoice::Embedded);
    let cluster = Spec { like_linkerd, ..Spec::default() };
    super::up::bring_up(&context, UpSpec { cluster, ..UpSpec::default() }).await?;
    Ok(())
}

/// Plays the scenes until the last one or until the run is ended.
async fn play(
    context: &Context,
    args: &Args,
    (stage, session): (&Stage, &mut Session),
    ends: &Ends,
    steps: &mut Vec<Step>,
) -> anyhow::Result<()> {
    let pace = if args.fast { Pace::FAST } else { Pace::FULL };
    demo::begin(session).await?;
    if !stage.at_once {
        let step = context.report.step("Warming", "the clients' proxies, so that later switches act at once");
        demo::warm_up(stage, session, context.deadline).await?;
        step.done("");
    }
    let hush = args.present.then(Hush::begin);
    let begun = std::time::Instant::now();
    for (number, scene) in SCENES.iter().enumerate() {
        session.wait(introduce(context, hush.as_ref(), number, scene)).await?;
        let live = Live::new(&context.report, pace.rate);
        if scene.profile != number.checked_sub(1).is_some_and(|before| SCENES[before].profile) {
            live.mark(if scene.profile { "profile on" } else { "profile off" });
        }
        let at = begun.elapsed().as_secs_f64();
        demo::set(stage, session, scene, pace, context.deadline).await?;
        let mut step = demo::play(stage, scene, pace, ends.stop(), &live).await?;
        live.end();
        step.begun_seconds = at;
        let interrupted = step.traffic.interrupted;
        // With the profile on the point is that the service fails as before: both views.
        let text = if scene.profile { 2 } else { 1 };
        for sentence in summary::explain(&step).iter().take(text) {
            wrapped(sentence, WIDTH).iter().for_each(|line| context.report.say(line));
        }
        steps.push(step);
        if interrupted {
            break;
        }
    }
    Ok(())
}

/// Judges, records and prints what was measured.
fn conclude(context: &Context, args: &Args, mut run: Run, ends: &Ends, next: &str) -> anyhow::Result<Exit> {
    if run.steps.is_empty() && ends.ended() {
        return ends.exit("demo");
    }
    let verdict = demo::verdict(&run.steps);
    run.verdict = Some(verdict.clone());
    run.save_or_warn(&context.report);
    let judged = args.gate.judge(run.steps.last());
    let table = demo::table(&run.steps);
    args.gate.write(
        &format!("meshy demo, {}", run.id),
        &format!("{}\n\n```text\n{table}\n```", verdict.text),
        &judged,
    )?;
    context.report.say("");
    context.data(&run, |_| {
        let mut text = format!("{}\n\n{}\n", table, wrapped(&verdict.text, WIDTH).join("\n"));
        judged.iter().for_each(|one| text.push_str(&format!("{}\n", summary::of_judged(one))));
        text
    })?;
    if ends.ended() && run.steps.len() < SCENES.len()
        || run.steps.last().is_some_and(|s| s.traffic.interrupted)
    {
        return ends.exit("demo");
    }
    context.report.say(format!("\nnext:\n{next}"));
    exit(&verdict, &judged)
}

/// How a demo ends that was not ended early.
fn exit(verdict: &Verdict, judged: &[Judged]) -> anyhow::Result<Exit> {
    match (verdict.holds, gate::exit(judged)) {
        (true, exit) => exit,
        (false, Ok(_)) => Err(anyhow!("the demo failed: {}", verdict.text)).exit(Exit::Expectation),
        (false, Err(error)) => {
            Err(error.context(format!("the demo failed: {}", verdict.text))).exit(Exit::Expectation)
        }
    }
}

fn next(stage: &Stage) -> String {
    let mut lines = vec![
        ("meshy explain", "the same in sentences"),
        ("meshy report", "one HTML file with the curves"),
        ("meshy predict --rps 20", "what the same budget does at more traffic"),
    ];
    match stage.stand_in {
        true => {
            lines.push(("meshy up --provider kind", "the same lab with a real Linkerd; then `meshy demo`"))
        }
        false => lines.push(("meshy down", "takes the lab away")),
    }
    lines.iter().map(|(command, what)| format!("  {command:<26}{what}\n")).collect()
}

/// A scene's heading. In a talk, for which the terminal is hushed, it fills the screen and waits for a key.
async fn introduce(
    context: &Context,
    talk: Option<&Hush>,
    number: usize,
    scene: &Scene,
) -> anyhow::Result<()> {
    let title = format!("{} of {}   {}", number + 1, SCENES.len(), scene.name);
    let Some(hush) = talk else {
        let says = wrapped(scene.says, WIDTH).join("\n");
        context.report.say(format!("\n{}\n{says}", style(title).bold()));
        return Ok(());
    };
    let term = Term::stderr();
    let pad = "    ";
    // What the scene before showed stays until the speaker goes on.
    if number > 0 {
        key(context, &term, hush).await?;
    }
    term.clear_screen()?;
    context.report.say(format!("\n\n{pad}{}\n", style(title.to_uppercase()).bold()));
    for line in wrapped(scene.says, 60) {
        context.report.say(format!("{pad}{line}\n"));
    }
    for line in wrapped(scene.note, 66) {
        context.report.say(format!("{pad}{}", style(line).dim()));
    }
    key(context, &term, hush).await
}

async fn key(context: &Context, term: &Term, hush: &Hush) -> anyhow::Result<()> {
    context.report.say(format!("\n    {}\n", style("[any key]").dim()));
    if term.is_term() {
        // Only a key that is pressed from now on.
        hush.forget();
        let term = term.clone();
        // A separate thread: the cluster in this process goes on while the speaker speaks.
        let key = tokio::task::spawn_blocking(move || term.read_key()).await?;
        match key {
            // Ctrl-C is a key here; the signal that the terminal makes of it then ends the wait for this.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => std::future::pending().await,
            key => drop(key.context("cannot read the keyboard")?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::error::render;
    use meshy_base::error::exit_of;

    #[test]
    fn a_demo_that_failed_is_an_error_with_the_expectations_that_failed_too() {
        let verdict = |holds| Verdict { holds, text: "The story did not come true.".to_owned() };
        let (condition, measured) = ("success>=99%".to_owned(), "30.00 %".to_owned());
        let failed = [Judged { condition, measured, holds: false }];
        assert_eq!(exit(&verdict(true), &[]).unwrap(), Exit::Done);
        let expectation = "1 of 1 expectation failed: success>=99% (measured 30.00 %)";
        for (holds, judged, lines) in [
            (true, &failed[..], vec![format!("error: {expectation}")]),
            (false, &[][..], vec!["error: the demo failed: The story did not come true.".to_owned()]),
            (
                false,
                &failed[..],
                vec![
                    "error: the demo failed: The story did not come true.".to_owned(),
                    format!("  cause: {expectation}"),
                ],
            ),
        ] {
            let error = exit(&verdict(holds), judged).unwrap_err();
            assert_eq!(exit_of(&error), Exit::Expectation);
            let text = render(&error);
            assert_eq!(console::strip_ansi_codes(&text).lines().collect::<Vec<_>>(), lines);
        }
    }
}
