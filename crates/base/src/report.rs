//! The progress of a command. What shows it is a [`Sink`]: the terminal, or [`Memory`] in tests.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::activity::{self, Activity, Kind};

mod memory;

pub use memory::Memory;

/// Shows the progress of a command. Several steps may run at the same time.
pub trait Sink: Debug + Send + Sync {
    /// Shows a line of text.
    fn line(&self, text: &str);

    /// Shows a warning.
    fn warning(&self, text: &str);

    /// Writes one event, if events were requested.
    fn event(&self, event: &Value);

    /// Shows that a step began.
    fn begin(&self, verb: &str, thing: &str) -> Box<dyn Progress>;
}

/// Shows one step that runs.
pub trait Progress: Debug + Send + Sync {
    /// Shows what the step waits for.
    fn waiting(&self, reason: &str);

    /// Shows the end of the step: its result, which may be empty, and how long it took.
    fn end(&mut self, result: &str, took: Duration);
}

/// Where a command reports its progress. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Report(Arc<dyn Sink>);

impl Report {
    /// Reports to this sink.
    pub fn new(sink: impl Sink + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Reports a line of text.
    pub fn say(&self, line: impl AsRef<str>) {
        self.0.line(line.as_ref());
    }

    /// Reports a warning, also as an event.
    pub fn warn(&self, line: impl AsRef<str>) {
        self.0.warning(line.as_ref());
        self.event(json!({"event": "warning", "text": line.as_ref()}));
    }

    /// Reports one event.
    pub fn event(&self, event: Value) {
        self.0.event(&event);
    }

    /// Begins a step, for example `("Creating", "cluster `meshy`")`. End it with [`Step::done`] or [`Step::failed`].
    pub fn step(&self, verb: &str, thing: impl Into<String>) -> Step {
        let (verb, thing) = (verb.to_owned(), thing.into());
        self.event(json!({"event": "begin", "verb": verb, "thing": thing}));
        let progress = self.0.begin(&verb, &thing);
        let activity = activity::begin(Kind::Step, doing(&verb, &thing));
        Step { report: self.clone(), verb, thing, begun: Instant::now(), progress, activity, open: true }
    }

    /// Runs the future of a step and returns its value; its text ends the step's line.
    ///
    /// # Errors
    /// Returns the error of the future, after the step was marked as failed.
    pub async fn run<T>(
        &self,
        verb: &str,
        thing: impl Into<String>,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> anyhow::Result<T> {
        let step = self.step(verb, thing);
        let (value, _) = step.ended(work.await, |(_, result)| result.clone())?;
        Ok(value)
    }
}

/// A step that has begun. A step that is dropped before its end is shown as stopped: another error or ctrl-C ended it.
#[derive(Debug)]
pub struct Step {
    report: Report,
    verb: String,
    thing: String,
    begun: Instant,
    progress: Box<dyn Progress>,
    activity: Activity,
    open: bool,
}

impl Step {
    /// Shows what the step is waiting for; a timeout names it.
    pub fn waiting(&self, reason: &str) {
        self.progress.waiting(reason);
        self.activity.update(format!("{}: {reason}", doing(&self.verb, &self.thing)));
        self.report
            .event(json!({"event": "waiting", "verb": self.verb, "thing": self.thing, "reason": reason}));
    }

    /// Ends the step; with an empty result only the time is shown.
    pub fn done(mut self, result: impl AsRef<str>) {
        self.end("done", result.as_ref());
    }

    /// Ends the step as failed; the error itself is printed at the end of the program.
    pub fn failed(mut self) {
        self.end("failed", "failed");
    }

    /// Ends the step with the text for its value, or as failed.
    ///
    /// # Errors
    /// Returns the error of the outcome.
    pub fn ended<T>(self, outcome: anyhow::Result<T>, words: impl FnOnce(&T) -> String) -> anyhow::Result<T> {
        match &outcome {
            Ok(value) => self.done(words(value)),
            Err(_) => self.failed(),
        }
        outcome
    }

    fn end(&mut self, event: &str, result: &str) {
        self.open = false;
        let took = self.begun.elapsed();
        self.progress.end(result, took);
        self.report.event(json!({
            "event": event, "verb": self.verb, "thing": self.thing, "result": result, "seconds": took.as_secs_f64(),
        }));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if self.open {
            self.end("stopped", "stopped");
        }
    }
}

/// Returns a step in the middle of a sentence: `creating cluster \`meshy\``.
fn doing(verb: &str, thing: &str) -> String {
    format!("{} {thing}", verb.to_lowercase())
}
