//! Without `/proc` the command line of a process can be read; whether it has the lock open is not.

use std::fs::File;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::{PROGRAM, SERVE};
use crate::lab::LabName;

/// A process, by its number alone.
pub(super) struct Handle;

impl Handle {
    /// The handle of a process.
    pub(super) fn of(_pid: Pid) -> Option<Self> {
        Some(Self)
    }

    /// Sends a signal; that the process ends is seen by its lock.
    pub(super) fn send(&self, pid: Pid, signal: Signal) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether the process runs meshy and serves that lab.
pub(super) fn is_cluster_of(pid: Pid, _lock: &File, name: &LabName) -> bool {
    let pid = pid.as_raw_nonzero().to_string();
    let output = Command::new("ps").args(["-o", "command=", "-p", &pid]).output();
    let line =
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    line.ends_with(&format!("{} {SERVE} --name {name}", PROGRAM))
}

/// The processes that could be looked at: none are.
pub(super) fn all() -> Vec<Pid> {
    Vec::new()
}
