//! `--expect` and its summary: a run as a gate of a pipeline.

use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, anyhow};

use meshy_base::activity;
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::condition::{Basis, Condition, ParseError, evaluate_by, parse_list};
use meshy_experiment::event::{ConditionResult, Results};

/// The conditions of a gate and where it writes.
#[derive(Debug, clap::Args)]
pub(super) struct Gate {
    /// Conditions that must be met, else exit code 5 (docs/scenarios.md); may be repeated
    #[arg(long, value_name = "CONDITIONS")]
    expect: Vec<Conditions>,
    /// Append the result to a file, as Markdown
    #[arg(long, env = "GITHUB_STEP_SUMMARY", value_name = "FILE")]
    summary: Option<PathBuf>,
}

/// Conditions with commas between them.
#[derive(Clone, Debug)]
struct Conditions(Vec<Condition>);

impl FromStr for Conditions {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_list(text).map(Self)
    }
}

impl Gate {
    /// Evaluates the conditions by the measured values; one that names no step is about the last one.
    pub(super) fn evaluate(&self, results: &Results) -> Vec<ConditionResult> {
        let last = results.steps().last().map(String::as_str).unwrap_or_default();
        let conditions = self.expect.iter().flat_map(|Conditions(conditions)| conditions);
        let evaluated = conditions.flat_map(|condition| {
            let written = condition.to_string();
            let evaluated = evaluate_by(Basis::Values, &condition.clone().at_step(last), results);
            evaluated.into_iter().map(move |one| ConditionResult { condition: written.clone(), ..one })
        });
        evaluated.collect()
    }

    /// Appends the summary where one is wanted: a pipeline's file holds those of other steps too.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, title: &str, text: &str, evaluated: &[ConditionResult]) -> anyhow::Result<()> {
        let Some(file) = &self.summary else { return Ok(()) };
        let mut whole = format!("### {title}\n\n{text}\n");
        if !evaluated.is_empty() {
            whole.push_str(&format!("\n{}", of(evaluated).table()));
        }
        whole.push('\n');
        let _writing = activity::writing(file);
        let open = std::fs::OpenOptions::new().create(true).append(true).open(file);
        open.and_then(|mut out| out.write_all(whole.as_bytes()))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

fn of(evaluated: &[ConditionResult]) -> meshy_experiment::gate::Gate {
    meshy_experiment::gate::Gate { condition_results: evaluated.to_vec(), ..Default::default() }
}

/// How a command ends whose only question is whether the conditions hold.
///
/// # Errors
/// The conditions that do not: what was measured is on stdout already, in whatever format.
pub(super) fn exit(evaluated: &[ConditionResult]) -> anyhow::Result<Exit> {
    match of(evaluated).failure() {
        None => Ok(Exit::Done),
        Some(failure) => Err(anyhow!(failure)).exit(Exit::Expectation),
    }
}
