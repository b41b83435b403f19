//! One meshy at a time for a lab: a lock that the kernel gives back when its holder dies, however it dies.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustix::fs::OFlags;
use tokio::time::{Instant, sleep, timeout};

use super::Env;
use super::files::{self, LOCK};
use super::folder::has_record;
use super::{LabName, exists, folder, remove_empty};
use meshy_base::error::{Advise, Exit};
use meshy_base::private;

/// How long a run may hold the lock without having written there who it is; it takes microseconds.
const SIGNING: Duration = Duration::from_secs(1);

/// How often a folder may go while its lock is taken: each time another run has removed the lab just then.
const ROUNDS: u32 = 100;

/// The right to change a lab; given back when dropped. A dry run changes nothing and holds none.
///
/// A lab without a record leaves nothing: then the lock goes with the folder it is in, if nothing else is there.
#[derive(Debug)]
pub struct Lock {
    held: Option<(File, LabName)>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let Some((file, name)) = self.held.take() else { return };
        // The next holder must not be taken for this one.
        let _ = file.set_len(0);
        if folder(&name).is_ok_and(|folder| !has_record(&folder)) {
            remove_empty(&name);
        }
    }
}

/// Takes a lab's lock; while another meshy holds it, waits and reports which one. With `--dry-run` no file is touched.
///
/// # Errors
/// The other one did not finish in time; the state folder cannot be written; something else is in the lock's place.
pub async fn lock(env: &Env) -> anyhow::Result<Lock> {
    if env.dry_run {
        return Ok(Lock { held: None });
    }
    let name = &env.name;
    exists(name)?;
    let folder = folder(name)?;
    let path = folder.join(LOCK);
    let mut rounds = 0..ROUNDS;
    loop {
        // Another run may be removing the folder.
        let made = private::make_folder(&folder);
        if made.as_ref().is_err_and(|error| is_gone(error, &folder)) && rounds.next().is_some() {
            continue;
        }
        made.with_context(|| format!("cannot create folder {}", folder.display()))?;
        let Some(mut file) = files::open(name, LOCK, OFlags::RDWR | OFlags::CREATE)? else {
            anyhow::ensure!(rounds.next().is_some(), "cannot create {}", path.display());
            continue;
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
            Err(TryLockError::WouldBlock) => file = wait(env, file).await?,
        }
        // The one before may have been a `down` that took the folder away: then this is the lock of nothing.
        let held = file.metadata().ok().map(|m| (m.dev(), m.ino()));
        if fs::symlink_metadata(&path).ok().map(|m| (m.dev(), m.ino())) != held {
            continue;
        }
        // Only those who wait read it: a full disk is not a reason not to remove a lab.
        let _ = sign(&mut file, &env.command);
        return Ok(Lock { held: Some((file, name.clone())) });
    }
}

/// Whether another run removed the folder while it was made here.
fn is_gone(error: &io::Error, folder: &Path) -> bool {
    match error.kind() {
        ErrorKind::NotFound => true,
        // Seen as there, and gone before it was seen to be a folder.
        ErrorKind::AlreadyExists => fs::symlink_metadata(folder).is_err(),
        _ => false,
    }
}

/// Says in the file who holds it, for the one who waits.
fn sign(file: &mut File, command: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{} {command}", std::process::id())
}

/// Reads who holds the lock; none before the holder has written it.
fn holder(file: &File) -> Option<String> {
    let mut bytes = [0; 64];
    let read = file.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(&bytes[..read]).ok()?;
    let (pid, verb) = text.split_once(' ')?;
    let pid: u32 = pid.parse().ok()?;
    let is_verb = !verb.is_empty() && verb.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    Some(if is_verb { format!("`meshy {verb}` (process {pid})") } else { format!("meshy (process {pid})") })
}

async fn wait(env: &Env, file: File) -> anyhow::Result<File> {
    let signed = (Instant::now() + SIGNING).min(env.deadline);
    let who = loop {
        match holder(&file) {
            Some(who) => break who,
            // Between its lock and its name lies a moment; a full disk keeps the name out for ever.
            None if Instant::now() >= signed => break "another meshy".to_owned(),
            None => {}
        }
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    };
    let step = env.report.step("Waiting", format!("for {who}"));
    let locking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    match timeout(env.remaining(), locking).await {
        Ok(file) => {
            step.done("it is done");
            file?.context("cannot lock the lab")
        }
        Err(_) => Err(anyhow!("{who} is still at work on lab `{}`", env.name))
            .hint("wait for it or end it; `--name` creates another lab next to this one")
            .id("lab-busy")
            .exit(Exit::Timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_that_has_not_written_its_name_yet_is_not_named() {
        let file = tempfile::tempfile().unwrap();
        for (text, who) in [
            ("", None),
            ("47", None),
            ("\u{1}\u{2} up", None),
            ("4711 up", Some("`meshy up` (process 4711)")),
            ("4711 ", Some("meshy (process 4711)")),
            ("4711 \u{1b}[2J", Some("meshy (process 4711)")),
        ] {
            file.set_len(0).unwrap();
            file.write_all_at(text.as_bytes(), 0).unwrap();
            assert_eq!(holder(&file).as_deref(), who, "{text:?}");
        }
    }
}
