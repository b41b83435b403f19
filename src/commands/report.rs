//! `meshy report`: a recorded run as one HTML file.

pub(super) mod compare;
pub(super) mod list;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::gate::{self, Gate};
use crate::context::Context;
use crate::expect::Judged;
use crate::{report, runs, summary};
use meshy_base::activity;
use meshy_base::error::Exit;

/// Which run, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy report\n  meshy report last -o demo.html --expect 'success>=99%'\n  meshy report --list\n  meshy report 20261122-10 last"
)]
pub struct Args {
    /// One run: write its report. Two runs: compare them. A run is an id or its beginning, a file, or `last`
    #[arg(value_name = "RUN", default_value = "last", num_args = 0..=2)]
    runs: Vec<String>,
    /// List the recorded runs
    #[arg(long, conflicts_with_all = ["runs", "out"])]
    list: bool,
    /// The file to write; `-o FILE.html` means it too, while `-o json` prints as everywhere
    #[arg(long, default_value = "meshy-report.html", value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    gate: Gate,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
    run: &'a str,
    file: &'a Path,
    expectations: &'a [Judged],
}

/// Writes it.
///
/// # Errors
/// There is no such run; the file cannot be written.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.list {
        return list::run(context).await;
    }
    let run = match &args.runs[..] {
        [first, second] => return compare::run(context, first, second).await,
        [only] => runs::load(only)?,
        _ => runs::load("last")?,
    };
    let html = report::html(&run);
    let writing = activity::writing(&args.out);
    std::fs::write(&args.out, html).with_context(|| format!("cannot write {}", args.out.display()))?;
    drop(writing);
    let judged = args.gate.judge(run.steps.last());
    let text = run.verdict.as_ref().map_or_else(
        || "```text\n".to_owned() + &summary::of_steps(&run.steps) + "\n```",
        |v| v.text.clone(),
    );
    args.gate.write(&format!("meshy {}, {}", run.command, run.id), &text, &judged)?;
    let document = Document { run: &run.id, file: &args.out, expectations: &judged };
    context.data(&document, |_| {
        let lines = judged.iter().map(summary::of_judged);
        std::iter::once(args.out.display().to_string()).chain(lines).collect::<Vec<_>>().join("\n")
    })?;
    gate::exit(&judged)
}
