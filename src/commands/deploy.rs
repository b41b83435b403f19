//! `meshy deploy`: overlays onto the lab's cluster, with the registry's port and the image's digest swapped in.

use kube::Client;
use serde::Serialize;

use crate::context::Context;
use meshy_base::error::{Advise, Exit};
use meshy_kube::{Apply, Kinds, Manager, Object, apply, manifest, wait};
use meshy_lab::lab::{self, Record};
use meshy_lab::overlay;

/// The flags of `meshy deploy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy deploy minimal-service-v2\n  meshy deploy ./my-overlay --force")]
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
}

/// How overlays are deployed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The private registry's port, in place of the one that overlays name.
    pub registry_port: Option<u16>,
    /// The test service's image, in place of the one that overlays name.
    pub image: Option<String>,
    /// The ingress's port on this machine, for URLs.
    pub http_port: Option<u16>,
    /// Take over fields that other tools hold.
    pub force: bool,
    /// Do not wait until all is ready.
    pub no_wait: bool,
}

impl Options {
    /// What a lab's record says.
    pub fn of(lab: &Record) -> Self {
        let image = lab.image.clone();
        Self { registry_port: lab.registry_port, image, http_port: lab.http_port, ..Self::default() }
    }
}

/// What a deployed overlay became.
#[derive(Clone, Debug, Serialize)]
pub struct Deployed {
    /// The overlay.
    pub overlay: String,
    /// Its objects.
    pub objects: Vec<String>,
    /// How many of them changed.
    pub changed: usize,
    /// Fields that stayed with another of meshy's field managers.
    pub left_out: Vec<String>,
    /// Where its ingress hosts are reached, as commands.
    pub urls: Vec<String>,
}

/// Deploys and waits until all is ready.
///
/// # Errors
/// An overlay does not build, a conflict, something does not become ready.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let client = context.client_for_change("deploy to").await?;
    let _lock = if context.context.is_none() { Some(lab::lock(context).await?) } else { None };
    let lab = match &context.context {
        None => context.lab()?,
        Some(named) => Record::on_context(named)?,
    };
    let of_lab = lab.as_ref().map(Options::of).unwrap_or_default();
    let image = args.image.or(of_lab.image.clone());
    let options = Options { image, force: args.force, no_wait: args.no_wait, ..of_lab };
    let deployed = overlays(context, &client, &args.overlays, &options).await?;
    context.data(&deployed, |all| {
        let lines = all.iter().flat_map(|d| d.urls.iter().map(move |u| format!("{:<20} {u}\n", d.overlay)));
        lines.collect()
    })?;
    Ok(Exit::Done)
}

/// Applies overlays and waits for them, all at the same time.
///
/// # Errors
/// As [`run`].
pub async fn overlays(
    context: &Context,
    client: &Client,
    names: &[String],
    options: &Options,
) -> anyhow::Result<Vec<Deployed>> {
    let mut built = Vec::new();
    for name in names {
        let output = overlay::build(name)?;
        for warning in &output.warnings {
            context.report.warn(format!("overlay `{name}`: {warning}"));
        }
        let objects = overlay::objects(output, options.registry_port, options.image.as_deref())?;
        built.push((name, objects));
    }
    let kinds = Kinds::new(client.clone());
    let each = built.into_iter().map(|(name, objects)| one(context, &kinds, name, objects, options));
    futures::future::try_join_all(each).await
}

async fn one(
    context: &Context,
    kinds: &Kinds,
    name: &str,
    objects: Vec<Object>,
    options: &Options,
) -> anyhow::Result<Deployed> {
    let step = context.report.step("Deploying", name);
    let urls = objects.iter().flat_map(|o| urls(o, options.http_port)).collect();
    let apply = Apply::new(kinds, Manager::Manifests, context.deadline);
    let apply = apply.force(options.force).mark(true).dry_run(context.dry_run);
    let applied = match apply.run(objects).await {
        Ok(applied) => applied,
        Err(error) => {
            step.failed();
            return Err(error);
        }
    };
    for line in apply::left_out(&applied) {
        context.report.say(line);
    }
    let objects: Vec<Object> = applied.iter().map(|a| a.object.clone()).collect();
    if !context.dry_run && !options.no_wait {
        let ready = wait::ready(kinds, &objects, context.deadline, Some(&step)).await;
        if let Err(error) = ready {
            step.failed();
            return Err(error).hint(format!("`meshy status{}` shows the rest", context.name_flag()));
        }
    }
    step.done(apply::summary(&applied));
    Ok(Deployed {
        overlay: name.to_owned(),
        objects: objects.iter().map(manifest::describe).collect(),
        changed: applied.iter().filter(|a| a.changed).count(),
        left_out: apply::left_out(&applied),
        urls,
    })
}

/// How an Ingress's hosts are reached from this machine; their names are in no DNS.
fn urls(object: &Object, http_port: Option<u16>) -> Vec<String> {
    let (true, Some(port)) = (manifest::kind(object) == "Ingress", http_port) else { return Vec::new() };
    let rules = object.data["spec"]["rules"].as_array();
    let hosts = rules.into_iter().flatten().filter_map(|r| r["host"].as_str());
    hosts.map(|host| url(host, port)).collect()
}

/// How one host is reached.
pub(super) fn url(host: &str, port: u16) -> String {
    let at = if port == 80 { "http://127.0.0.1/".to_owned() } else { format!("http://127.0.0.1:{port}/") };
    format!("curl -H 'Host: {host}' {at}")
}

/// The objects of overlays without what only deploying needs, for `undeploy`.
pub(super) fn identities(names: &[String]) -> anyhow::Result<Vec<Object>> {
    let mut all = Vec::new();
    for name in names {
        all.extend(overlay::objects(overlay::build(name)?, None, None)?);
    }
    Ok(all)
}
