//! The lock file beside a kubeconfig that kubectl and kind respect: held while it exists.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use crate::activity::{self, Kind};
use crate::error::{Advise, Exit};
use crate::limit;

/// How long another program may hold the lock; all known ones hold it for milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a lab notes which lock file it is about to make.
const NOTE: &str = "kubeconfig-lock";

/// A held lock; given back when dropped.
#[derive(Debug)]
pub(super) struct Guard {
    lock: PathBuf,
    note: PathBuf,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Nothing better can be done about a failure than the next run's clearing by the note.
        if fs::remove_file(&self.lock).is_ok() {
            let _ = fs::remove_file(&self.note);
        }
    }
}

/// Takes the lock of a kubeconfig. `lab` is the lab's folder, whose own lock the caller holds: a lock file left by a crash of an
/// earlier run of this lab is told by the note in there and removed.
///
/// # Errors
/// Someone else holds it for long; the file system's.
pub(super) fn lock(file: &Path, lab: &Path) -> anyhow::Result<Guard> {
    let lock = PathBuf::from(format!("{}.lock", file.display()));
    let note = lab.join(NOTE);
    clear(&note, &lock);
    // Made aside, noted, then linked into place: so the note says exactly which file is ours at any moment of a crash.
    let aside = PathBuf::from(format!("{}.lock.meshy-{}", file.display(), std::process::id()));
    let made = private(&aside).with_context(|| format!("cannot make {}", aside.display()))?;
    let inode = made.metadata().context("cannot look at the lock file")?.ino();
    if let Err(error) = take_down(lab, &note, inode) {
        let _ = fs::remove_file(&aside);
        return Err(error).with_context(|| format!("cannot write {}", note.display()));
    }
    let begun = Instant::now();
    // Earlier than the program ends: the files beside the kubeconfig must go.
    let patience = limit::left().map_or(PATIENCE, |left| PATIENCE.min(left));
    let _waiting = activity::begin(Kind::File, format!("waiting for the lock {}", lock.display()));
    let linked = loop {
        match fs::hard_link(&aside, &lock) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && begun.elapsed() < patience => {
                // No more often than the holders need: a lock file gives no news.
                sleep(Duration::from_millis(10));
            }
            linked => break linked,
        }
    };
    let _ = fs::remove_file(&aside);
    if let Err(error) = linked {
        let _ = fs::remove_file(&note);
        return Err(anyhow!("{error}"))
            .with_context(|| format!("another program holds {}", lock.display()))
            .hint("if no kubectl or kind is at work, remove that file")
            .id("kubeconfig-locked")
            .exit(Exit::Prerequisite);
    }
    Ok(Guard { lock, note })
}

fn private(path: &Path) -> std::io::Result<fs::File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn take_down(lab: &Path, note: &Path, inode: u64) -> std::io::Result<()> {
    fs::create_dir_all(lab)?;
    write!(private(note)?, "{inode}")
}

fn clear(note: &Path, lock: &Path) {
    let Ok(noted) = fs::read_to_string(note) else { return };
    let there = fs::metadata(lock).ok().map(|m| m.ino().to_string());
    if there.as_deref() == Some(noted.trim()) {
        tracing::debug!("remove {} that an earlier run left", lock.display());
        let _ = fs::remove_file(lock);
    }
    let _ = fs::remove_file(note);
}
