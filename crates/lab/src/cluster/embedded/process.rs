//! The background process of an embedded lab, from outside: found by its lock, ended only where it is what it should be.

use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal};
use tokio::time::timeout;

use super::{PROGRAM, SERVE};
use crate::lab::{self, LabName, files};
use meshy_base::error::Advise;
use meshy_base::exec::supervise;
use meshy_base::private;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
use linux::{Handle, all, is_cluster_of};
#[cfg(not(target_os = "linux"))]
use portable::{Handle, all, is_cluster_of};

/// How long a process may take to end in good order before it is killed: its snapshot is written in milliseconds.
const GRACE: Duration = Duration::from_secs(10);

/// How long a process may hold its lock without being known as the lab's: it writes its number there microseconds later.
const SIGNING: Duration = Duration::from_secs(1);

/// Ends a process in good order, with its snapshot; kills it if that takes too long.
pub(super) const KEEP: &[Signal] = &[Signal::TERM, Signal::KILL];

/// Ends a process whose objects go with it: nothing is written, so a full disk is not an obstacle.
pub(crate) const DISCARD: &[Signal] = &[Signal::KILL];

/// A process that runs meshy and holds the lock of a lab's embedded cluster.
pub(super) struct Process {
    pub(super) pid: Pid,
    handle: Handle,
}

/// Returns the process that runs a lab's cluster; none when none runs.
///
/// # Errors
/// The lock cannot be read, or is held by something that is not this lab's cluster.
#[expect(
    clippy::disallowed_methods,
    reason = "a millisecond at a time, and only while another process signs its lock"
)]
pub(super) fn running(name: &LabName) -> anyhow::Result<Option<Process>> {
    let path = lock_file(name)?;
    let Some(file) = files::open(name, files::EMBEDDED_LOCK, OFlags::RDONLY)? else { return Ok(None) };
    let begun = Instant::now();
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        if let Some(process) = holder(&file, name) {
            return Ok(Some(process));
        }
        if begun.elapsed() >= SIGNING {
            return Err(anyhow!(
                "{} is locked by a process that is not the cluster of lab `{name}`",
                path.display()
            ))
            .hint("meshy does not end a process that it did not start: end it, then run the command again");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Ends a lab's process with the signals, one after another, and waits until the kernel reports that it is gone. Then ends what its
/// programs have left, also those of a cluster that was killed. Says whether there was a process.
///
/// # Errors
/// As [`running`]; it does not end.
pub(crate) async fn end(name: &LabName, signals: &[Signal]) -> anyhow::Result<bool> {
    let ended = end_cluster(name, signals).await?;
    supervise::end_programs(&lab::folder(name)?.display().to_string());
    Ok(ended)
}

async fn end_cluster(name: &LabName, signals: &[Signal]) -> anyhow::Result<bool> {
    let Some(process) = running(name)? else { return Ok(false) };
    let path = lock_file(name)?;
    for signal in signals {
        process.handle.send(process.pid, *signal);
        // One that was stopped handles no signal but KILL before it goes on.
        process.handle.send(process.pid, Signal::CONT);
        let path = path.clone();
        let gone = move || private::open(&path, OFlags::RDONLY).and_then(|file| file.lock_shared());
        if timeout(GRACE, tokio::task::spawn_blocking(gone)).await.is_ok() {
            return Ok(true);
        }
    }
    Err(anyhow!("process {} of the embedded cluster does not end", process.pid.as_raw_nonzero()))
}

fn lock_file(name: &LabName) -> anyhow::Result<PathBuf> {
    Ok(lab::folder(name)?.join(files::EMBEDDED_LOCK))
}

/// The process that has the lock open and runs the cluster of that lab. The file names it; what it has is
/// believed only if it is so, and where it is not, as after the file was damaged, all processes are looked at.
fn holder(lock: &File, name: &LabName) -> Option<Process> {
    let mut bytes = [0; 32];
    let read = lock.read_at(&mut bytes, 0).unwrap_or_default();
    let said = std::str::from_utf8(&bytes[..read]).unwrap_or_default();
    let named = said.trim().parse().ok().and_then(Pid::from_raw);
    named
        .and_then(|pid| checked(pid, lock, name))
        .or_else(|| all().into_iter().find_map(|pid| checked(pid, lock, name)))
}

/// The process of that number, if it is the lab's.
fn checked(pid: Pid, lock: &File, name: &LabName) -> Option<Process> {
    // First the handle: it stays this process's, also when the number becomes another's.
    let handle = Handle::of(pid)?;
    is_cluster_of(pid, lock, name).then_some(Process { pid, handle })
}
