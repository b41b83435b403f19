//! `meshy doctor`: whether this machine can carry a KinD lab, and what to do where not.

use crate::context::Context;
use meshy_lab::doctor::{Check, Verdict, checks};
use meshy_base::error::Exit;
use crate::ui::table;

/// The flags of `meshy doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy doctor\n  meshy doctor --provider kind -o json")]
pub struct Args {}

/// Looks at this machine. What KinD lacks ends with [`Exit::Prerequisite`] only where KinD was asked for: without it
/// `up` takes the embedded cluster, and nothing is wrong with that machine.
///
/// # Errors
/// Stdout cannot be written.
pub async fn run(context: &Context, _args: Args) -> anyhow::Result<Exit> {
    let checks = checks(&[80, 443, 5000]).await;
    context.data(&checks, |all| text(all))?;
    let missing = checks.iter().any(|c| c.verdict == Verdict::Missing);
    if missing {
        context
            .report
            .say("KinD cannot be used here; `meshy up` takes the embedded cluster, which needs none of this");
    }
    let needed = context.global.provider == crate::args::ProviderChoice::Kind;
    Ok(if missing && needed { Exit::Prerequisite } else { Exit::Done })
}

fn text(checks: &[Check]) -> String {
    let rows: Vec<[String; 3]> = checks
        .iter()
        .map(|c| {
            let verdict = match c.verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Missing => "missing",
            };
            let found = if c.todo.is_empty() { c.found.clone() } else { format!("{}; {}", c.found, c.todo) };
            [c.name.to_owned(), verdict.to_owned(), found]
        })
        .collect();
    table::columns(&rows)
}
