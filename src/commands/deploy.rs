//! `meshy deploy`: overlays onto the lab's cluster, with the registry's port and the image's digest swapped in.

mod delete;

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_lab::deploy::{self, Options};
use meshy_lab::lab::{self, Record};
use meshy_lab::overlay;

/// The flags of `meshy deploy`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy deploy minimal-service-v2\n  meshy deploy ./my-overlay --force\n  meshy deploy --delete minimal-service-v2"
)]
pub struct Args {
    /// Overlays: a bare name is one that meshy ships, a path a folder
    #[arg(default_values = overlay::DEFAULT)]
    overlays: Vec<String>,
    /// Take over fields that other tools hold
    #[arg(long)]
    force: bool,
    /// The test service's image, instead of the one that was pushed
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Apply and do not wait until it is ready
    #[arg(long)]
    no_wait: bool,
    /// Delete the objects of the overlays and wait until they are gone
    #[arg(long, conflicts_with_all = ["force", "image", "no_wait"])]
    delete: bool,
}

/// Deploys and waits until all is ready.
///
/// # Errors
/// An overlay does not build, a conflict, something does not become ready.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.delete {
        return delete::run(context, &args.overlays).await;
    }
    let client = context.client_for_change("deploy to").await?;
    let _lock = if context.context.is_none() { Some(lab::lock(context).await?) } else { None };
    let lab = match &context.context {
        None => context.lab()?,
        Some(named) => Record::on_context(named)?,
    };
    let of_lab = lab.as_ref().map(Options::of).unwrap_or_default();
    let image = args.image.or(of_lab.image.clone());
    let options = Options { image, force: args.force, no_wait: args.no_wait, ..of_lab };
    let deployed = deploy::overlays(context, &client, &args.overlays, &options).await?;
    context.data(&deployed, |all| {
        let lines = all.iter().flat_map(|d| d.urls.iter().map(move |u| format!("{:<20} {u}\n", d.overlay)));
        lines.collect()
    })?;
    Ok(Exit::Done)
}
