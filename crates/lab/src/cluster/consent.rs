//! The question before meshy changes a cluster that it did not create.

use anyhow::anyhow;

use crate::lab::Env;
use meshy_base::error::{Advise, Exit};

/// Asks whether `act` (for example ``install into``) may be done to the cluster of a context. `--yes` answers it, and so does
/// `--dry-run`, which does nothing. Without a terminal it may not be done.
///
/// # Errors
/// Returns an error if it may not be done ([`Exit::Usage`]).
pub fn consent(env: &Env, act: &str, cluster: &str) -> anyhow::Result<()> {
    if env.yes || env.dry_run {
        return Ok(());
    }
    let question = format!("{act} the cluster of context `{cluster}`, which meshy did not create?");
    match (env.ask)(&env.report, &question)? {
        Some(true) => Ok(()),
        Some(false) => Err(anyhow!("the cluster of context `{cluster}` was not changed")).exit(Exit::Usage),
        None => Err(anyhow!(
            "meshy did not create the cluster of context `{cluster}`, and there is no terminal to ask on"
        ))
        .hint("`--yes` consents to change it")
        .id("consent")
        .exit(Exit::Usage),
    }
}
