//! `meshy internal-serve`: the background process of an embedded lab. Hidden.

use crate::cluster::serve;
use crate::context::Context;
use crate::error::Exit;

/// The flags of `meshy internal-serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep Linkerd's rule that a client sees a new profile only after its discovery was idle for 5 s
    #[arg(long, env = "MESHY_LIKE_LINKERD")]
    like_linkerd: bool,
}

/// Serves the lab's cluster until it is told to end.
///
/// # Errors
/// As [`serve::serve`].
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    serve::serve(&context.global.name, args.like_linkerd).await?;
    Ok(Exit::Done)
}
