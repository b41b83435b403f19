//! The question before meshy changes a cluster that it did not make.

use std::io::IsTerminal as _;

use anyhow::{Context as _, anyhow};

use crate::context::Context;
use crate::error::{Advise, Exit};

/// Asks whether `act` (for example ``install into``) may be done to the cluster of a context. `--yes` answers, and so does
/// `--dry-run`, which does nothing. Without a terminal the answer is no.
///
/// # Errors
/// The answer is no ([`Exit::Usage`]).
pub fn consent(context: &Context, act: &str, cluster: &str) -> anyhow::Result<()> {
    if context.global.yes || context.global.dry_run {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !console::Term::stderr().is_term() {
        return Err(anyhow!(
            "meshy did not make the cluster of context `{cluster}`, and there is nobody to ask"
        ))
        .hint("`--yes` consents to change it")
        .id("consent")
        .exit(Exit::Usage);
    }
    context.report.say(format!("{act} the cluster of context `{cluster}`, which meshy did not make? [y/N]"));
    let mut answer = String::new();
    let _waiting =
        crate::activity::begin(crate::activity::Kind::Work, "waiting for an answer on the terminal");
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(anyhow!("the cluster of context `{cluster}` is left as it is")).exit(Exit::Usage)
}
