//! A lab whose record cannot be read: found and removed by its name alone.

use std::fs;
use std::path::Path;

use super::embedded::process::{DISCARD, end};
use super::recorded::kubeconfig_is_left;
use super::{engine, kind, kubeconfig};
use crate::lab::Env;
use crate::lab::{self, LabName, Provider, Record, files};
use meshy_base::error::Advise;

/// What was removed, and what cannot be known without the record.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// What was removed.
    pub(crate) removed: Vec<String>,
    /// What may be left.
    pub(crate) unknown: Vec<String>,
}

/// Removes the process, the containers, the kubeconfig entries and the files that the name of a lab leads to. The record stays:
/// until all else is gone, this can be done again.
///
/// # Errors
/// A process, container or file cannot be removed; something else holds the cluster's lock.
pub(crate) async fn remove(env: &Env, name: &LabName) -> anyhow::Result<Leftovers> {
    let mut leftovers = Leftovers::default();
    let provider = provider(&lab::folder(name)?);
    if provider == Provider::Kind {
        let engine = engine::connect().await?;
        let record = Record::new(name, Provider::Kind, format!("kind-{name}"));
        leftovers.removed.extend(kind::remove_containers(&engine, &record).await?);
        leftovers.unknown.push("whether the engine's network `kind` was created with this lab".to_owned());
    }
    if end(name, DISCARD).await? {
        leftovers.removed.push("the embedded cluster's process".to_owned());
    }
    // Before the files: they prove which context is the lab's, also to the next run if this one cannot write.
    if let Some(own) = provider.own_context(name) {
        remove_entries(env, name, &own, &mut leftovers).await?;
    } else {
        let line =
            "whether meshy installed something into a cluster of yours (`up --context`): it is still there";
        leftovers.unknown.push(line.to_owned());
    }
    files::remove_state(name)?;
    Ok(leftovers)
}

/// The provider that the files in a lab's folder are of.
fn provider(folder: &Path) -> Provider {
    let there = |name: &str| fs::symlink_metadata(folder.join(name));
    if there(files::CERTS_D).is_ok_and(|there| there.is_dir()) {
        return Provider::Kind;
    }
    let is_embedded =
        there(files::EMBEDDED_LOCK).is_ok() || there(files::EMBEDDED).is_ok_and(|there| there.is_dir());
    if is_embedded { Provider::Embedded } else { Provider::Existing }
}

/// Removes the lab's entries from the kubeconfig. The note in the lab's folder lists them.
async fn remove_entries(
    env: &Env,
    name: &LabName,
    own: &str,
    leftovers: &mut Leftovers,
) -> anyhow::Result<()> {
    let folder = lab::folder(name)?;
    if let Err(error) = kubeconfig::Note::load(&folder) {
        leftovers.unknown.push(format!("which entries of the kubeconfig are the lab's: {error:#}"));
        return Ok(());
    }
    let given = env.kubeconfig.as_deref();
    let removed = kubeconfig::remove(given, &folder, own).await.hint(kubeconfig_is_left(name))?;
    removed.report(&env.report);
    leftovers.removed.extend(removed.lines());
    leftovers.unknown.extend(removed.kept);
    Ok(())
}
