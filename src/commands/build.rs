//! `meshy build`: the objects of an overlay, as kustomize would print them, or of a topology.

use std::fmt;

use serde_json::Value;

use crate::context::Context;
use meshy_base::error::Exit;
use meshy_lab::deploy::topology;
use meshy_lab::overlay;

/// The flags of `meshy build`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy build minimal-service\n  meshy build ./my-overlay | kubectl diff -f -\n  meshy build --topology shop --namespace shop | kubectl apply -f -"
)]
pub struct Args {
    /// The name of a shipped overlay, or the path of a folder
    #[arg(value_name = "OVERLAY", required_unless_present = "topology")]
    overlay: Option<String>,
    /// A topology instead: a shipped name, or a file
    #[arg(long, value_name = "TOPOLOGY", conflicts_with = "overlay")]
    topology: Option<String>,
    /// The namespace of the topology's objects [default: default]
    #[arg(long, short, value_name = "NAMESPACE", requires = "topology")]
    namespace: Option<String>,
    /// The image of the topology's pods [default: the test service's image, as the overlays name it]
    #[arg(long, value_name = "IMAGE", requires = "topology")]
    image: Option<String>,
}

/// What is printed.
struct Built {
    objects: Vec<Value>,
    yaml: String,
}

/// Prints the objects.
///
/// # Errors
/// Returns an error if the overlay does not build, or the topology is not valid.
#[allow(clippy::unused_async, reason = "every command is asked the same way")]
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let built = match (&args.topology, &args.overlay) {
        (Some(name), _) => of_topology(context, name, &args)?,
        (None, overlay) => of_overlay(context, overlay.as_deref().unwrap_or_default())?,
    };
    context.data::<Vec<Value>>(&built.objects, |_| built.yaml.clone())?;
    Ok(Exit::Done)
}

fn of_overlay(context: &Context, name: &str) -> anyhow::Result<Built> {
    let output = overlay::build(name)?;
    warn(context, &output.warnings);
    Ok(Built { yaml: output.to_yaml(), objects: output.objects })
}

fn of_topology(context: &Context, name: &str, args: &Args) -> anyhow::Result<Built> {
    let loaded = topology::load(name)?;
    let namespace = args.namespace.as_deref();
    let mut options = topology::options(namespace)?;
    if let Some(image) = &args.image {
        options.image.clone_from(image);
    }
    warn(context, &topology::warnings(name, &loaded));
    if loaded.overlays.is_empty() {
        let yaml = meshy_topology::manifests_yaml(&loaded, &options);
        return Ok(Built { yaml, objects: meshy_topology::manifests(&loaded, &options) });
    }
    if args.image.is_some() {
        context.report.warn(format!("topology `{name}` consists of overlays: --image is not used"));
    }
    let mut all = Built { objects: Vec::new(), yaml: String::new() };
    for overlay in topology::overlays(name, &loaded, namespace)? {
        let built = of_overlay(context, &overlay)?;
        let separator = if all.yaml.is_empty() { "" } else { "---\n" };
        all.yaml.push_str(&format!("{separator}{}", built.yaml));
        all.objects.extend(built.objects);
    }
    Ok(all)
}

fn warn(context: &Context, warnings: &[impl fmt::Display]) {
    warnings.iter().for_each(|warning| context.report.warn(warning.to_string()));
}
