//! `meshy up`: from nothing to a running lab, or from whatever is there to what is missing.

mod images;

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use futures::FutureExt as _;
use serde::Serialize;
use tokio::time::Instant;

use crate::args::{AddonArgs, ClusterArgs};
use crate::context::Context;
use meshy_base::error::{Advise, Exit};
use meshy_kube::manifest;
use meshy_lab::addons;
use meshy_lab::cluster::{self, image};
use meshy_lab::deploy::{self, Bundle};
use meshy_lab::lab::Record;
use meshy_lab::overlay;

/// The flags of `meshy up`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy up\n  meshy up --provider embedded --name train\n  meshy up --topology shop\n  meshy up --mesh none --ingress none\n  meshy up --images -o json"
)]
pub struct Args {
    #[command(flatten)]
    spec: ClusterArgs,
    #[command(flatten)]
    addons: AddonArgs,
    /// Write everything that the add-ons would apply to stdout, and touch nothing
    #[arg(long)]
    print: bool,
    /// List the images that the add-ons need, and change nothing
    #[arg(long, conflicts_with = "print")]
    images: bool,
    /// An overlay to deploy, several times for several; without this the two services, or the lab's earlier choice
    #[arg(long = "overlay", value_name = "OVERLAY")]
    overlays: Vec<String>,
    /// A topology to deploy instead: a shipped name, or a file
    #[arg(long, value_name = "TOPOLOGY", conflicts_with = "overlays")]
    topology: Option<String>,
    /// The test service's image, for a cluster that does not get it from a private registry
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// A static program for Linux to put into the test service's image instead of the one in meshy
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    service_binary: Option<PathBuf>,
}

impl Args {
    /// Returns the flags of a plain `meshy up`.
    pub(super) fn embedded(like_linkerd: bool) -> Self {
        Self {
            spec: ClusterArgs { like_linkerd, ..ClusterArgs::default() },
            addons: AddonArgs::default(),
            print: false,
            images: false,
            overlays: Vec::new(),
            topology: None,
            image: None,
            service_binary: None,
        }
    }
}

#[derive(Debug, Serialize)]
struct Up {
    lab: Record,
    provider: &'static str,
    built_in: cluster::BuiltIn,
    installed: addons::Installed,
    services: Vec<deploy::Deployed>,
    next: Vec<String>,
    seconds: f64,
}

/// Makes what is missing of the lab.
///
/// # Errors
/// A prerequisite is missing, or a step fails; what was made until then stays and the next `up` goes on with it.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    let request = args.addons.clone().request();
    if args.images {
        return images::run(context, &request.options(&request.choice(None)?, false, false)?);
    }
    if args.print {
        let choice = request.choice(None)?;
        let options = request.options(&choice, false, false)?;
        let (objects, left_out) = addons::printable(addons::rendered(&options)?);
        if !left_out.is_empty() {
            let list = left_out.join(", ");
            context.report.say(format!("left out, as `meshy up` makes their certificates: {list}"));
        }
        crate::ui::data(&manifest::to_yaml(&objects)?)?;
        return Ok(Exit::Done);
    }
    names_its_image(context, &args)?;
    if let Some(topology) = &args.topology {
        Bundle::topology(topology, None)?;
    }
    let claim = cluster::claim(context, &args.spec.clone().spec()).await?;
    let provider = &claim.provider;
    let mut record = claim.record;
    let built_in = provider.built_in();
    // Read before anything is made, so that a wrong file or name costs nothing.
    let choice = request.choice(record.addons.as_ref())?;
    let options = request.options(&choice, built_in.mesh, built_in.ingress)?;
    let bundles = bundles(&args, &mut record)?;
    let there = record.made;
    record.addons = Some(choice);
    record.image = args.image.clone().or(record.image);
    if context.dry_run {
        return dry_run(context, &record, there);
    }
    // Before anything is made: after a crash the record is how the next run knows what is ours.
    record.save()?;

    let publish = async {
        let Some(port) = provider.ensure_registry(context, &record).await? else { return Ok(None) };
        // An image that the user named stays the lab's.
        if record.image.as_deref().is_some_and(|i| !image::is_ours(i, port)) {
            return Ok(None);
        }
        let step = image::publish(port, args.service_binary.as_deref(), &record);
        let step = step.map(|r| r.context("the test service's image"));
        context
            .report
            .run("Pushing", format!("image `{}`", meshy_lab::image::service::NAME), step)
            .await
            .map(Some)
    };
    let (mut made, pushed) = tokio::try_join!(provider.ensure(context, record.clone()), publish)?;
    if let Some(pushed) = pushed {
        (made.image, made.image_made_of) = (Some(pushed.image), Some(pushed.made_of));
    }
    made.save()?;
    provider.connect(context, &made).await?;

    let client = context.client_of(&made).await?;
    let installed = addons::install_all(&client, &options, &context.report, context.deadline).await?;
    made.addons = made.addons.map(|choice| addons::Choice { installed: true, ..choice });
    made.save()?;
    let services = deploy::deploy(context, &client, bundles, &deploy::Options::of(&made)).await?;
    let mut next = vec![
        format!("meshy status{}", context.name_flag()),
        match &made.topology {
            Some(_) => format!("meshy graph --window 0s{}", context.name_flag()),
            None => format!("meshy port-forward deploy/minimal-service 9090{}", context.name_flag()),
        },
        format!("meshy down{}", context.name_flag()),
    ];
    if (built_in.mesh || installed.mesh.is_some()) && (built_in.ingress || installed.ingress.is_some()) {
        // Meshing the ingress is a step of the lesson, not of `up`.
        next.insert(0, format!("meshy inject{}", context.name_flag()));
    }
    let provider = cluster::word(made.provider);
    let seconds = begun.elapsed().as_secs_f64();
    let up = Up { provider, built_in, installed, services, next, seconds, lab: made };
    context.data(&up, text)?;
    Ok(Exit::Done)
}

