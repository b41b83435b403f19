//! The kubeconfig entries that a lab's record names.

use std::fs;
use std::path::Path;

use anyhow::anyhow;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use meshy_base::bounded::{self, Links};
use meshy_base::error::Advise;
use serde_json::Value;

use super::kubeconfig::{self, Unmarked};
use crate::lab::{self, Env, LabName, Provider, Record, files};

/// The largest file of a lab that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Removes a lab's entries from the kubeconfig that its record names, and returns which. A kubeconfig that is not a file has
/// none.
///
/// # Errors
/// The kubeconfig cannot be read or written.
///
/// `authority` is that of [`authority`], read before the files of the lab were removed.
pub(super) async fn remove_recorded_entries(
    env: &Env,
    record: &Record,
    authority: Option<String>,
) -> anyhow::Result<Vec<String>> {
    let folder = lab::folder(&record.name)?;
    let given = record.kubeconfig.as_deref();
    if let Err(error) = kubeconfig_is_a_file(given, &folder) {
        env.report.warn(format!("{error}: no entries are removed"));
        return Ok(Vec::new());
    }
    // A version without marks in kubeconfigs created the lab, and has recorded that it put its entries there.
    let is_old = record.made && kubeconfig::Note::load(&folder)?.is_none();
    let removed = if is_old {
        let entries =
            Unmarked { context: &record.context, previous: record.previous_context.as_deref(), authority };
        kubeconfig::remove_unmarked(given, &folder, &entries).await
    } else {
        kubeconfig::remove(given, &folder, &record.context).await
    };
    let removed = removed.hint(kubeconfig_is_left(&record.name))?;
    removed.report(&env.report);
    Ok(removed.lines().collect())
}

/// Returns the certificate authority of the cluster of a lab, in base64 as in a kubeconfig, from the lab's own files; none where
/// they cannot be read.
pub(super) fn authority(record: &Record) -> Option<String> {
    let folder = lab::folder(&record.name).ok()?;
    if record.provider() == Provider::Embedded {
        let keys =
            bounded::read(&folder.join(files::EMBEDDED).join("keys.json"), LARGEST, Links::Refused).ok()?;
        let keys: Value = serde_json::from_slice(&keys).ok()?;
        return Some(BASE64_STANDARD.encode(keys["certificate"].as_str()?));
    }
    let own = bounded::read(&folder.join(files::KUBECONFIG), LARGEST, Links::Refused).ok()?;
    let own: Value = serde_yaml::from_slice(&own).ok()?;
    own["clusters"][0]["cluster"]["certificate-authority-data"].as_str().map(str::to_owned)
}

/// Returns what to do after a lab's cluster was removed and its kubeconfig entries could not be.
pub(super) fn kubeconfig_is_left(name: &LabName) -> String {
    format!("the cluster is removed, its kubeconfig entries are not: run `meshy down --name {name}` again")
}

/// Checks that a lab's kubeconfig is a regular file, if it exists.
fn kubeconfig_is_a_file(given: Option<&Path>, folder: &Path) -> anyhow::Result<()> {
    let file = kubeconfig::of_lab(given, folder)?;
    match fs::metadata(&file) {
        Ok(there) if !there.is_file() => Err(anyhow!(
            "kubeconfig {} is {}, expected a regular file",
            file.display(),
            bounded::kind(&there)
        )),
        _ => Ok(()),
    }
}
