//! The lock file next to a kubeconfig that kubectl and kind respect: held while it exists.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustix::fs::OFlags;
use tokio::time::{Instant, sleep};

use super::write::{NEW, next_to};
use crate::lab::files::KUBECONFIG_NOTE;
use meshy_base::activity::{self, Kind};
use meshy_base::bounded::{self, Links};
use meshy_base::error::{Advise, Exit};
use meshy_base::{limit, private};

/// How long another program may hold the lock; all known ones hold it for milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest note in bytes: an inode's number.
const LARGEST_NOTE: u64 = 64;

/// A held lock, released when dropped.
#[derive(Debug)]
pub(super) struct Guard {
    lock: PathBuf,
    note: PathBuf,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // If that fails, the next run of the lab finds the file by the note.
        if fs::remove_file(&self.lock).is_ok() {
            let _ = fs::remove_file(&self.note);
        }
    }
}

/// The lock file under the name that it is created with; removed when dropped.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Takes the lock of a kubeconfig. `lab` is the lab's folder, whose own lock the caller holds, and `id` is the lab's: a lock
/// file left by a crash of an earlier run of this lab is recognized by the note in the folder and removed.
///
/// # Errors
/// Another program holds it for more than 5 s; the lock file or the note cannot be written.
pub(super) async fn lock(file: &Path, lab: &Path, id: &str) -> anyhow::Result<Guard> {
    let lock = next_to(file, ".lock");
    let note = lab.join(KUBECONFIG_NOTE);
    clear(&note, &lock);
    // Created under another name, noted, then linked into place: so the note names the file at any moment of a crash. The
    // name is the lab's, so its next run replaces what a killed one left.
    let aside = Aside(next_to(file, &format!(".lock.meshy-{id}")));
    let path = &aside.0;
    let created = create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let inode =
        created.metadata().with_context(|| format!("cannot read the state of {}", path.display()))?.ino();
    match write_note(lab, &note, inode) {
        // On a full disk `down` must work: it goes on without what only a crash in the next milliseconds needs.
        Err(error) if error.kind() != ErrorKind::StorageFull => {
            return Err(error).with_context(|| format!("cannot write {}", note.display()));
        }
        _ => {}
    }
    let begin = Instant::now();
    // Earlier than the program ends: the files next to the kubeconfig must go.
    let patience = limit::left().map_or(TIMEOUT, |left| TIMEOUT.min(left));
    let _waiting = activity::begin(Kind::File, format!("waiting for the lock {}", lock.display()));
    let linked = loop {
        match fs::hard_link(path, &lock) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && begin.elapsed() < patience => {
                // A lock file sends no event when it goes.
                sleep(Duration::from_millis(10)).await;
            }
            linked => break linked,
        }
    };
    if let Err(error) = linked {
        let _ = fs::remove_file(&note);
        if error.kind() != ErrorKind::AlreadyExists {
            return Err(error).with_context(|| format!("cannot create {}", lock.display()));
        }
        return Err(anyhow!("another program holds {}", lock.display()))
            .hint("if no kubectl or kind is at work, remove that file")
            .id("kubeconfig-locked")
            .exit(Exit::Prerequisite);
    }
    // The process that wrote it had the lock and was killed.
    let _ = fs::remove_file(next_to(file, NEW));
    Ok(Guard { lock, note })
}

fn create(path: &Path) -> std::io::Result<fs::File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn write_note(lab: &Path, note: &Path, inode: u64) -> std::io::Result<()> {
    fs::create_dir_all(lab)?;
    let mut file = private::open(note, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
    write!(file, "{inode}")
}

fn clear(note: &Path, lock: &Path) {
    let Ok(noted) = bounded::read_text(note, LARGEST_NOTE, Links::Refused) else { return };
    let there = fs::metadata(lock).ok().map(|m| m.ino().to_string());
    if there.as_deref() == Some(noted.trim()) {
        tracing::debug!("remove {} that an earlier run left", lock.display());
        let _ = fs::remove_file(lock);
    }
    let _ = fs::remove_file(note);
}
