//! `meshy start`: what `meshy stop` or a reboot stopped.

use anyhow::Context as _;

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_kube::Kinds;
use meshy_lab::cluster;
use meshy_lab::lab;

/// The flags of `meshy start`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy start\n  meshy start --name lab2")]
pub struct Args {}

/// Starts the lab's nodes and registry, and waits until the workloads that meshy created are ready.
///
/// # Errors
/// There is no such lab, or something does not start or become ready in time.
pub(crate) async fn run(context: &Context, _args: Args) -> anyhow::Result<Exit> {
    // First without the lock, which would make the folder of a lab that is not there.
    cluster::lab(context)?;
    let _lock = lab::lock(context).await?;
    let record = cluster::lab(context)?;
    if context.dry_run {
        context.report.say(format!("would start lab `{}`", record.name));
        return Ok(Exit::Done);
    }
    let provider = cluster::provider(record.provider());
    let record = provider.start(context, record).await?;
    provider.connect(context, &record).await?;
    let kinds = Kinds::new(context.client_of(&record).await?);
    let step = context.report.step("Waiting", "for the workloads");
    let ready = cluster::ready::workloads(&kinds, context.deadline, &step);
    let ready = cluster::reach::while_running(context, ready).await;
    step.ended(ready, |count| format!("{count} ready"))
        .with_context(|| format!("lab `{}` was started, and not all of it is ready", record.name))?;
    context.data(&record, |r| format!("lab `{}` is ready; context `{}`", r.name, r.context))?;
    Ok(Exit::Done)
}