fn text(up: &Up) -> String {
    let mut text =
        format!("lab `{}` is up after {:.1} s (context `{}`)\n", up.lab.name, up.seconds, up.lab.context);
    text.push_str(&super::deploy::urls(&up.services, "  "));
    text.push_str("next:\n");
    for next in &up.next {
        text.push_str(&format!("  {next}\n"));
    }
    text
}

/// A cluster that meshy did not create has no registry of ours: what the services run must be said.
fn names_its_image(context: &Context, args: &Args) -> anyhow::Result<()> {
    let Some(named) = &context.context else { return Ok(()) };
    let known = context.lab()?.and_then(|lab| lab.image).is_some();
    if known || args.image.is_some() {
        return Ok(());
    }
    Err(anyhow!("the cluster of context `{named}` gets no image from a private registry"))
        .hint("`--image IMAGE` names one of the test service that it can pull; docs/test-service.md describes what it holds")
        .exit(Exit::Usage)
}

/// Builds what is deployed, and writes it into the record: what was requested, else what the record says, else the two services.
/// Folders and files get absolute paths, as a later run may start elsewhere.
fn bundles(args: &Args, record: &mut Record) -> anyhow::Result<Vec<Bundle>> {
    if let Some(topology) = &args.topology {
        record.topology = Some(if is_shipped(topology) { topology.clone() } else { absolute(topology)? });
        record.overlays = Vec::new();
    } else if !args.overlays.is_empty() {
        record.topology = None;
        record.overlays.clone_from(&args.overlays);
    }
    if let Some(topology) = &record.topology {
        return Ok(vec![Bundle::topology(topology, None)?]);
    }
    if record.overlays.is_empty() {
        record.overlays = overlay::DEFAULT.map(str::to_owned).to_vec();
    }
    for name in record.overlays.iter_mut().filter(|name| overlay::on_disk(name)) {
        *name = absolute(name)?;
    }
    record.overlays.iter().map(|name| Bundle::overlay(name)).collect()
}

fn is_shipped(topology: &str) -> bool {
    meshy_topology::shipped().iter().any(|(name, _)| *name == topology)
}

fn absolute(path: &str) -> anyhow::Result<String> {
    let absolute = std::path::absolute(path).context("cannot find the current folder")?;
    Ok(absolute.display().to_string())
}

fn dry_run(context: &Context, record: &Record, there: bool) -> anyhow::Result<Exit> {
    let verb = if there { "go on with" } else { "make" };
    context.report.say(format!(
        "would {verb} lab `{}` (provider {}, context `{}`) and deploy {}",
        record.name,
        cluster::word(record.provider),
        record.context,
        record.topology.clone().unwrap_or_else(|| record.overlays.join(", "))
    ));
    context.data(record, |_| String::new()).context("cannot print the plan")?;
    Ok(Exit::Done)
}
