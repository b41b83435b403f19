//! `meshy check --certs`: the certificates and how long they are valid.

use crate::context::Context;
use crate::mesh::checks;
use meshy_base::error::Exit;
use meshy_lab::addons::expiry::{self, Certificate};

/// Prints each certificate with its end.
///
/// # Errors
/// The cluster cannot be read, or a certificate cannot be read.
pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let client = context.client().await?;
    let found = expiry::certificates(&client).await?;
    if found.is_empty() {
        let why = if checks::built_in(&client).await? {
            "the control plane is built into this cluster"
        } else {
            "no Linkerd here"
        };
        context.report.say(format!("there are no certificates: {why}"));
    }
    for warning in found.iter().filter_map(Certificate::warning) {
        context.report.warn(warning);
    }
    context.data(&found, |found| {
        let width = found.iter().map(|c| c.what.len()).max().unwrap_or(0);
        let line = |c: &Certificate| {
            format!(
                "{:width$}  {:>4} days  until {}  {}  ({})\n",
                c.what, c.days_left, c.not_after, c.subject, c.place
            )
        };
        found.iter().map(line).collect()
    })?;
    Ok(Exit::Done)
}
