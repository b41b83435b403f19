//! `meshy deploy --delete`: removes overlays from the cluster.

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_kube::{Kinds, delete, manifest};
use meshy_lab::lab;

/// Deletes the overlays' objects and waits until they are gone.
///
/// # Errors
/// An overlay does not build; an object does not go.
pub(super) async fn run(context: &Context, overlays: &[String]) -> anyhow::Result<Exit> {
    let objects = meshy_lab::deploy::identities(overlays)?;
    if context.dry_run {
        for object in &objects {
            context.report.say(format!("would delete {}", manifest::describe(object)));
        }
        return Ok(Exit::Done);
    }
    let kinds = Kinds::new(context.client_for_change("delete from").await?);
    let _lock = if context.context.is_none() { Some(lab::lock(context).await?) } else { None };
    let step = context.report.step("Deleting", overlays.join(", "));
    let deleted = delete::delete(&kinds, objects, context.deadline).await;
    let deleted = step.ended(deleted, |all| format!("{} objects", all.len()))?;
    context.data(&deleted, |all| all.join("\n"))?;
    Ok(Exit::Done)
}
