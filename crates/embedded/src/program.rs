//! Programs: what the containers of the embedded cluster run.
//!
//! A container is a task of this process, not a process of the system. Its image selects a [`Program`], which runs
//! once for each start of the container:
//!
//! ```text
//!   image ── Programs::find ──► dyn Program ── run(Execution) ──► exit code
//!                                                 │
//!            in:   command, args, env, ports, pod, network, termination (SIGTERM)
//!            out:  log, ready
//!            dropping the future of `run` is SIGKILL
//! ```
//!
//! A new program is one implementation of the trait and one line in `cluster/programs.rs`.

mod execution;
pub(crate) mod image;
mod registry;

pub(crate) use execution::{Env, Execution, ReadySignal, TerminationSignal};
pub(crate) use registry::{Images, Programs};

use meshy_net::BoxFuture;

/// The exit code of a container; by convention, 128 plus the signal that ended it.
pub(crate) type ExitCode = u8;

/// The program of a container image.
pub(crate) trait Program: Send + Sync + 'static {
    /// Runs the program once and returns its exit code.
    ///
    /// - It calls [`ReadySignal::set`] when it can serve. A container without a readiness probe is ready from then on.
    /// - After [`TerminationSignal::requested`] it finishes its work and returns. If it does not return within the grace
    ///   period, the future is dropped.
    /// - Dropping the future ends everything that the program has started.
    fn run(&self, execution: Execution) -> BoxFuture<'static, ExitCode>;
}
