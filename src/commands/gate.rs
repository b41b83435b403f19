//! `--expect` and its summary: a run as a gate of a pipeline.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

use crate::expect::{self, Evaluated, Expectations};
use crate::steps::Step;
use meshy_base::activity;
use meshy_base::error::{Advise as _, Exit};

/// The conditions of a gate and where it writes.
#[derive(Debug, clap::Args)]
pub(super) struct Gate {
    /// Conditions that must be met, else exit code 5: success, actual-success, p50, p95, p99, added-load, rate
    #[arg(long, value_name = "CONDITIONS")]
    expect: Option<Expectations>,
    /// Append the result to a file, as Markdown
    #[arg(long, env = "GITHUB_STEP_SUMMARY", value_name = "FILE")]
    summary: Option<PathBuf>,
}

impl Gate {
    /// Evaluates a step; without conditions or without a step there is nothing to judge.
    pub(super) fn evaluate(&self, step: Option<&Step>) -> Vec<Evaluated> {
        self.expect.as_ref().zip(step).map(|(expect, step)| expect.evaluate(step)).unwrap_or_default()
    }

    /// Appends the summary where one is wanted: a pipeline's file holds those of other steps too.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, title: &str, text: &str, evaluated: &[Evaluated]) -> anyhow::Result<()> {
        let Some(file) = &self.summary else { return Ok(()) };
        let mut whole = format!("### {title}\n\n{text}\n");
        if !evaluated.is_empty() {
            whole.push_str(&format!("\n{}", expect::markdown(evaluated)));
        }
        whole.push('\n');
        let _writing = activity::writing(file);
        let open = std::fs::OpenOptions::new().create(true).append(true).open(file);
        open.and_then(|mut out| out.write_all(whole.as_bytes()))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

/// How a command ends whose only question is whether the conditions hold.
///
/// # Errors
/// The conditions that do not: what was measured is on stdout already, in whatever format.
pub(super) fn exit(evaluated: &[Evaluated]) -> anyhow::Result<Exit> {
    match expect::failure(evaluated) {
        None => Ok(Exit::Done),
        Some(failure) => Err(anyhow!(failure)).exit(Exit::Expectation),
    }
}
