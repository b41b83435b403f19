//! Creates a lab, or completes what is there of one.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use crate::addons::{self, Installed, Request};
use crate::cluster::{self, BuiltIn, Provider, Spec, image};
use crate::deploy::stub::{self, Stub};
use crate::deploy::{self, Bundle, Deployed};
use crate::lab::{Env, Record};
use crate::overlay;
use meshy_base::error::{Advise, Exit};

/// What a lab is to have. What is absent stays as the lab's earlier choice, else as the default.
#[derive(Clone, Debug, Default)]
pub struct UpSpec {
    /// Its cluster.
    pub cluster: Spec,
    /// What is installed in addition to the services.
    pub addons: Request,
    /// The overlays to deploy: names of shipped ones, or folders.
    pub overlays: Vec<String>,
    /// A topology to deploy instead of overlays: a shipped name, or a file.
    pub topology: Option<String>,
    /// Manifests to deploy instead of overlays: files and folders.
    pub files: Vec<String>,
    /// Services that the test service stands in for, as `--stub` names them.
    pub stubs: Vec<String>,
    /// The test service's image, for a cluster that does not get it from a private registry.
    pub image: Option<String>,
    /// A static program for Linux to put into the test service's image.
    pub service_binary: Option<PathBuf>,
}

/// A lab that is up.
#[derive(Debug, Serialize)]
pub struct Up {
    /// Its record.
    pub lab: Record,
    /// Where its cluster comes from, as `--provider` spells it.
    pub provider: &'static str,
    /// What its cluster has without an installation.
    pub built_in: BuiltIn,
    /// What was installed.
    pub installed: Installed,
    /// What was deployed.
    pub services: Vec<Deployed>,
}

/// What [`up`] did.
#[derive(Debug)]
pub enum Outcome {
    /// The lab is up.
    Up(Box<Up>),
    /// In a dry run: the lab as it would be recorded.
    Planned(Box<Record>),
}

/// Creates the lab of this environment, or completes it: cluster and registry, the test service's image, add-ons, services.
///
/// # Errors
/// A prerequisite is missing, or a step fails; what was made until then stays and the next call goes on with it.
pub async fn up(spec: UpSpec, env: &Env) -> anyhow::Result<Outcome> {
    names_its_image(env, &spec)?;
    if let Some(topology) = &spec.topology {
        Bundle::topology(topology, None)?;
    }
    let without_ingress = spec.addons.ingress == Some(addons::Ingress::None);
    let claim = cluster::claim(env, &Spec { without_ingress, ..spec.cluster.clone() }).await?;
    let (provider, mut record) = (&claim.provider, claim.record);
    let built_in = provider.built_in();
    // Read before anything is made, so that a wrong file or name costs nothing.
    let choice = spec.addons.choice(record.addons.as_ref())?;
    let options = spec.addons.options(&choice, built_in.mesh, built_in.ingress)?;
    let bundles = bundles(&spec, &mut record)?;
    deploy::images::check(&bundles, &record)?;
    let there = record.made;
    record.addons = Some(choice);
    record.image = spec.image.clone().or(record.image);
    if env.dry_run {
        report_plan(env, &record, there);
        return Ok(Outcome::Planned(Box::new(record)));
    }
    // Before anything is made: after a crash the record is how the next run knows what is ours.
    record.save()?;

    let publish = publish(env, provider, &spec, &record);
    let (mut lab, pushed) = tokio::try_join!(provider.ensure(env, record.clone()), publish)?;
    if let Some(pushed) = pushed {
        lab.image = Some(pushed.image);
        lab.kind_mut()?.image_made_of = Some(pushed.made_of);
    }
    lab.save()?;
    provider.connect(env, &lab).await?;

    let client = env.client_of(&lab).await?;
    let installed = addons::install_all(&client, &options, &env.report, env.deadline).await?;
    lab.addons = lab.addons.map(|choice| addons::Choice { installed: true, ..choice });
    lab.save()?;
    let services = deploy::deploy(env, &client, bundles, &deploy::Options::of(&lab)).await?;
    let provider = cluster::word(lab.provider());
    Ok(Outcome::Up(Box::new(Up { lab, provider, built_in, installed, services })))
}

