//! `meshy explain`: a recorded run in sentences.

use crate::context::Context;
use crate::error::Exit;
use crate::{runs, summary};

/// Which run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy explain\n  meshy explain 20261122")]
pub struct Args {
    /// A run's id or its begin, a file, or `last`
    #[arg(default_value = "last")]
    run: String,
}

/// Tells it.
///
/// # Errors
/// There is no such run.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let run = runs::load(&args.run)?;
    let told: Vec<Vec<String>> = run.steps.iter().map(summary::explain).collect();
    let document = serde_json::json!({"run": run.id, "steps": told});
    context.data(&document, |_| {
        let mut text: Vec<String> = told.iter().map(|sentences| in_lines(sentences)).collect();
        text.extend(run.verdict.map(|verdict| summary::wrapped(&verdict.text, WIDTH).join("\n")));
        text.join("\n\n")
    })?;
    Ok(Exit::Done)
}

/// Fits the narrowest terminal that is common, less the indent.
const WIDTH: usize = 78;

fn in_lines(sentences: &[String]) -> String {
    let first = sentences.first().cloned().unwrap_or_default();
    let rest = sentences.iter().skip(1).flat_map(|sentence| summary::wrapped(sentence, WIDTH));
    std::iter::once(first).chain(rest.map(|line| format!("  {line}"))).collect::<Vec<_>>().join("\n")
}
