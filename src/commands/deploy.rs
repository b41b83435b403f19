//! `meshy deploy`: overlays, topologies and manifests onto the lab's cluster, with the registry's port and the image's digest
//! swapped in.

mod delete;

use std::path::PathBuf;

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_lab::deploy::{self, Bundle, Deployed, Options};
use meshy_lab::lab;
use meshy_lab::overlay;

/// The flags of `meshy deploy`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy deploy minimal-service-v2\n  meshy deploy ./my-overlay --force\n  meshy deploy --topology shop --namespace shop\n  meshy deploy -f ./manifests\n  meshy deploy --delete minimal-service-v2"
)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// Take over fields that other tools own
    #[arg(long)]
    force: bool,
    /// The test service's image, instead of the image in the private registry
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Apply, and do not wait until everything is ready
    #[arg(long)]
    no_wait: bool,
    /// Delete the objects and wait until they are gone
    #[arg(long, conflicts_with_all = ["force", "image", "no_wait"])]
    delete: bool,
}

/// What to deploy or delete.
#[derive(Debug, clap::Args)]
struct What {
    /// Names of shipped overlays, or paths of folders [default: minimal-service bounced-service]
    overlays: Vec<String>,
    /// A topology instead: a shipped name, or a file
    #[arg(long, value_name = "TOPOLOGY", conflicts_with = "overlays")]
    topology: Option<String>,
    /// The namespace of the topology's objects [default: default]
    #[arg(long, short, value_name = "NAMESPACE", requires = "topology")]
    namespace: Option<String>,
    /// Manifests instead: a file, a folder of YAML and JSON files, or `-` for stdin; may be repeated
    #[arg(long = "file", short, value_name = "FILE", conflicts_with_all = ["overlays", "topology"])]
    files: Vec<PathBuf>,
}

impl What {
    /// Returns what the flags name, built.
    fn bundles(&self) -> anyhow::Result<Vec<Bundle>> {
        if let Some(topology) = &self.topology {
            return Ok(vec![Bundle::topology(topology, self.namespace.as_deref())?]);
        }
        if !self.files.is_empty() {
            return self.files.iter().map(|file| Bundle::files(file)).collect();
        }
        if self.overlays.is_empty() {
            return overlay::DEFAULT.iter().map(|name| Bundle::overlay(name)).collect();
        }
        self.overlays.iter().map(|name| Bundle::overlay(name)).collect()
    }
}

/// Deploys and waits until all is ready.
///
/// # Errors
/// What the flags name is not valid, a conflict, something does not become ready.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    // Before anything else, so that a wrong file or name costs nothing.
    let bundles = args.what.bundles()?;
    if args.delete {
        return delete::run(context, bundles).await;
    }
    let client = context.client_for_change("deploy to").await?;
    let _lock = if context.context.is_none() { Some(lab::lock(context).await?) } else { None };
    let lab = context.used_lab()?;
    if let Some(lab) = &lab {
        deploy::images::check(&bundles, lab)?;
    }
    let of_lab = lab.as_ref().map(Options::of).unwrap_or_default();
    let image = args.image.or(of_lab.image.clone());
    let options = Options { image, force: args.force, no_wait: args.no_wait, ..of_lab };
    let deployed = deploy::deploy(context, &client, bundles, &options).await?;
    context.data(&deployed, |all| urls(all, ""))?;
    Ok(Exit::Done)
}

/// Returns a line for each host of what was deployed, after `indent`.
pub(super) fn urls(all: &[Deployed], indent: &str) -> String {
    let line = |deployed: &Deployed, url: &String| format!("{indent}{:<20} {url}\n", deployed.name);
    all.iter().flat_map(|deployed| deployed.urls.iter().map(move |url| line(deployed, url))).collect()
}
