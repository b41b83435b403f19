//! `meshy images`: what a cluster must be able to pull.

use meshy_lab::addons::{Ingress, Mesh, Options, images, linkerd};
use crate::args::{ingress, mesh};
use crate::context::Context;
use meshy_base::error::Exit;

/// Flags of `meshy images`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy images\n  meshy images --image-registry localhost:5000 -o json\n\n\
                        Without internet: bring each image as a file, `meshy push FILE` it into the lab's registry, then \
                        `meshy up --image-registry localhost:PORT`."
)]
pub struct Args {
    /// A registry that has all images, instead of their own ones
    #[arg(long, value_name = "HOST:PORT")]
    image_registry: Option<String>,
    /// The ingress controller
    #[arg(long, value_parser = ingress(), default_value = "nginx")]
    ingress: Ingress,
    /// The mesh
    #[arg(long, value_parser = mesh(), default_value = "linkerd")]
    mesh: Mesh,
    /// The tag of Linkerd's images
    #[arg(long, value_name = "VERSION")]
    linkerd_version: Option<String>,
}

/// Prints name, digest and origin of each image.
///
/// # Errors
/// Stdout cannot be written.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let mut settings = linkerd::Settings::default();
    if let Some(version) = args.linkerd_version {
        settings.version = version;
    }
    let options = Options {
        ingress: args.ingress,
        mesh: args.mesh,
        image_registry: args.image_registry,
        linkerd: settings,
        ..Options::default()
    };
    let needed = images::needed(&options);
    context.data(&needed, |needed| {
        let width = needed.iter().map(|i| i.name.len()).max().unwrap_or(0);
        let line = |i: &images::Image| {
            let digest = i.digest.unwrap_or("digest not known");
            let origin = if i.origin == i.name { String::new() } else { format!("  from {}", i.origin) };
            format!("{:width$}  {}  {digest}{origin}\n", i.name, i.used_by)
        };
        needed.iter().map(line).collect()
    })?;
    Ok(Exit::Done)
}
