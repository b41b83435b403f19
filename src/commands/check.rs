//! `meshy check`: the health of all that a lesson needs.

mod bundle;
mod certs;
mod machine;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::mesh::checks::{self, Outcome, Verdict};
use meshy_base::error::Exit;
use meshy_lab::cluster::reach;

/// Flags of `meshy check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy check\n  meshy check --wait --timeout 2m -o json\n  \
                        meshy check --machine --provider kind\n  meshy check --bundle trouble.tar.gz")]
pub struct Args {
    /// Wait until no check fails, at most until --timeout
    #[arg(long)]
    wait: bool,
    /// List the certificates and when they expire
    #[arg(long, group = "what", conflicts_with = "wait")]
    certs: bool,
    /// Check that this machine can run a KinD cluster
    #[arg(long, group = "what", conflicts_with = "wait")]
    machine: bool,
    /// Write a redacted archive for bug reports to a new file [without FILE: meshy-support.tar.gz]
    #[arg(long, group = "what", conflicts_with = "wait", value_name = "FILE", num_args = 0..=1,
          default_missing_value = "meshy-support.tar.gz")]
    bundle: Option<PathBuf>,
}

impl Args {
    /// Whether the command needs no cluster that can be reached.
    pub(crate) fn without_cluster(&self) -> bool {
        self.machine
    }
}

#[derive(Debug, Serialize)]
struct Document {
    ok: bool,
    checks: Vec<Outcome>,
}

/// Prints the table of checks.
///
/// # Errors
/// There is no such lab or context, or the API server does not respond as it should. What the checks find is not an error: it is
/// the status.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.certs {
        return certs::run(context).await;
    }
    if args.machine {
        return machine::run(context).await;
    }
    if let Some(file) = args.bundle {
        return bundle::run(context, file).await;
    }
    let client = context.client().await?;
    loop {
        let (checks, failure) = match checks::run(&client).await {
            Ok(checks) => (checks, None),
            Err(error) => (vec![checks::unread_api(&error)], Some(error)),
        };
        let failing = checks.iter().filter(|c| c.verdict == Verdict::Failed).count();
        let late = Instant::now() + Duration::from_secs(2) >= context.deadline;
        // A stopped lab does not start by itself.
        let stopped = failure.is_some() && reach::stopped(context).await?.is_some();
        if failing > 0 && args.wait && !late && !stopped {
            // Ten things are looked at, from nodes to a webhook's answer; no single watch covers them.
            sleep(Duration::from_secs(2)).await;
            continue;
        }
        context.data(&Document { ok: failing == 0, checks }, |d| table(&d.checks))?;
        if let Some(error) = failure {
            return Err(error);
        }
        return Ok(match (failing, args.wait) {
            (0, _) => Exit::Done,
            (_, true) => Exit::Timeout,
            (_, false) => Exit::Failed,
        });
    }
}

fn table(checks: &[Outcome]) -> String {
    let mut text = String::new();
    let mut group = "";
    for check in checks {
        if check.group != group {
            group = check.group;
            text += &format!("{group}\n");
        }
        let mark = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "-",
        };
        text += &format!("  {:14} {mark:8} {}\n", check.check, check.saw);
        if let Some(hint) = &check.hint {
            text += &format!("  {:14} {:8} hint: {hint}\n", "", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_groups_marks_and_hints() {
        let check = |check, verdict, hint: Option<&str>| Outcome {
            group: "cluster",
            check,
            verdict,
            saw: "seen".to_owned(),
            hint: hint.map(str::to_owned),
        };
        let text =
            table(&[check("nodes", Verdict::Ok, None), check("registry", Verdict::Failed, Some("do"))]);
        let lines: Vec<String> =
            text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines, ["cluster", "nodes ok seen", "registry FAILED seen", "hint: do"]);
    }
}
