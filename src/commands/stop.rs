//! `meshy stop`: the lab rests and is kept.

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_lab::cluster;
use meshy_lab::lab;

/// The flags of `meshy stop`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy stop\n  meshy stop --name lab2")]
pub struct Args {}

/// Stops the lab's nodes and registry.
///
/// # Errors
/// There is no such lab, or something does not stop.
pub(crate) async fn run(context: &Context, _args: Args) -> anyhow::Result<Exit> {
    // First without the lock, which would make the folder of a lab that is not there.
    cluster::lab(context)?;
    let _lock = lab::lock(context).await?;
    let record = cluster::lab(context)?;
    if context.dry_run {
        context.report.say(format!("would stop lab `{}`", record.name));
        return Ok(Exit::Done);
    }
    cluster::provider(record.provider()).stop(context, &record).await?;
    context.data(&record, |r| format!("lab `{}` is stopped; `meshy start` starts it again", r.name))?;
    Ok(Exit::Done)
}
