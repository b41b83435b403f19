//! `meshy internal-serve`: the background process of an embedded lab. Hidden.

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_lab::cluster::serve;

/// `meshy internal-serve` takes no flags: the lab's record contains everything.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Serves the lab's cluster until a signal ends it.
///
/// # Errors
/// As [`serve::serve`].
pub(crate) async fn run(context: &Context, _args: Args) -> anyhow::Result<Exit> {
    serve::serve(&context.name).await?;
    Ok(Exit::Done)
}
