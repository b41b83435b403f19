//! What an operation on a lab gets from its caller.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use meshy_base::{Report, activity, limit};
use tokio::time::{Instant, timeout};

use super::{LabName, Provider};

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Asks the user a question on a terminal: what the user wrote, or none where there is no terminal.
pub type Ask = fn(&Report, &str) -> anyhow::Result<Option<bool>>;

/// What an operation on a lab gets from its caller: which lab, how it reports, when it must end.
#[derive(Clone, Debug)]
pub struct Env {
    /// Where progress is reported.
    pub report: Report,
    /// When the operation must end its own waits: a little before the program ends, so that there is time for the reason
    /// and for cleaning up. See [`limit`].
    pub deadline: Instant,
    /// The lab.
    pub name: LabName,
    /// The provider that was requested; none selects the best one that the machine has.
    pub provider: Option<Provider>,
    /// A context of the kubeconfig: the operation acts on that cluster instead of the lab's own.
    pub context: Option<String>,
    /// The kubeconfig to use instead of the user's.
    pub kubeconfig: Option<PathBuf>,
    /// Every question is answered with yes.
    pub yes: bool,
    /// Nothing is changed.
    pub dry_run: bool,
    /// The command, for the user who waits for it in another terminal.
    pub command: String,
    /// How questions reach the user.
    pub ask: Ask,
}

impl Env {
    /// Returns the deadline of an operation in a program that ends in `left`.
    pub fn deadline_within(left: Duration) -> Instant {
        let now = Instant::now();
        now.checked_add(left.saturating_sub(limit::grace(left))).unwrap_or(now + FOREVER)
    }

    /// Returns the flag that names this lab, for commands that are shown to the user; empty for the default one.
    pub fn name_flag(&self) -> String {
        if *self.name == *LabName::DEFAULT { String::new() } else { format!(" --name {}", self.name) }
    }

    /// Returns the time until the deadline; a year for a command that runs until the user ends it.
    pub fn remaining(&self) -> Duration {
        if !limit::is_set() {
            return FOREVER;
        }
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Returns how long a command measures for which `wanted` was requested: at most the remaining time, with a warning.
    pub fn window(&self, wanted: Duration) -> Duration {
        let window = wanted.min(self.remaining());
        if window < wanted {
            self.report.warn(format!("`--timeout` shortens the window to {:.1} s", window.as_secs_f64()));
        }
        window
    }

    /// Runs work until the deadline. What comes after it, such as reverting a change, has the rest of the time.
    ///
    /// # Errors
    /// Returns the error of the work, or at the deadline an error that names what was waited for.
    pub async fn within<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        at_most(self.remaining(), work).await
    }

    /// Runs work that ends by itself at the deadline, and cancels it if it does not: half of the time that is left then is
    /// for what must come after it.
    ///
    /// # Errors
    /// Returns the error of the work, or at the end of its time an error that names what was waited for.
    pub async fn nearly<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let remaining = self.remaining();
        let after = limit::left().map_or(Duration::ZERO, |left| left.saturating_sub(remaining));
        at_most(remaining + after / 2, work).await
    }
}

async fn at_most<T>(time: Duration, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut work = pin!(work);
    match timeout(time, &mut work).await {
        Ok(done) => done,
        // Before the work is dropped, and with it what it waits for.
        Err(_late) => Err(limit::timed_out(activity::longest().as_ref())),
    }
}
