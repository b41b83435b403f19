//! What a lab leaves outside its folder and record: its kubeconfig entries; and all of a lab whose record cannot be read, found
//! and removed by its name alone.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::anyhow;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::embedded::process::{DISCARD, end};
use super::{engine, kind, kubeconfig};
use crate::context::Context;
use crate::error::Advise;
use crate::lab::{self, LabName, Provider, Record, files};
use crate::private;

/// The largest kubeconfig or key file that is read here.
const LARGEST: u64 = 16 << 20;

/// What was removed, and what cannot be known without the record.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    /// What was removed.
    pub(crate) removed: Vec<String>,
    /// What may be left.
    pub(crate) unknown: Vec<String>,
}

/// Whether a kubeconfig has a context that a lab made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Absent,
    /// Its certificate authority is the lab's.
    Ours,
    /// It has the name that the lab would have given, and nothing says who made it.
    Unproven,
    /// The file cannot be read.
    Unreadable,
}

/// Removes the process, the containers, the kubeconfig entries and the files that the name of a lab leads to. The record stays:
/// until all else is gone, this can be done again.
///
/// # Errors
/// A process, container or file cannot be removed; something else holds the cluster's lock.
pub(crate) async fn remove(context: &Context, name: &LabName) -> anyhow::Result<Remains> {
    let mut remains = Remains::default();
    let provider = provider(&lab::folder(name)?);
    if provider == Provider::Kind {
        let engine = engine::connect().await?;
        let record = Record::new(name, Provider::Kind, format!("kind-{name}"));
        remains.removed.extend(kind::remove_containers(&engine, &record).await?);
        remains.unknown.push("whether the engine's network `kind` was made with this lab".to_owned());
    }
    if end(name, DISCARD).await? {
        remains.removed.push("the embedded cluster's process".to_owned());
    }
    // Before the files: they prove which context is the lab's, also to the next run if this one cannot write.
    if let Some(own) = provider.own_context(name) {
        remove_entries(context, name, &own, &mut remains)?;
    } else {
        let line =
            "whether meshy installed something into a cluster of yours (`up --context`): it is still there";
        remains.unknown.push(line.to_owned());
    }
    files::remove_state(name)?;
    Ok(remains)
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

/// Removes the entries of the lab's own context from the kubeconfig, if the lab made them.
fn remove_entries(context: &Context, name: &LabName, own: &str, remains: &mut Remains) -> anyhow::Result<()> {
    let folder = lab::folder(name)?;
    let given = context.global.kubeconfig.as_deref();
    let file = kubeconfig::file(given)?;
    match find(&file, own, authority(&folder, own, name).as_deref()) {
        // A run that was killed there left a lock, which goes with the next one.
        Found::Absent if folder.join(files::KUBECONFIG_NOTE).exists() => {
            kubeconfig::remove(given, &folder, own, None).hint(kubeconfig_is_left(name))?;
        }
        Found::Absent => {}
        Found::Ours => {
            kubeconfig::remove(given, &folder, own, None).hint(kubeconfig_is_left(name))?;
            remains.removed.push(format!("kubeconfig context `{own}`"));
        }
        Found::Unproven => remains.unknown.push(format!(
            "whether this lab made context `{own}` in {}: `kubectl config delete-context {own}` removes it",
            file.display()
        )),
        Found::Unreadable => remains
            .unknown
            .push(format!("whether {} has entries of the lab: it cannot be read", file.display())),
    }
    remains.unknown.push(format!("which kubeconfig the lab used: only {} was searched", file.display()));
    Ok(())
}

/// Removes a lab's entries from the kubeconfig that its record names; says which. A kubeconfig that is no file has none.
///
/// # Errors
/// The kubeconfig cannot be read or written.
pub(super) fn remove_recorded_entries(context: &Context, record: &Record) -> anyhow::Result<Option<String>> {
    let given = record.kubeconfig.as_deref();
    if let Err(error) = kubeconfig_is_a_file(given) {
        context.report.warn(format!("{error}: no entries are removed"));
        return Ok(None);
    }
    let previous = record.previous_context.as_deref();
    let removed = kubeconfig::remove(given, &lab::folder(&record.name)?, &record.context, previous);
    let removed = removed.hint(kubeconfig_is_left(&record.name))?;
    Ok(removed.then(|| format!("kubeconfig context `{}`", record.context)))
}

/// Returns what to do after a lab's cluster was removed and its kubeconfig entries could not be.
fn kubeconfig_is_left(name: &LabName) -> String {
    format!("the cluster is removed, its kubeconfig entries are not: run `meshy down --name {name}` again")
}

/// Makes sure that a kubeconfig is a file, where it is there: reading a FIFO would wait for ever.
///
/// # Errors
/// It is something else.
pub(super) fn kubeconfig_is_a_file(given: Option<&Path>) -> anyhow::Result<()> {
    let file = kubeconfig::file(given)?;
    match fs::metadata(&file) {
        Ok(there) if !there.is_file() => Err(anyhow!(
            "kubeconfig {} is {}, expected a regular file",
            file.display(),
            private::kind(&there)
        )),
        _ => Ok(()),
    }
}

/// The certificate authority of the cluster that a lab's context leads to, in base64 as in a kubeconfig; from the lab's own files.
fn authority(folder: &Path, context: &str, name: &LabName) -> Option<String> {
    if Provider::Embedded.own_context(name).as_deref() == Some(context) {
        let keys = private::read(&folder.join(files::EMBEDDED).join("keys.json"), LARGEST).ok()?;
        let keys: Value = serde_json::from_slice(&keys).ok()?;
        return Some(BASE64_STANDARD.encode(keys["certificate"].as_str()?));
    }
    let own = private::read(&folder.join(files::KUBECONFIG), LARGEST).ok()?;
    let own: Value = serde_yaml::from_slice(&own).ok()?;
    authority_of(&own["clusters"][0]).map(str::to_owned)
}

fn authority_of(cluster: &Value) -> Option<&str> {
    cluster["cluster"]["certificate-authority-data"].as_str()
}

fn find(file: &Path, context: &str, authority: Option<&str>) -> Found {
    // The user's own file may be behind a link.
    let read = fs::canonicalize(file).and_then(|file| private::read(&file, LARGEST));
    let text = match read {
        Err(error) if error.kind() == ErrorKind::NotFound => return Found::Absent,
        Err(_) => return Found::Unreadable,
        Ok(text) => text,
    };
    let Ok(config) = serde_yaml::from_slice::<Value>(&text) else { return Found::Unreadable };
    let named = |section: &str| {
        let entries = config[section].as_array().into_iter().flatten();
        entries.clone().find(|entry| entry["name"] == context).cloned()
    };
    match (named("clusters"), named("contexts"), named("users")) {
        (None, None, None) => Found::Absent,
        (Some(cluster), ..) if authority.is_some() && authority_of(&cluster) == authority => Found::Ours,
        _ => Found::Unproven,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_context_is_the_labs_only_with_the_certificate_authority_that_the_lab_has() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let name: LabName = "x".parse().unwrap();
        fs::create_dir(folder.path().join(files::EMBEDDED)).unwrap();
        let keys = folder.path().join("embedded/keys.json");
        fs::write(&keys, json!({"certificate": "PEM"}).to_string()).unwrap();
        let found = || find(&file, "embedded-x", authority(folder.path(), "embedded-x", &name).as_deref());
        let write = |authority: &str| {
            let cluster = json!({"certificate-authority-data": BASE64_STANDARD.encode(authority)});
            fs::write(&file, json!({"clusters": [{"name": "embedded-x", "cluster": cluster}]}).to_string())
                .unwrap();
        };
        assert_eq!(found(), Found::Absent, "there is no kubeconfig");
        write("PEM");
        assert_eq!(found(), Found::Ours);
        write("another");
        assert_eq!(found(), Found::Unproven);
        fs::remove_file(&keys).unwrap();
        write("PEM");
        assert_eq!(found(), Found::Unproven, "the lab's keys are gone");
        fs::write(&file, "clusters: []\n").unwrap();
        assert_eq!(found(), Found::Absent);
        fs::write(&file, "\0").unwrap();
        assert_eq!(found(), Found::Unreadable, "the kubeconfig cannot be read");
    }
}
