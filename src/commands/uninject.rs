//! `meshy uninject`: takes back what `inject` did.

use meshy_linkerd::inject;

use super::inject::{Which, change, filter};
use crate::context::Context;
use meshy_base::error::Exit;

/// Flags of `meshy uninject`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy uninject                    the ingress controller\n  \
                        meshy uninject --all -n shop\n\n\
                        Where the manifest or the namespace asks for a proxy itself, the word becomes `disabled`.")]
pub struct Args {
    #[command(flatten)]
    which: Which,
}

/// Takes proxies out of workloads.
///
/// # Errors
/// No such workload, a refusal of the API server, or a pod that still has a proxy afterwards.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.which.workloads == ["-"] {
        return filter(context, inject::remove);
    }
    let client = context.client_for_change("take proxies out of").await?;
    let workloads = args.which.find(&client).await?;
    change(context, &client, workloads, |_| None).await
}
