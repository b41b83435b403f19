//! `meshy check --machine`: whether this machine can run a kind cluster, and what is missing.

use crate::context::Context;
use crate::ui::table;
use meshy_base::error::Exit;
use meshy_lab::cluster::doctor::{Check, Verdict, checks};

/// Checks this machine. Missing requirements of kind end with [`Exit::Prerequisite`] only with `--provider kind`: otherwise
/// `up` uses the embedded cluster, which needs none of them.
///
/// # Errors
/// Returns an error if stdout cannot be written.
pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let checks = checks(&[80, 443, 5000]).await;
    context.data(&checks, |all| text(all))?;
    let missing = checks.iter().any(|c| c.verdict == Verdict::Missing);
    if missing {
        context
            .report
            .say("kind cannot be used on this machine; `meshy up` uses the embedded cluster, which needs none of this");
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
