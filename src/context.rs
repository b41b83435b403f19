//! What every command is handed: the global flags, the report, the deadline.

use std::pin::pin;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::activity;
use crate::cli::{Color, Global, Output};
use crate::lab::LabName;
use crate::limit;
use crate::ui::Report;

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The surroundings of one run.
#[derive(Debug)]
pub struct Context {
    /// The global flags, with `meshy.yaml` already taken into account.
    pub global: Global,
    /// Where the run tells what it does (stderr and events).
    pub report: Report,
    /// When the command must end its own waits: a little before the program ends, so that there is time for the reason and
    /// for cleaning up. See [`limit`].
    pub deadline: Instant,
}

impl Context {
    /// Prepares a run that has `left` until the program ends.
    ///
    /// # Errors
    /// The events file cannot be opened.
    pub fn new(global: Global, left: Duration) -> anyhow::Result<Self> {
        let now = Instant::now();
        let deadline = now.checked_add(left.saturating_sub(limit::grace(left))).unwrap_or(now + FOREVER);
        match global.color {
            Color::Auto => {}
            Color::Always => set_colors(true),
            Color::Never => set_colors(false),
        }
        let report = Report::new(global.events.as_deref())?;
        Ok(Self { global, report, deadline })
    }

    /// The flag that names this lab, for commands that are shown to the user; empty for the default one.
    pub fn name_flag(&self) -> String {
        if *self.global.name == *LabName::DEFAULT {
            String::new()
        } else {
            format!(" --name {}", self.global.name)
        }
    }

    /// What is left until the deadline; a year for a command that runs until the user ends it.
    pub fn remaining(&self) -> Duration {
        if !limit::is_set() {
            return FOREVER;
        }
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How long a command that is told to watch for `wanted` watches: at most what is left, with a warning.
    pub fn window(&self, wanted: Duration) -> Duration {
        let window = wanted.min(self.remaining());
        if window < wanted {
            self.report.warn(format!("`--timeout` shortens the window to {:.1} s", window.as_secs_f64()));
        }
        window
    }

    /// Runs work until the deadline. What comes after it, such as taking back a change, has the rest of the time.
    ///
    /// # Errors
    /// The work's; time ran out, with what was waited for.
    pub async fn within<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        at_most(self.remaining(), work).await
    }

    /// Runs work that ends by itself at the deadline, and cancels it where it does not: half of the time that is left then is
    /// for what must come after it.
    ///
    /// # Errors
    /// The work's; time ran out, with what was waited for.
    pub async fn nearly<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let remaining = self.remaining();
        let after = limit::left().map_or(Duration::ZERO, |left| left.saturating_sub(remaining));
        at_most(remaining + after / 2, work).await
    }

    /// Whether data is wanted as JSON.
    pub fn json(&self) -> bool {
        self.global.output == Output::Json
    }

    /// Prints the command's data on stdout: the document with `-o json`, else the text.
    ///
    /// # Errors
    /// Stdout cannot be written (a closed pipe is no error).
    pub fn data<T: Serialize>(&self, document: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        let text = if self.json() { serde_json::to_string_pretty(document)? } else { text(document) };
        crate::ui::data(&text)
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

fn set_colors(on: bool) {
    console::set_colors_enabled(on);
    console::set_colors_enabled_stderr(on);
}
