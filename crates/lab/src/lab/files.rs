//! The files that meshy makes in a lab's folder, and their removal. What is not on this list is not removed, and no link is
//! followed.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::OFlags;

use super::{LabName, folder};
use meshy_base::error::Advise;
use meshy_base::private;

pub(crate) use super::layout::*;

/// The files of a cluster in the folder itself; `kubeconfig.lock` is kind's while it writes.
const FILES: [&str; 4] = [EMBEDDED_LOCK, EMBEDDED_LOG, KUBECONFIG, "kubeconfig.lock"];

/// The files in [`EMBEDDED`]; those that end with `new` are left by a kill.
const EMBEDDED_FILES: [&str; 4] = ["keys.json", "keys.new", "snapshot.json", "snapshot.new"];

/// Opens a file of a lab, as by [`private::open`]; none where it is absent and not to be made.
///
/// # Errors
/// The file system's; something else than a file is in its place, and then the hint is the way out.
pub(crate) fn open(name: &LabName, file: &str, flags: OFlags) -> anyhow::Result<Option<File>> {
    let path = folder(name)?.join(file);
    let error = match private::open(&path, flags) {
        Ok(file) => return Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => error,
    };
    let is_odd = fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file());
    let error = Err(error).with_context(|| format!("cannot open {}", path.display()));
    if is_odd {
        error.hint(format!("`meshy down --name {name}` removes the lab and this file"))
    } else {
        error
    }
}

/// Whether a lab's folder has files of a cluster, whatever its record has.
///
/// # Errors
/// A folder cannot be read.
pub(crate) fn has_state(name: &LabName) -> anyhow::Result<bool> {
    Ok(!state_files(&folder(name)?)?.is_empty())
}

/// Removes every file that meshy created in a lab's folder but the record, the lock and the note of a kubeconfig's lock: until those
/// go, too, the lab can be found again.
///
/// # Errors
/// A file cannot be removed; its path is in the error.
pub(crate) fn remove_state(name: &LabName) -> anyhow::Result<()> {
    let folder = folder(name)?;
    for file in state_files(&folder)?.into_iter().chain(state_folders(&folder)?) {
        remove(&file)?;
    }
    Ok(())
}

/// Removes a lab's record, the last of its files.
///
/// # Errors
/// It cannot be removed; in its place is a folder that holds something.
pub(crate) fn remove_record(name: &LabName) -> anyhow::Result<()> {
    let folder = folder(name)?;
    remove(&folder.join(KUBECONFIG_NOTE))?;
    remove(&folder.join(KUBECONFIG_ENTRY))?;
    let file = folder.join(RECORD);
    remove(&file)?;
    let is_there = fs::symlink_metadata(&file).is_ok();
    anyhow::ensure!(
        !is_there,
        "{} is a folder with files that meshy did not create: move it away",
        file.display()
    );
    Ok(())
}

/// Removes what is in the place of a lock and is not a file: nothing can be locked there, so no process holds it.
///
/// # Errors
/// It cannot be removed.
pub(crate) fn clear_locks(name: &LabName) -> anyhow::Result<()> {
    let folder = folder(name)?;
    for file in [LOCK, EMBEDDED_LOCK].map(|lock| folder.join(lock)) {
        if fs::symlink_metadata(&file).is_ok_and(|there| !there.is_file()) {
            remove(&file)?;
        }
    }
    Ok(())
}

/// Returns what is left in a lab's folder after its files were removed: what meshy did not create.
///
/// # Errors
/// A folder cannot be read.
pub(crate) fn foreign(name: &LabName) -> anyhow::Result<Vec<PathBuf>> {
    let folder = folder(name)?;
    let mut found = Vec::new();
    for entry in entries(&folder)? {
        let inside = match entry.file_name().and_then(|name| name.to_str()) {
            Some(LOCK) => continue,
            Some(EMBEDDED | CERTS_D) if is_real_folder(&entry) => entries(&entry)?,
            _ => Vec::new(),
        };
        if inside.is_empty() { found.push(entry) } else { found.extend(inside) }
    }
    found.sort();
    Ok(found)
}

/// What meshy makes in a lab's folder and its subfolders: files, and links in their place.
fn state_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut add = |folder: &Path, ours: &dyn Fn(&str) -> bool| -> anyhow::Result<()> {
        let names = list(folder)?.into_iter().filter(|name| ours(name) || private::is_temporary(name));
        found.extend(names.map(|name| folder.join(name)));
        Ok(())
    };
    add(folder, &|name| FILES.contains(&name))?;
    for folder in state_folders(folder)? {
        match folder.file_name().and_then(|name| name.to_str()) {
            Some(EMBEDDED) => add(&folder, &|name| EMBEDDED_FILES.contains(&name))?,
            _ => add(&folder, &|name| name == "hosts.toml")?,
        }
    }
    Ok(found)
}

/// The folders that meshy makes in a lab's folder, inner ones first; a link in place of one is not meshy's. The registry's
/// `hosts.toml` is in a folder for each address, `localhost:PORT`.
fn state_folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (certs_d, embedded) = (folder.join(CERTS_D), folder.join(EMBEDDED));
    let is_address =
        |name: &String| name.strip_prefix("localhost:").is_some_and(|port| port.parse::<u16>().is_ok());
    let mut found = Vec::new();
    if is_real_folder(&certs_d) {
        found.extend(list(&certs_d)?.into_iter().filter(is_address).map(|address| certs_d.join(address)));
    }
    found.extend([certs_d, embedded]);
    found.retain(|folder| is_real_folder(folder));
    Ok(found)
}

/// Removes a file or an empty folder; of a link the link itself. What is in a folder stays, and so does the folder.
fn remove(path: &Path) -> anyhow::Result<()> {
    let gone = if is_real_folder(path) { fs::remove_dir(path) } else { fs::remove_file(path) };
    match gone {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn is_real_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_dir())
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read =
        || -> io::Result<Vec<PathBuf>> { fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read.with_context(|| format!("cannot read {}", folder.display())),
    }
}

/// The names in a folder, as far as they can be meshy's.
fn list(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = entries(folder)?;
    Ok(entries.iter().filter_map(|entry| Some(entry.file_name()?.to_str()?.to_owned())).collect())
}
