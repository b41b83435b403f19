//! `meshy cluster`: only the cluster, the first step of `up`.

use crate::args::ClusterArgs;
use crate::context::Context;
use meshy_base::error::Exit;
use meshy_lab::cluster;

/// The flags of `meshy cluster`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy cluster\n  meshy cluster --workers 1 --name small")]
pub struct Args {
    #[command(flatten)]
    spec: ClusterArgs,
}

/// Makes the cluster unless it is there.
///
/// # Errors
/// As `meshy up`'s first step.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let claim = cluster::claim(context, &args.spec.spec()).await?;
    let record = claim.record;
    if context.dry_run {
        context.report.say(format!("would create cluster `{}`", record.name));
        return Ok(Exit::Done);
    }
    record.save()?;
    let record = claim.provider.ensure(context, record).await?;
    context.data(&record, |r| format!("context `{}`", r.context))?;
    Ok(Exit::Done)
}
