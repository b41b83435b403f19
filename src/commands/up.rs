//! `meshy up`: from nothing to a running lab, or from whatever is there to what is missing.

use std::path::PathBuf;

use anyhow::Context as _;
use futures::FutureExt as _;
use serde::Serialize;
use tokio::time::Instant;

use super::deploy;
use crate::addons;
use crate::cluster::{self, Spec, image};
use crate::context::Context;
use crate::error::Exit;
use crate::k8s::manifest;
use crate::lab::{self, Record};
use crate::overlay;

/// The flags of `meshy up`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy up\n  meshy up --provider embedded --name train\n  meshy up --mesh none --ingress none"
)]
pub struct Args {
    #[command(flatten)]
    spec: Spec,
    #[command(flatten)]
    addons: addons::Flags,
    /// Write everything that the add-ons would apply to stdout, and touch nothing
    #[arg(long)]
    print: bool,
    /// Overlays to deploy
    #[arg(long = "overlay", value_name = "OVERLAY", default_values = overlay::DEFAULT)]
    overlays: Vec<String>,
    /// The test service's image, for a cluster that does not get it from a private registry
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// A static program for Linux to put into the test service's image instead of the one in meshy
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    service_binary: Option<PathBuf>,
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
    if args.print {
        let objects = addons::rendered(&args.addons.options(false, false)?)?;
        crate::ui::data(&manifest::to_yaml(&objects)?)?;
        return Ok(Exit::Done);
    }
    if context.global.dry_run {
        return dry_run(context, &args).await;
    }
    let _lock = lab::lock(context).await?;
    let known = context.lab()?;
    let provider = cluster::choose(context, known.as_ref()).await?;
    let built_in = provider.built_in();
    // Read before anything is made, so that a wrong file costs nothing.
    let options = args.addons.options(built_in.mesh, built_in.ingress)?;
    let mut record = provider.plan(context, &args.spec, known).await?;
    // Before anything is made: after a crash the record is how the next run knows what is ours.
    record.image = args.image.clone().or(record.image);
    record.save()?;

    let publish = async {
        let Some(port) = provider.ensure_registry(context, &record).await? else { return Ok(None) };
        if args.image.is_some() {
            return Ok(None);
        }
        let step = image::publish(port, args.service_binary.as_deref());
        let step = step.map(|r| r.context("the test service's image"));
        context
            .report
            .run("Pushing", format!("image `{}`", crate::image::service::NAME), step)
            .await
            .map(Some)
    };
    let (mut made, pushed) = tokio::try_join!(provider.ensure(context, record.clone()), publish)?;
    made.image = pushed.or(made.image);
    made.save()?;
    provider.connect(context, &made).await?;

    let client = context.client_of(&made).await?;
    let installed = addons::install_all(&client, &options, &context.report, context.deadline).await?;
    let services = deploy::overlays(context, &client, Some(&made), &args.overlays, false).await?;
    let mut next = vec![
        format!("meshy status{}", context.name_flag()),
        format!("meshy port-forward deploy/minimal-service 9090{}", context.name_flag()),
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
    for service in &up.services {
        for url in &service.urls {
            text.push_str(&format!("  {:<20} {url}\n", service.overlay));
        }
    }
    text.push_str("next:\n");
    for next in &up.next {
        text.push_str(&format!("  {next}\n"));
    }
    text
}

async fn dry_run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let known = context.lab()?;
    let there = known.as_ref().is_some_and(|k| k.made);
    let provider = cluster::choose(context, known.as_ref()).await?;
    let record = provider.plan(context, &args.spec, known).await?;
    let verb = if there { "go on with" } else { "make" };
    context.report.say(format!(
        "would {verb} lab `{}` (provider {}, context `{}`) and deploy {}",
        record.name,
        cluster::word(record.provider),
        record.context,
        args.overlays.join(", ")
    ));
    context.data(&record, |_| String::new()).context("cannot print the plan")?;
    Ok(Exit::Done)
}
