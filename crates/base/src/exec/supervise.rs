//! `meshy internal-supervise PROGRAM ARGS…`: runs a program that ends, with all that it has started, when stdin closes.
//!
//! The process that starts it holds the other end of the pipe, which the kernel closes however that process ends. Read before the
//! command line's parser, as `leash` is.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};

use super::{children, leash};

/// The word that asks for it.
pub const WORD: &str = "internal-supervise";

/// The byte on stdin that requests SIGTERM for the program's process group.
pub const TERMINATE: u8 = b'T';

/// The exit code of a program that cannot be run, as of a shell.
pub const CANNOT_RUN: u8 = 127;

/// The exit code of a program that was killed: 128 plus SIGKILL.
const KILLED: i32 = 137;

/// Runs the program where the arguments ask for that, and returns its exit code: 128 plus the signal that ended it.
///
/// # Errors
/// The program cannot be run.
pub fn run(mut args: impl Iterator<Item = OsString>) -> Option<anyhow::Result<u8>> {
    if args.nth(1)? != WORD {
        return None;
    }
    let program = args.next().unwrap_or_default();
    Some(supervise(program, args))
}

fn supervise(program: OsString, args: impl Iterator<Item = OsString>) -> anyhow::Result<u8> {
    // What leaves its parent becomes a child of this process, and so ends with it.
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .context("cannot become the parent of orphaned processes")?;
    let mut child = start(&program, args).with_context(|| format!("cannot run {}", program.display()))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    thread::spawn(move || follow_stdin(group));
    let status = child.wait().context("cannot wait for the program")?;
    children::end_in_all_groups();
    Ok(exit_code(status))
}

/// Starts the program in a separate process group. On Linux the kernel kills it if this process is killed.
fn start(program: &OsString, args: impl Iterator<Item = OsString>) -> anyhow::Result<Child> {
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command.arg(leash::WORD).arg(std::process::id().to_string()).arg(program);
        command
    } else {
        Command::new(program)
    };
    Ok(command.args(args).stdin(Stdio::null()).process_group(0).spawn()?)
}

/// Passes requests on; ends everything when the other side of the pipe is closed.
fn follow_stdin(group: Option<Pid>) {
    let mut byte = [0];
    while std::io::stdin().read_exact(&mut byte).is_ok() {
        if byte[0] == TERMINATE
            && let Some(group) = group
        {
            // A group that has ended meanwhile needs no signal.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
    children::end_in_all_groups();
    std::process::exit(KILLED);
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_arguments_are_left_to_the_command_line() {
        for line in ["meshy", "meshy up", "meshy up internal-supervise"] {
            assert!(run(line.split(' ').map(OsString::from)).is_none(), "{line}");
        }
    }

    #[test]
    fn an_exit_code_shows_the_signal_that_ended_a_program() {
        let code = |raw| exit_code(ExitStatus::from_raw(raw));
        assert_eq!([code(0), code(3 << 8), code(9), code(15)], [0, 3, 137, 143]);
    }
}
