//! `meshy registry`: only the private registry, the second step of `up`.

use crate::args::ClusterArgs;
use crate::context::Context;
use meshy_base::error::Exit;
use meshy_lab::cluster;

/// The flags of `meshy registry`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy registry\n  meshy registry -o json")]
pub struct Args {
    #[command(flatten)]
    spec: ClusterArgs,
}

/// Makes the registry unless it is there, and joins it to the cluster if that one is there.
///
/// # Errors
/// As `meshy up`'s second step.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let claim = cluster::claim(context, &args.spec.spec()).await?;
    let (provider, record) = (&claim.provider, &claim.record);
    if context.dry_run {
        context.report.say(format!("would create the registry of lab `{}`", record.name));
        return Ok(Exit::Done);
    }
    record.save()?;
    let port = provider.ensure_registry(context, record).await?;
    if record.made {
        provider.connect(context, record).await?;
    }
    context.data(&port, |port| match port {
        Some(port) => format!("localhost:{port}"),
        None => "this lab needs no registry".to_owned(),
    })?;
    Ok(Exit::Done)
}
