//! One meshy at a time for a lab: a lock that the kernel gives back when its holder dies, however it dies.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use tokio::time::timeout;

use super::folder;
use crate::context::Context;
use crate::error::{Advise, Exit};
use crate::private;

/// The right to change a lab; given back when dropped. A dry run changes nothing and holds none.
#[derive(Debug)]
pub struct Lock {
    _file: Option<File>,
}

/// Takes a lab's lock; while another meshy holds it, waits and says who that is. With `--dry-run` no file is touched.
///
/// # Errors
/// The other one did not finish in time; the state folder cannot be written.
pub async fn lock(context: &Context) -> anyhow::Result<Lock> {
    if context.global.dry_run {
        return Ok(Lock { _file: None });
    }
    let name = &context.global.name;
    let folder = folder(name)?;
    loop {
        private::ensure_folder(&folder)?;
        let path = folder.join("lock");
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
            Err(TryLockError::WouldBlock) => file = wait(context, file).await?,
        }
        // The one before may have been a `down` that took the folder away: then this is the lock of nothing.
        let held = file.metadata().ok().map(|m| m.ino());
        if fs::metadata(&path).ok().map(|m| m.ino()) != held {
            continue;
        }
        sign(&mut file).with_context(|| format!("cannot write {}", path.display()))?;
        return Ok(Lock { _file: Some(file) });
    }
}

fn open(path: &PathBuf) -> anyhow::Result<File> {
    let file =
        fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

/// Says in the file who holds it, for the one who waits.
fn sign(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{} {}", std::process::id(), std::env::args().nth(1).unwrap_or_default())
}

async fn wait(context: &Context, mut file: File) -> anyhow::Result<File> {
    let mut who = String::new();
    let _ = file.read_to_string(&mut who);
    let (pid, verb) = who.split_once(' ').unwrap_or((&who, ""));
    let holder = format!("`meshy {verb}` (process {pid})");
    let step = context.report.step("Waiting", format!("for {holder}"));
    let locking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    match timeout(context.remaining(), locking).await {
        Ok(file) => {
            step.done("it is done");
            file?.context("cannot lock the lab")
        }
        Err(_) => Err(anyhow!("{holder} is still at work on lab `{}`", context.global.name))
            .hint("wait for it or end it; `--name` makes another lab beside this one")
            .id("lab-busy")
            .exit(Exit::Timeout),
    }
}
