//! `meshy demo`: the whole story in one run.

use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;
use console::{Term, style};

use super::gate::{self, Gate};
use super::traffic::stop_by_ctrl_c;
use crate::cli::{Cli, Command, ProviderChoice};
use crate::context::Context;
use crate::demo::stage::Stage;
use crate::demo::{self, Pace, SCENES, Scene};
use crate::error::Exit;
use crate::limit;
use crate::live::Live;
use crate::runs::Run;
use crate::summary::{self, WIDTH, wrapped};
use crate::ui::hush::Hush;

/// How long the demo takes at most as it was told to: on a real Linkerd some minutes pass until all clients follow.
pub(crate) const LENGTH: Duration = Duration::from_secs(600);

/// How to tell it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy demo\n  meshy demo --fast\n  meshy demo --present")]
pub struct Args {
    /// Twenty seconds on a cluster of its own, with seeded failures: the same each time
    #[arg(long, conflicts_with = "keep")]
    fast: bool,
    /// Step by step on a key, large and sparse, with what to say
    #[arg(long)]
    present: bool,
    /// Keep the embedded lab that the demo brings up
    #[arg(long)]
    keep: bool,
    /// On the embedded cluster that the demo brings up: a new profile is unseen by a client until its discovery was idle
    /// for 5 s, as on a real Linkerd
    #[arg(long, env = "MESHY_LIKE_LINKERD", hide_env = true)]
    like_linkerd: bool,
    #[command(flatten)]
    gate: Gate,
}

/// Tells the story.
///
/// # Errors
/// The stage cannot be set, or the cluster fails on the way.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if context.global.dry_run {
        SCENES
            .iter()
            .for_each(|scene| context.report.say(format!("would play `{}`: {}", scene.name, scene.says)));
        return Ok(Exit::Done);
    }
    if args.keep && context.lab()?.is_none() {
        bring_up(context, args.like_linkerd).await?;
    }
    let stage = Stage::open(context, args.fast, args.like_linkerd).await?;
    if args.present {
        // The speaker decides when it is over.
        limit::lift();
    }
    let told = context.within(tell(context, &args, &stage)).await;
    let closed = stage.close().await;
    let exit = told?;
    closed?;
    Ok(exit)
}

/// `meshy up --provider embedded` with this run's own global flags.
async fn bring_up(context: &Context, like_linkerd: bool) -> anyhow::Result<()> {
    let words = ["meshy", "up"].into_iter().chain(like_linkerd.then_some("--like-linkerd"));
    let Some(Command::Up(up)) = Cli::try_parse_from(words)?.command else { return Ok(()) };
    let mut global = context.global.clone();
    global.provider = ProviderChoice::Embedded;
    let context = Context { global, report: context.report.clone(), deadline: context.deadline };
    super::up::run(&context, up).await?;
    Ok(())
}

async fn tell(context: &Context, args: &Args, stage: &Stage) -> anyhow::Result<Exit> {
    let pace = if args.fast { Pace::FAST } else { Pace::FULL };
    let mut run = Run::begin("demo", &stage.lab, stage.provider);
    run.note_versions(&stage.client).await;
    if !stage.at_once {
        let step = context.report.step("Warming", "the clients' proxies, so that later switches act at once");
        demo::warm_up(stage).await?;
        step.done("");
    }
    let stop = stop_by_ctrl_c();
    let hush = args.present.then(Hush::begin);
    let begun = std::time::Instant::now();
    for (number, scene) in SCENES.iter().enumerate() {
        introduce(context, hush.as_ref(), number, scene).await?;
        let live = Live::new(&context.report, pace.rate);
        if scene.profile != number.checked_sub(1).is_some_and(|before| SCENES[before].profile) {
            live.mark(if scene.profile { "profile on" } else { "profile off" });
        }
        let at = begun.elapsed().as_secs_f64();
        let mut step = demo::play(stage, scene, pace, stop.clone(), &live).await?;
        live.end();
        step.begun_seconds = at;
        let interrupted = step.traffic.interrupted;
        // With the profile on the point is that the service fails as before: both views.
        let told = if scene.profile { 2 } else { 1 };
        for sentence in summary::explain(&step).iter().take(told) {
            wrapped(sentence, WIDTH).iter().for_each(|line| context.report.say(line));
        }
        run.steps.push(step);
        if interrupted {
            break;
        }
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
    context.report.say(format!("\nnext:\n{}", next(stage)));
    Ok(match run.steps.last() {
        Some(step) if step.traffic.interrupted => Exit::Interrupted,
        _ if verdict.holds => gate::exit(&judged),
        _ => Exit::Expectation,
    })
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
        // A thread of its own: the cluster in this process goes on while the speaker speaks.
        let key = tokio::task::spawn_blocking(move || term.read_key()).await?;
        key.context("cannot read the keyboard")?;
    }
    Ok(())
}
