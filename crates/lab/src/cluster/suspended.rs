//! Processes that were stopped by a signal (SIGSTOP, ctrl-Z): they hold their sockets and respond to nothing.

use rustix::process::{Pid, Signal, kill_process};

/// Whether a process is stopped by a signal. Only known on Linux.
pub(super) fn is_suspended(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| state(&stat) == Some('T'))
}

/// Lets a suspended process run again. Returns whether it was suspended.
///
/// # Errors
/// The process is another user's.
pub(super) fn resume(pid: Pid) -> rustix::io::Result<bool> {
    if !is_suspended(pid) {
        return Ok(false);
    }
    kill_process(pid, Signal::CONT)?;
    Ok(true)
}

/// The state in `/proc/PID/stat`, which follows the program's name. The name is in parentheses and may contain any character.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_state_follows_the_last_parenthesis() {
        assert_eq!(state("17 (meshy) S 1 17"), Some('S'));
        assert_eq!(state("17 (a) T (b) T 1 17"), Some('T'));
        assert_eq!(state("17"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_stopped_by_a_signal_is_suspended_until_it_is_resumed() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let until = |suspended: bool| {
            let begun = Instant::now();
            // The kernel stops a process when it handles the signal.
            while is_suspended(pid) != suspended {
                assert!(begun.elapsed() < Duration::from_secs(10), "suspended is not {suspended}");
                std::thread::yield_now();
            }
        };
        assert!(!resume(pid).unwrap());
        kill_process(pid, Signal::STOP).unwrap();
        until(true);
        assert!(resume(pid).unwrap());
        until(false);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
