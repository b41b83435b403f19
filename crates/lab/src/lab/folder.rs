//! Where labs are kept: a folder for each below `$XDG_STATE_HOME/meshy/labs`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use etcetera::BaseStrategy;

use super::LabName;
use super::layout::{LOCK, RECORD};
use meshy_base::bounded;
use meshy_base::error::{Advise, AdviseError, Exit};
use meshy_base::{private, text};

/// The folder that holds a folder for each lab: `$XDG_STATE_HOME/meshy/labs`.
///
/// # Errors
/// No home folder is known.
pub fn labs_folder() -> anyhow::Result<PathBuf> {
    let base = etcetera::choose_base_strategy().context("cannot find the home folder")?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Ok(state.join("meshy").join("labs"))
}

/// A lab's own folder; it need not exist.
///
/// # Errors
/// No home folder is known.
pub fn folder(name: &LabName) -> anyhow::Result<PathBuf> {
    Ok(labs_folder()?.join(&**name))
}

/// Makes a lab's folder and returns it.
///
/// # Errors
/// The file system's; something else than a folder is in its place.
pub(crate) fn ensure_folder(name: &LabName) -> anyhow::Result<PathBuf> {
    let folder = folder(name)?;
    if !is_folder(&folder)? {
        private::ensure_folder(&folder)?;
    }
    Ok(folder)
}

/// Whether a lab's folder is there.
///
/// # Errors
/// Something else is in its place; a symbolic link is never followed. The file system's.
pub fn exists(name: &LabName) -> anyhow::Result<bool> {
    is_folder(&folder(name)?)
}

fn is_folder(folder: &Path) -> anyhow::Result<bool> {
    match fs::symlink_metadata(folder) {
        Ok(there) if there.is_dir() => Ok(true),
        Ok(there) => {
            let is = bounded::kind(&there);
            Err(anyhow!("{} is {is}, expected a folder", folder.display()))
                .hint("meshy did not create it: move it away")
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", folder.display())),
    }
}

/// Returns the names of the labs that have a record, in order. Links, files and folders whose name is not a lab's are not labs.
///
/// # Errors
/// The state folder cannot be read.
pub fn names() -> anyhow::Result<Vec<LabName>> {
    let labs = labs_folder()?;
    let entries = match fs::read_dir(&labs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", labs.display())),
    };
    let mut names: Vec<LabName> = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", labs.display()))?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && is_folder
            && has_record(&entry.path())
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Returns what to do about a name that is not a lab's if there is a folder of exactly this name: earlier versions accepted it.
pub fn advice_on_invalid_name(name: &str) -> Option<String> {
    // Compared with the entries and not made a path, which the name could lead out of the folder.
    let entry = fs::read_dir(labs_folder().ok()?).ok()?.flatten().find(|entry| entry.file_name() == name)?;
    entry.file_type().is_ok_and(|kind| kind.is_dir()).then(|| {
        format!(
            "{} is the folder of a lab of an earlier version, which accepted this name; delete the lab's cluster, then the folder by hand",
            text::printable(&entry.path().display().to_string())
        )
    })
}

/// Returns the lab that a command means without a name: the default one, or the only one there is. `creates`: the command creates
/// the lab, so that another one is never meant.
pub fn unnamed(creates: bool) -> LabName {
    let default = LabName::default();
    if creates {
        return default;
    }
    // Where the labs cannot be listed, the command that reads one reports why.
    match <[LabName; 1]>::try_from(names().unwrap_or_default()) {
        Ok([only]) => only,
        Err(_) => default,
    }
}

/// Returns the error of a command on a lab that does not exist; it names the labs that do.
pub fn absent(name: &LabName) -> anyhow::Error {
    let others = names().unwrap_or_default();
    let (what, hint) = match others.first() {
        None => (
            String::new(),
            "`meshy up` creates one; `--context CONTEXT` uses a cluster that you have".to_owned(),
        ),
        Some(first) => {
            let all: Vec<String> = others.iter().map(|name| format!("`{name}`")).collect();
            (
                format!("; there are: {}", all.join(", ")),
                format!("use `--name {first}`; `meshy` lists the labs"),
            )
        }
    };
    let error = anyhow!("there is no lab `{name}`{what}");
    error.hint(hint).id("lab-absent").exit(Exit::Prerequisite)
}

/// Whether there is a record in a lab's folder, readable or not.
pub(super) fn has_record(folder: &Path) -> bool {
    // One that cannot be looked at counts as there: nothing is removed then.
    !fs::symlink_metadata(folder.join(RECORD)).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Removes the lock of a lab without a record, and then the lab's folder, `labs` and what they lie in as far as they are empty.
/// The caller holds the lock.
pub(crate) fn remove_empty(name: &LabName) {
    let Ok(folder) = folder(name) else { return };
    let _ = fs::remove_file(folder.join(LOCK));
    for folder in folder.ancestors().take(3) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}
