//! `meshy internal-supervise LAB PROGRAM ARGS…`: runs a program that ends, with all that it has started, when stdin closes.
//!
//! The process that starts it holds the other end of the pipe, which the kernel closes however that process ends. If the supervisor
//! itself is killed, [`end_programs`] finds what the program has started by a variable in its environment. Read before the command
//! line's parser, as `bound` is.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};

use super::{bound, children};

/// The argument that requests it.
pub const WORD: &str = "internal-supervise";

/// The word that ends what the program of a killed supervisor has started: `meshy internal-supervise-end LAB PID`.
pub const END_WORD: &str = "internal-supervise-end";

/// The variable of a program and of all that it has started: `LAB/PID`, with the number of the supervisor.
const MARK: &str = "MESHY_PROGRAM_OF";

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
    let word = args.nth(1)?;
    if word != WORD && word != END_WORD {
        return None;
    }
    let lab = args.next().unwrap_or_default().to_string_lossy().into_owned();
    let next = args.next().unwrap_or_default();
    if word == END_WORD {
        let mark = format!("{lab}/{}", next.to_string_lossy());
        children::end_marked(MARK, |value| value == mark);
        return Some(Ok(0));
    }
    Some(supervise(&lab, next, args))
}

/// Kills what programs of a lab have left: all that was started with their mark, on Linux.
pub fn end_programs(lab: &str) {
    children::end_marked(MARK, |value| value.rsplit_once('/').is_some_and(|(of, _)| of == lab));
}

fn supervise(lab: &str, program: OsString, args: impl Iterator<Item = OsString>) -> anyhow::Result<u8> {
    // What leaves its parent becomes a child of this process, and so ends with it.
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .context("cannot become the parent of orphaned processes")?;
    let mut child =
        start(lab, &program, args).with_context(|| format!("cannot run {}", program.display()))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    thread::spawn(move || follow_stdin(group));
    let status = child.wait().context("cannot wait for the program")?;
    children::end_in_all_groups();
    Ok(exit_code(status))
}

/// Starts the program in a separate process group. On Linux the kernel kills it if this process is killed.
fn start(lab: &str, program: &OsString, args: impl Iterator<Item = OsString>) -> anyhow::Result<Child> {
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command.arg(bound::WORD).arg(std::process::id().to_string()).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.env(MARK, format!("{lab}/{}", std::process::id()));
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
