//! Where the cluster comes from. Everything above asks the [`Provider`] trait and never which provider it is.
//!
//! ```text
//! plan → ensure ─────────┬→ connect → (add-ons, overlays)      look · start · stop · delete
//!      → ensure_registry ┘
//! ```

use anyhow::{Context as _, anyhow};
use futures::future::BoxFuture;
use serde::Serialize;

use crate::lab::Env;
use crate::lab::{self, Lock, Record};
use meshy_base::error::{Advise, Exit};

mod addresses;
mod consent;
pub mod doctor;
mod embedded;
pub mod engine;
mod existing;
pub mod image;
mod kind;
mod kind_config;
pub mod kubeconfig;
mod nodes;
mod ports;
mod pull;
pub mod reach;
mod ready;
mod reboot;
pub(crate) mod recorded;
mod registry;
pub(crate) mod remains;
pub mod serve;
mod spec;
mod suspended;

pub use consent::consent;
pub use spec::Spec;

/// What a provider's clusters have without meshy installing it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BuiltIn {
    /// A service mesh.
    pub mesh: bool,
    /// An ingress controller.
    pub ingress: bool,
    /// The test service's image.
    pub image: bool,
}

/// A part of a lab as the provider sees it: a node, the registry, a background process.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// What it is, for example ``node `meshy-worker` ``.
    pub name: String,
    /// Whether it is as it should be.
    pub well: bool,
    /// Its state in words.
    pub state: String,
    /// Where it is reached, where that is of interest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Where clusters come from.
pub trait Provider: Send + Sync {
    /// What its clusters have by themselves.
    fn built_in(&self) -> BuiltIn;

    /// Checks that it can work here and decides what is not decided yet (ports, names). Makes nothing; clears away what a
    /// killed run left half made, so that its ports count as free.
    ///
    /// # Errors
    /// A prerequisite is missing.
    fn plan<'a>(
        &'a self,
        env: &'a Env,
        spec: &'a Spec,
        known: Option<Record>,
    ) -> BoxFuture<'a, anyhow::Result<Record>>;

    /// Makes the cluster unless it is there and whole; gives the record with what came out.
    ///
    /// # Errors
    /// The cluster cannot be made, with the words of who refused.
    fn ensure<'a>(&'a self, env: &'a Env, record: Record) -> BoxFuture<'a, anyhow::Result<Record>>;

    /// Makes the private registry unless it is there; gives its port. None where images come another way, as is usual.
    ///
    /// # Errors
    /// The registry cannot be made.
    fn ensure_registry<'a>(
        &'a self,
        _env: &'a Env,
        _record: &'a Record,
    ) -> BoxFuture<'a, anyhow::Result<Option<u16>>> {
        Box::pin(async { Ok(None) })
    }

    /// Lets the cluster's nodes pull from the registry, and proves it with the record's image where that is in there.
    ///
    /// # Errors
    /// Nodes and registry cannot be joined, or a node cannot pull.
    fn connect<'a>(&'a self, _env: &'a Env, _record: &'a Record) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// The parts as they are now.
    ///
    /// # Errors
    /// No process can be asked.
    fn look<'a>(&'a self, env: &'a Env, record: &'a Record) -> BoxFuture<'a, anyhow::Result<Vec<Part>>>;

    /// What of the cluster is stopped, as a clause for an error; none when it runs, or cannot be started from here.
    ///
    /// # Errors
    /// As [`Provider::look`].
    fn stopped<'a>(
        &'a self,
        env: &'a Env,
        record: &'a Record,
    ) -> BoxFuture<'a, anyhow::Result<Option<String>>> {
        Box::pin(async move {
            let parts = self.look(env, record).await?;
            Ok(parts.iter().find(|p| !p.well).map(|p| format!("{} is {}", p.name, p.state)))
        })
    }

    /// As [`Provider::stopped`], for a cluster that is a process of this machine: without a request to anybody.
    ///
    /// # Errors
    /// The process cannot be looked for.
    fn stopped_process(&self, _record: &Record) -> anyhow::Result<Option<String>> {
        Ok(None)
    }

    /// Starts what was stopped.
    ///
    /// # Errors
    /// Something does not start.
    fn start<'a>(&'a self, env: &'a Env, record: Record) -> BoxFuture<'a, anyhow::Result<Record>>;

    /// Stops everything and keeps it.
    ///
    /// # Errors
    /// Something does not stop.
    fn stop<'a>(&'a self, env: &'a Env, record: &'a Record) -> BoxFuture<'a, anyhow::Result<()>>;

    /// Removes everything that the lab made and proves it; gives what was removed.
    ///
    /// # Errors
    /// Something remains.
    fn delete<'a>(&'a self, env: &'a Env, record: &'a Record) -> BoxFuture<'a, anyhow::Result<Vec<String>>>;

    /// What [`Provider::delete`] would remove.
    ///
    /// # Errors
    /// No process can be asked.
    fn would_delete<'a>(
        &'a self,
        env: &'a Env,
        record: &'a Record,
    ) -> BoxFuture<'a, anyhow::Result<Vec<String>>> {
        Box::pin(async move { Ok(self.look(env, record).await?.into_iter().map(|p| p.name).collect()) })
    }
}

