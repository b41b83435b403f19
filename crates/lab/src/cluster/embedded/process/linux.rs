//! What `/proc` has about a process, and signals that reach that very process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::{PROGRAM, SERVE};
use crate::lab::LabName;

/// A process, where the kernel has handles of processes: its number may come to be another's.
pub(super) struct Handle(Option<OwnedFd>);

impl Handle {
    /// The handle of a process; none where there is no such process.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Some(Self(Some(handle))),
            Err(Errno::SRCH) => None,
            Err(_) => Some(Self(None)),
        }
    }

    /// Sends a signal. A process that is gone already is as good as one that was ended; that it ends is seen by its lock.
    pub(super) fn send(&self, pid: Pid, signal: Signal) {
        let _ = match &self.0 {
            Some(handle) => pidfd_send_signal(handle, signal),
            None => kill_process(pid, signal),
        };
    }
}

/// Whether the process runs meshy, serves that lab and has its lock open.
pub(super) fn is_cluster_of(pid: Pid, lock: &File, name: &LabName) -> bool {
    let proc = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    runs_meshy(&proc) && serves(&proc, name) && has_open(&proc, lock)
}

/// The same program file as this one, or one of its name: a lab may have been made by another version.
fn runs_meshy(proc: &Path) -> bool {
    let path = |exe: io::Result<PathBuf>| -> Option<PathBuf> {
        let exe = exe.ok()?.into_os_string().into_string().ok()?;
        // A program that was replaced meanwhile, as by an update.
        Some(exe.strip_suffix(" (deleted)").unwrap_or(&exe).into())
    };
    let Some(exe) = path(fs::read_link(proc.join("exe"))) else { return false };
    let is_named = exe.file_name().is_some_and(|name| name == PROGRAM);
    is_named || path(std::env::current_exe()) == Some(exe)
}

fn serves(proc: &Path, name: &LabName) -> bool {
    let line = fs::read(proc.join("cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).skip(1).collect();
    words.starts_with(&[SERVE.as_bytes(), b"--name", name.as_bytes()])
}

fn has_open(proc: &Path, lock: &File) -> bool {
    let Ok(lock) = lock.metadata() else { return false };
    let open = fs::read_dir(proc.join("fd")).into_iter().flatten().flatten();
    // Through the link, which leads to the very file, whatever its path is now.
    open.filter_map(|fd| fs::metadata(fd.path()).ok())
        .any(|file| (file.dev(), file.ino()) == (lock.dev(), lock.ino()))
}

/// All processes that are there now.
pub(super) fn all() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_another_program_or_serves_no_lab_is_not_a_cluster() {
        let lock = tempfile::tempfile().unwrap();
        let name: LabName = "x".parse().unwrap();
        // This test has the file open, and is not a meshy that serves.
        assert!(has_open(Path::new("/proc/self"), &lock));
        assert!(runs_meshy(Path::new("/proc/self")), "the same program file");
        assert!(!serves(Path::new("/proc/self"), &name));
        assert!(!is_cluster_of(rustix::process::getpid(), &lock, &name));
        let mut sleep = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let proc = PathBuf::from(format!("/proc/{}", sleep.id()));
        assert!(!has_open(&proc, &lock));
        // Until it is `sleep` it is this program's copy.
        while runs_meshy(&proc) {
            std::thread::yield_now();
        }
        sleep.kill().unwrap();
        sleep.wait().unwrap();
        assert!(all().contains(&rustix::process::getpid()));
    }
}
