//! `meshy report`: the page of a recorded run as one HTML file.

pub(super) mod compare;
pub(super) mod list;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::Serialize;

use super::gate::{self, Gate};
use crate::context::Context;
use crate::{report, runs, summary};
use meshy_base::activity;
use meshy_base::error::Exit;
use meshy_experiment::event::ConditionResult;

/// The program that opens a file in the user's browser.
const BROWSER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Which run, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy report\n  meshy report last --out demo.html --expect 'success>=99%'\n  meshy report --list\n  meshy report before after"
)]
pub struct Args {
    /// One run: write its page as one file. Two runs: compare them. A run is its id or first characters, a tag, a file of events, or `last`
    #[arg(value_name = "RUN", default_value = "last", num_args = 0..=2)]
    runs: Vec<String>,
    /// List the recorded runs
    #[arg(long, conflicts_with_all = ["runs", "out"])]
    list: bool,
    /// The file that the page is written to
    #[arg(long, default_value = "meshy-report.html", value_name = "FILE")]
    out: PathBuf,
    /// Open the report in the browser
    #[arg(long, conflicts_with = "list")]
    open: bool,
    #[command(flatten)]
    gate: Gate,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
    run: &'a str,
    file: &'a Path,
    expectations: &'a [ConditionResult],
}

/// Starts the browser, which stays open when this program ends.
fn open(file: &Path) -> std::io::Result<()> {
    let mut browser = Command::new(BROWSER);
    browser.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    browser.process_group(0).spawn().map(drop)
}

/// Writes it.
///
/// # Errors
/// There is no such run; the file cannot be written.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.list {
        return list::run(context).await;
    }
    let name = match &args.runs[..] {
        [first, second] => return compare::run(context, first, second).await,
        [only] => only,
        _ => "last",
    };
    let file = runs::find(name)?;
    let events = runs::read(&file)?;
    let run = runs::Run::of(&events);
    let writing = activity::writing(&args.out);
    std::fs::write(&args.out, report::file(&report::hub(&events, &file)))
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    drop(writing);
    let evaluated = args.gate.evaluate(&events.results());
    let text = run.verdict.as_ref().map_or_else(
        || "```text\n".to_owned() + &summary::of_steps(&run.steps) + "\n```",
        |v| v.text.clone(),
    );
    args.gate.write(&format!("meshy {}, {}", run.command, run.id), &text, &evaluated)?;
    let document = Document { run: &run.id, file: &args.out, expectations: &evaluated };
    let path = std::path::absolute(&args.out).unwrap_or_else(|_| args.out.clone());
    if args.open {
        open(&path).with_context(|| format!("cannot open {} with `{BROWSER}`", path.display()))?;
    }
    context.data(&document, |_| {
        let lines = evaluated.iter().map(ConditionResult::to_string);
        std::iter::once(path.display().to_string()).chain(lines).collect::<Vec<_>>().join("\n")
    })?;
    gate::exit(&evaluated)
}