/// A command's hold on a lab: no other process changes it meanwhile, and what is not decided yet is planned.
pub struct Claim {
    /// Where its cluster comes from.
    pub provider: Box<dyn Provider>,
    /// What is known of the lab, or planned; not saved yet.
    pub record: Record,
    _lock: Lock,
}

/// Takes hold of the lab that the flags name, whether it is there or to be made. Makes nothing.
///
/// # Errors
/// Another meshy is at work on it for long; a prerequisite is missing; the lab was made otherwise.
pub async fn claim(env: &Env, spec: &Spec) -> anyhow::Result<Claim> {
    // Before the lock, which is the first file of a new lab.
    let seen = env.lab()?;
    let chosen = choose(env, seen.as_ref()).await?;
    entries_fit(env, seen.as_ref(), chosen)?;
    let lock = lab::lock(env).await?;
    let known = env.lab()?;
    if let Some(known) = &known {
        keeps_its_kubeconfig(env, known)?;
    }
    // Another run may have created or removed the lab meanwhile.
    let chosen = if seen == known { chosen } else { choose(env, known.as_ref()).await? };
    let provider = provider(chosen);
    let record = provider.plan(env, spec, known).await?;
    Ok(Claim { provider, record, _lock: lock })
}

/// Checks that the kubeconfig takes the entries of the lab, before anything is created.
fn entries_fit(env: &Env, known: Option<&Record>, chosen: lab::Provider) -> anyhow::Result<()> {
    let name = &env.name;
    if chosen == lab::Provider::Existing {
        return Ok(());
    }
    let of_lab = known.and_then(|lab| lab.kubeconfig.as_deref());
    let given = of_lab.or(env.kubeconfig.as_deref());
    let entry = known.map_or_else(|| format!("{}-{name}", word(chosen)), |lab| lab.context.clone());
    kubeconfig::check(given, &lab::folder(name)?, &entry)
}

/// A lab's entries stay in the file that they were put in.
fn keeps_its_kubeconfig(env: &Env, known: &Record) -> anyhow::Result<()> {
    let Some(asked) = env.kubeconfig.as_deref() else { return Ok(()) };
    let asked = std::path::absolute(asked).context("cannot find the current folder")?;
    let has = kubeconfig::of_lab(known.kubeconfig.as_deref(), &lab::folder(&known.name)?)?;
    if asked == has {
        return Ok(());
    }
    Err(anyhow!("lab `{}` is in kubeconfig {} and not in {}", known.name, has.display(), asked.display()))
        .hint("leave `--kubeconfig` out; `--name` makes another lab")
        .exit(Exit::Usage)
}

/// The provider of a lab that is there.
pub fn provider(provider: lab::Provider) -> Box<dyn Provider> {
    match provider {
        lab::Provider::Kind => Box::new(kind::Kind),
        lab::Provider::Existing => Box::new(existing::Existing),
        lab::Provider::Embedded => Box::new(embedded::Embedded),
    }
}

/// The provider for `up`: the lab's own, the one that was asked for, or the best there is. Says which and why.
///
/// # Errors
/// The lab has another provider than was asked for.
async fn choose(env: &Env, known: Option<&Record>) -> anyhow::Result<lab::Provider> {
    let asked = env.provider;
    if let Some(known) = known {
        if asked.is_some_and(|asked| asked != known.provider) {
            let has = word(known.provider);
            return Err(anyhow!("lab `{}` is on provider `{has}` and stays there", known.name))
                .hint(format!(
                    "`--name` makes another lab; `meshy down --name {}` removes this one",
                    known.name
                ))
                .id("lab-provider")
                .exit(Exit::Usage);
        }
        return Ok(known.provider);
    }
    if let Some(asked) = asked {
        return Ok(asked);
    }
    let (chosen, why) = match kind::unusable().await {
        None => (lab::Provider::Kind, "an engine, docker and kind answer".to_owned()),
        Some(why) => (lab::Provider::Embedded, why),
    };
    env.report.say(format!("provider `{}`: {why}", word(chosen)));
    Ok(chosen)
}

/// The lab that a command acts on.
///
/// # Errors
/// There is none of that name.
pub fn lab(env: &Env) -> anyhow::Result<Record> {
    let name = &env.name;
    env.lab()?
        .with_context(|| format!("there is no lab `{name}`"))
        .hint("`meshy up` makes it; `meshy` without a command lists the labs")
        .exit(Exit::Prerequisite)
}

/// A provider as `--provider` spells it.
pub fn word(provider: lab::Provider) -> &'static str {
    match provider {
        lab::Provider::Kind => "kind",
        lab::Provider::Existing => "existing",
        lab::Provider::Embedded => "embedded",
    }
}

/// Whether clusters of the provider that is spelt so stand in for Kubernetes and Linkerd, as a report has to say.
pub fn is_stand_in(word: &str) -> bool {
    word == self::word(lab::Provider::Embedded)
}

/// Whether a port of this machine's loopback is taken.
pub fn port_taken(port: u16) -> bool {
    ports::taken(port)
}
