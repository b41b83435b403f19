//! `meshy internal-child PID PROGRAM ARGS…`: becomes another program that the kernel ends with its parent.
//!
//! Read before the command line's parser, which would take the other program's flags for meshy's.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

/// The argument that requests it.
pub const WORD: &str = "internal-child";

static ENABLED: AtomicBool = AtomicBool::new(false);

/// From now on programs are started through this one: it must call [`run`] before it reads its arguments.
pub fn enable() {
    ENABLED.store(true, Ordering::Relaxed);
}

/// Whether [`enable`] was called.
pub(crate) fn is_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Replaces this process where the arguments ask for that; returns only when they do not, or with the failure.
pub fn run(mut args: impl Iterator<Item = OsString>) -> Option<anyhow::Error> {
    if args.nth(1)? != WORD {
        return None;
    }
    let parent = args.next().and_then(|p| p.into_string().ok()?.parse::<i32>().ok());
    let program = args.next().unwrap_or_default();
    if let Err(error) = bind_to(parent) {
        return Some(error);
    }
    let error = Command::new(&program).args(args).exec();
    Some(anyhow::Error::new(error).context(format!("cannot run {}", program.display())))
}

/// Lets this process outlive its parent from now on.
///
/// # Errors
/// The kernel's.
pub fn unbind() -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(None)
        .context("cannot unbind the program from its parent")?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn bind_to(parent: Option<i32>) -> anyhow::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot bind the program to its parent")?;
    // The parent may have died before the line above: then the signal would never be sent.
    let alive = getppid().map(|p| p.as_raw_nonzero().get()) == parent;
    anyhow::ensure!(alive, "the process that started this is gone");
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn bind_to(_parent: Option<i32>) -> anyhow::Result<()> {
    Err(anyhow::anyhow!("only Linux ends a program with its parent")).context("cannot bind the program")
}
