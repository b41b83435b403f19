//! `meshy report`: a recorded run as one HTML file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::gate::{self, Gate};
use meshy_base::activity;
use crate::context::Context;
use meshy_base::error::Exit;
use crate::expect::Judged;
use crate::{report, runs, summary};

/// Which run, and where to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy report\n  meshy report last -o demo.html --expect 'success>=99%'")]
pub struct Args {
    /// A run's id or its begin, a file, or `last`
    #[arg(default_value = "last")]
    run: String,
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
    let run = runs::load(&args.run)?;
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
