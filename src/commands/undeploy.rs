//! `meshy undeploy`: takes overlays off the cluster again.

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_kube::{Kinds, delete, manifest};
use meshy_lab::lab;
use meshy_lab::overlay;

/// The flags of `meshy undeploy`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy undeploy minimal-service-v2\n  meshy undeploy ./my-overlay --dry-run"
)]
pub struct Args {
    /// Overlays: a bare name is one that meshy ships, a path a folder
    #[arg(default_values = overlay::DEFAULT)]
    overlays: Vec<String>,
}

/// Deletes the overlays' objects and waits until they are gone.
///
/// # Errors
/// An overlay does not build; an object does not go.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let objects = meshy_lab::deploy::identities(&args.overlays)?;
    if context.dry_run {
        for object in &objects {
            context.report.say(format!("would delete {}", manifest::describe(object)));
        }
        return Ok(Exit::Done);
    }
    let kinds = Kinds::new(context.client_for_change("delete from").await?);
    let _lock = if context.context.is_none() { Some(lab::lock(context).await?) } else { None };
    let step = context.report.step("Deleting", args.overlays.join(", "));
    let deleted = delete::delete(&kinds, objects, context.deadline).await;
    let deleted = step.ended(deleted, |all| format!("{} objects", all.len()))?;
    context.data(&deleted, |all| all.join("\n"))?;
    Ok(Exit::Done)
}
