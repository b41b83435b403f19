//! Where the cluster comes from. Everything above uses the [`Provider`] and does not depend on which one it is.
//!
//! ```text
//! plan → ensure ─────────┬→ connect → (add-ons, overlays)      look · start · stop · delete
//!      → ensure_registry ┘
//! ```

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use crate::addons;
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
pub(crate) mod leftovers;
mod nodes;
mod ports;
mod provider;
mod pull;
pub mod reach;
pub mod ready;
mod reboot;
pub(crate) mod recorded;
mod registry;
pub mod serve;
mod spec;
mod suspended;

pub use consent::consent;
pub use provider::Provider;
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

/// A part of a lab as the provider lists it: a node, the registry, a background process.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// What it is, for example ``node `meshy-worker` ``.
    pub name: String,
    /// Whether it runs as it should.
    pub ready: bool,
    /// Its state in words.
    pub state: String,
    /// Where it is reached, where that is of interest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A command's hold on a lab: no other process changes it meanwhile, and what is not decided yet is planned.
pub struct Claim {
    /// Where its cluster comes from.
    pub provider: Provider,
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
    let chosen = choose(env, seen.as_ref(), spec).await?;
    runs_programs(chosen, spec)?;
    entries_fit(env, seen.as_ref(), chosen)?;
    let lock = lab::lock(env).await?;
    let known = env.lab()?;
    if let Some(known) = &known {
        keeps_its_kubeconfig(env, known)?;
    }
    // Another run may have created or removed the lab meanwhile.
    let chosen = if seen == known { chosen } else { choose(env, known.as_ref(), spec).await? };
    let provider = provider(chosen);
    let record = provider.plan(env, spec, known).await?;
    Ok(Claim { provider, record, _lock: lock })
}

/// Checks that the provider runs programs of this machine, if there are any.
fn runs_programs(chosen: lab::Provider, spec: &Spec) -> anyhow::Result<()> {
    if spec.programs.is_none() || chosen == lab::Provider::Embedded {
        return Ok(());
    }
    Err(anyhow!("provider `{}` runs images and not programs of this machine", word(chosen)))
        .hint("leave `--program` out, or use `--provider embedded`")
        .exit(Exit::Usage)
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
        .hint("leave `--kubeconfig` out; `--name` creates another lab")
        .exit(Exit::Usage)
}

/// The provider of a lab that is there.
pub fn provider(provider: lab::Provider) -> Provider {
    match provider {
        lab::Provider::Kind => Provider::Kind(kind::Kind::default()),
        lab::Provider::Existing => Provider::Existing(existing::Existing),
        lab::Provider::Embedded => Provider::Embedded(embedded::Embedded),
    }
}

/// The provider for `up`: the lab's own, the requested one, or the best available one. Reports which and why.
///
/// # Errors
/// The lab has another provider than the requested one.
async fn choose(env: &Env, known: Option<&Record>, spec: &Spec) -> anyhow::Result<lab::Provider> {
    let asked = env.provider;
    if let Some(known) = known {
        if asked.is_some_and(|asked| asked != known.provider()) {
            let has = word(known.provider());
            return Err(anyhow!("lab `{}` is on provider `{has}` and stays there", known.name))
                .hint(format!(
                    "`--name` creates another lab; `meshy down --name {}` removes this one",
                    known.name
                ))
                .id("lab-provider")
                .exit(Exit::Usage);
        }
        return Ok(known.provider());
    }
    if let Some(asked) = asked {
        return Ok(asked);
    }
    if spec.programs.is_some() {
        env.report.say("provider `embedded`: it runs programs of this machine");
        return Ok(lab::Provider::Embedded);
    }
    let (chosen, why) = match kind::unusable().await {
        None => (lab::Provider::Kind, "an engine, docker and kind respond".to_owned()),
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
    env.lab()?.ok_or_else(|| lab::absent(&env.name))
}

/// Returns the loopback port of a lab's ingress for HTTP; none if the lab was made without an ingress controller, behind whose
/// port nothing listens.
pub fn ingress_port(record: &Record) -> Option<u16> {
    let is_built_in = provider(record.provider()).built_in().ingress;
    let installed = record.addons.as_ref().is_none_or(|choice| choice.ingress != addons::Ingress::None);
    record.http_port().filter(|_| is_built_in || installed)
}

/// Whether meshy created the cluster of a lab; else it is the user's and every change needs consent.
pub fn is_made_by_meshy(record: &Record) -> bool {
    record.provider() != lab::Provider::Existing
}

/// A provider as `--provider` spells it.
pub fn word(provider: lab::Provider) -> &'static str {
    match provider {
        lab::Provider::Kind => "kind",
        lab::Provider::Existing => "existing",
        lab::Provider::Embedded => "embedded",
    }
}

/// Whether clusters of the provider that has this name simulate Kubernetes and Linkerd, which a report has to state.
pub fn is_embedded(word: &str) -> bool {
    word == self::word(lab::Provider::Embedded)
}

/// Whether a port of this machine's loopback is taken.
pub(crate) fn port_taken(port: u16) -> bool {
    ports::taken(port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addons::{Installed, Request};

    #[test]
    fn the_ingress_that_install_adds_to_a_lab_without_one_has_the_port_of_the_lab() {
        const STORED: &str = r#"{
          "name": "a", "provider": "kind", "context": "kind-a", "http_port": 8080, "made": true,
          "addons": {"ingress": "none", "mesh": "linkerd", "linkerd_version": "v1", "installed": true}
        }"#;
        let mut record: Record = serde_json::from_str(STORED).unwrap();
        assert_eq!(ingress_port(&record), None);
        let chosen = Request::default().choice(record.addons.as_ref()).unwrap();
        let installed = Installed { ingress: Some("8 created".to_owned()), mesh: None };
        record.add_installed(chosen, &installed);
        assert_eq!(ingress_port(&record), Some(8080));
        let stored = serde_json::to_value(&record).unwrap();
        assert_eq!(
            (&stored["addons"]["ingress"], &stored["addons"]["mesh"]),
            (&"nginx".into(), &"linkerd".into())
        );
    }
}
