//! `meshy start`: what `meshy stop` or a reboot stopped.

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_lab::cluster;
use meshy_lab::lab;

/// The flags of `meshy start`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy start\n  meshy start --name lab2")]
pub struct Args {}

/// Starts the lab's nodes and registry.
///
/// # Errors
/// There is no such lab, or something does not start.
pub async fn run(context: &Context, _args: Args) -> anyhow::Result<Exit> {
    // First without the lock, which would make the folder of a lab that is not there.
    cluster::lab(context)?;
    let _lock = lab::lock(context).await?;
    let record = cluster::lab(context)?;
    if context.dry_run {
        context.report.say(format!("would start lab `{}`", record.name));
        return Ok(Exit::Done);
    }
    let provider = cluster::provider(record.provider);
    let record = provider.start(context, record).await?;
    provider.connect(context, &record).await?;
    context.data(&record, |r| format!("lab `{}` runs; context `{}`", r.name, r.context))?;
    Ok(Exit::Done)
}