/// Makes the private registry, where the provider has one, and pushes the test service's image into it. An image that the user named
/// stays the lab's.
async fn publish(
    env: &Env,
    provider: &Provider,
    spec: &UpSpec,
    record: &Record,
) -> anyhow::Result<Option<image::Published>> {
    let Some(port) = provider.ensure_registry(env, record).await? else { return Ok(None) };
    if record.image.as_deref().is_some_and(|named| !image::is_ours(named, port)) {
        return Ok(None);
    }
    let pushed = async {
        image::publish(port, spec.service_binary.as_deref(), record).await.context("the test service's image")
    };
    env.report.run("Pushing", format!("image `{}`", crate::image::service::NAME), pushed).await.map(Some)
}

/// A cluster that meshy did not create has no registry of ours: the user names what the services run.
fn names_its_image(env: &Env, spec: &UpSpec) -> anyhow::Result<()> {
    let Some(named) = &env.context else { return Ok(()) };
    let known = env.lab()?.and_then(|lab| lab.image).is_some();
    if known || spec.image.is_some() {
        return Ok(());
    }
    Err(anyhow!("the cluster of context `{named}` gets no image from a private registry"))
        .hint("`--image IMAGE` names one of the test service that it can pull; docs/test-service.md describes what it holds")
        .exit(Exit::Usage)
}

/// Builds what is deployed, and writes it into the record: what was requested, else what the record has, else the two services.
/// Folders and files get absolute paths, as a later run may start elsewhere.
fn bundles(spec: &UpSpec, record: &mut Record) -> anyhow::Result<Vec<Bundle>> {
    if !spec.stubs.is_empty() {
        record.stubs.clone_from(&spec.stubs);
    }
    let stubs: Vec<Stub> =
        record.stubs.iter().map(|text| Stub::parse(text)).collect::<anyhow::Result<_>>()?;
    let mut bundles = selected(spec, record)?;
    stub::apply(&mut bundles, &stubs)?;
    Ok(bundles)
}

fn selected(spec: &UpSpec, record: &mut Record) -> anyhow::Result<Vec<Bundle>> {
    if let Some(topology) = &spec.topology {
        record.topology = Some(if is_shipped(topology) { topology.clone() } else { absolute(topology)? });
        (record.overlays, record.files) = (Vec::new(), Vec::new());
    } else if !spec.files.is_empty() {
        (record.overlays, record.topology) = (Vec::new(), None);
        record.files = spec.files.iter().map(|file| absolute(file)).collect::<anyhow::Result<_>>()?;
    } else if !spec.overlays.is_empty() {
        (record.topology, record.files) = (None, Vec::new());
        record.overlays.clone_from(&spec.overlays);
    }
    if let Some(topology) = &record.topology {
        return Ok(vec![Bundle::topology(topology, None)?]);
    }
    if !record.files.is_empty() {
        return record.files.iter().map(|file| Bundle::files(Path::new(file))).collect();
    }
    if record.overlays.is_empty() {
        record.overlays = overlay::DEFAULT.map(str::to_owned).to_vec();
    }
    for name in record.overlays.iter_mut().filter(|name| overlay::on_disk(name)) {
        *name = absolute(name)?;
    }
    record.overlays.iter().map(|name| Bundle::overlay(name)).collect()
}

/// Returns what is deployed, in words.
fn deployed(record: &Record) -> String {
    let lists = [&record.files, &record.overlays];
    let list = lists.into_iter().find(|list| !list.is_empty()).map(|list| list.join(", "));
    record.topology.clone().or(list).unwrap_or_default()
}

fn is_shipped(topology: &str) -> bool {
    meshy_topology::shipped().iter().any(|(name, _)| *name == topology)
}

fn absolute(path: &str) -> anyhow::Result<String> {
    let absolute = std::path::absolute(path).context("cannot find the current folder")?;
    Ok(absolute.display().to_string())
}

fn report_plan(env: &Env, record: &Record, there: bool) {
    let verb = if there { "go on with" } else { "make" };
    env.report.say(format!(
        "would {verb} lab `{}` (provider {}, context `{}`) and deploy {}",
        record.name,
        cluster::word(record.provider()),
        record.context,
        deployed(record)
    ));
}
