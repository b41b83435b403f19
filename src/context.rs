//! What every command is handed: the global flags, the report, the deadline.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::cli::{Color, Global, Output};
use crate::lab::LabName;
use crate::ui::Report;

/// The surroundings of one run.
#[derive(Debug)]
pub struct Context {
    /// The global flags, with `meshy.yaml` already taken into account.
    pub global: Global,
    /// Where the run tells what it does (stderr and events).
    pub report: Report,
    /// When the whole run must be over.
    pub deadline: Instant,
}

impl Context {
    /// Prepares a run.
    ///
    /// # Errors
    /// The events file cannot be opened.
    pub fn new(global: Global) -> anyhow::Result<Self> {
        match global.color {
            Color::Auto => {}
            Color::Always => set_colors(true),
            Color::Never => set_colors(false),
        }
        let report = Report::new(global.events.as_deref())?;
        let deadline = Instant::now() + global.timeout;
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

    /// What is left of the run's time.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
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

fn set_colors(on: bool) {
    console::set_colors_enabled(on);
    console::set_colors_enabled_stderr(on);
}
