//! The run as people and programs follow it: one line a step on stderr, one JSON event a line where asked.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use console::{Alignment, Term, measure_text_width, pad_str, style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::activity::{self, Activity, Kind};

/// How wide the verb's column is.
const VERB: usize = 12;

/// How wide the column of what is worked on is, where there is room.
const THING: usize = 44;

/// Where a run tells what it does. Cheap to clone; steps may run at the same time.
#[derive(Clone, Debug)]
pub struct Report(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    target: Target,
    events: Option<Mutex<Events>>,
}

#[derive(Debug)]
enum Target {
    Terminal(MultiProgress),
    Lines,
    Memory(Mutex<String>),
}

#[derive(Debug)]
enum Events {
    File(File),
    Stdout,
}

impl Report {
    /// A report on stderr: spinners on a terminal, plain lines elsewhere; `events` is a file or `-`.
    ///
    /// # Errors
    /// The events file cannot be opened.
    pub fn new(events: Option<&Path>) -> anyhow::Result<Self> {
        let target =
            if Term::stderr().is_term() { Target::Terminal(MultiProgress::new()) } else { Target::Lines };
        let events = match events {
            None => None,
            Some(path) if path == Path::new("-") => Some(Mutex::new(Events::Stdout)),
            Some(path) => {
                // A pipe opens when it has a reader.
                let _opening = activity::begin(Kind::File, format!("opening events file {}", path.display()));
                let file = OpenOptions::new().create(true).append(true).open(path);
                let file = file.with_context(|| format!("cannot open events file {}", path.display()))?;
                Some(Mutex::new(Events::File(file)))
            }
        };
        Ok(Self(Arc::new(Inner { target, events })))
    }

    /// A report that only remembers, for tests.
    pub fn memory() -> Self {
        Self(Arc::new(Inner { target: Target::Memory(Mutex::default()), events: None }))
    }

    /// What a [`Report::memory`] has heard.
    pub fn heard(&self) -> String {
        match &self.0.target {
            Target::Memory(text) => text.lock().expect("no panic while held").clone(),
            _ => String::new(),
        }
    }

    /// Says a line.
    pub fn say(&self, line: impl AsRef<str>) {
        let line = line.as_ref();
        match &self.0.target {
            Target::Terminal(bars) => bars.suspend(|| to_stderr(line)),
            Target::Lines => to_stderr(line),
            Target::Memory(text) => {
                let mut text = text.lock().expect("no panic while held");
                text.push_str(line);
                text.push('\n');
            }
        }
    }

    /// Says a warning.
    pub fn warn(&self, line: impl AsRef<str>) {
        self.say(format!("{} {}", style("warning:").for_stderr().yellow().bold(), line.as_ref()));
        self.event(json!({"event": "warning", "text": line.as_ref()}));
    }

    /// Writes one event where `--events` asked for them.
    pub fn event(&self, event: Value) {
        let Some(events) = &self.0.events else { return };
        let line = format!("{event}\n");
        let _writing = activity::begin(Kind::File, "writing events");
        // Events are a by-product: a full disk must not end the run that they tell about.
        let _ = match &mut *events.lock().expect("no panic while held") {
            Events::File(file) => file.write_all(line.as_bytes()),
            Events::Stdout => std::io::stdout().write_all(line.as_bytes()),
        };
    }

    /// How wide the column of things is beside a result: on a narrow terminal less, so that the line stays one.
    fn thing_width(&self, result: usize) -> usize {
        self.columns().map_or(THING, |columns| columns.saturating_sub(VERB + 4 + result).min(THING))
    }

    /// The terminal's width, on a terminal.
    fn columns(&self) -> Option<usize> {
        match &self.0.target {
            Target::Terminal(_) => Some(Term::stderr().size().1.into()),
            Target::Lines | Target::Memory(_) => None,
        }
    }

    /// Begins a step, for example `("Creating", "cluster `meshy`")`. End it with [`Step::done`] or [`Step::failed`].
    pub fn step(&self, verb: &str, thing: impl Into<String>) -> Step {
        let thing = thing.into();
        self.event(json!({"event": "begin", "verb": verb, "thing": thing}));
        let bar = match &self.0.target {
            Target::Terminal(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                let style =
                    ProgressStyle::with_template("{prefix} {spinner} {wide_msg}").expect("a fixed template");
                bar.set_style(style);
                bar.set_prefix(verb_column(verb));
                bar.set_message(thing.clone());
                bar.enable_steady_tick(Duration::from_millis(120));
                Some(bar)
            }
            _ => None,
        };
        let verb = verb.to_owned();
        let activity = activity::begin(Kind::Step, doing(&verb, &thing));
        Step { report: self.clone(), verb, thing, begun: Instant::now(), bar, activity, open: true }
    }

    /// Runs a step's future; its text ends the step's line.
    ///
    /// # Errors
    /// The future's, after the step was marked as failed.
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

/// A step that has begun.
#[derive(Debug)]
pub struct Step {
    report: Report,
    verb: String,
    thing: String,
    begun: Instant,
    bar: Option<ProgressBar>,
    activity: Activity,
    open: bool,
}

impl Step {
    /// Shows what the step is waiting for (on a terminal; an event elsewhere).
    pub fn waiting(&self, reason: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}  {}", self.thing, style(reason).for_stderr().dim()));
        }
        self.activity.update(format!("{}: {reason}", doing(&self.verb, &self.thing)));
        self.report
            .event(json!({"event": "waiting", "verb": self.verb, "thing": self.thing, "reason": reason}));
    }

    /// Ends the step; an empty result shows only the time.
    pub fn done(mut self, result: impl AsRef<str>) {
        self.end("done", result.as_ref());
    }

    /// Ends the step as failed; the error itself is printed by `main`.
    pub fn failed(mut self) {
        self.end("failed", "failed");
    }

    /// Ends the step with what came of it: its words, or as failed.
    ///
    /// # Errors
    /// Passes on what failed.
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
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let time = if took < Duration::from_millis(100) {
            String::new()
        } else {
            format!("{:.1}s", took.as_secs_f64())
        };
        let separator = if time.is_empty() || result.is_empty() { "" } else { ", " };
        let result_and_time = format!("{result}{separator}{time}");
        let width = self.report.thing_width(measure_text_width(&result_and_time));
        let thing = pad_str(&self.thing, width, Alignment::Left, None);
        let verb = verb_column(&self.verb);
        let line = format!("{verb} {thing}  {result_and_time}");
        match self.report.columns() {
            // A name that fills the line: what came of it stands below, not wherever the terminal breaks.
            Some(columns) if measure_text_width(line.trim_end()) > columns => {
                self.report.say(format!("{verb} {}\n{:VERB$} {result_and_time}", self.thing, ""));
            }
            _ => self.report.say(line.trim_end()),
        }
        self.report.event(json!({
            "event": event, "verb": self.verb, "thing": self.thing, "result": result, "seconds": took.as_secs_f64(),
        }));
    }
}

impl Drop for Step {
    /// A step that nobody ended was cut short, by an error elsewhere or by ctrl-C.
    fn drop(&mut self) {
        if self.open {
            self.end("stopped", "stopped");
        }
    }
}

/// A step in the middle of a sentence: `creating cluster \`meshy\``.
fn doing(verb: &str, thing: &str) -> String {
    format!("{} {thing}", verb.to_lowercase())
}

fn verb_column(verb: &str) -> String {
    let text = pad_str(verb, VERB, console::Alignment::Right, None);
    style(text).for_stderr().green().bold().to_string()
}

/// Whoever read it may be gone: that is no reason to end in the middle of the work.
fn to_stderr(line: &str) {
    let _writing = activity::begin(Kind::File, "writing to stderr");
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_tells_its_verb_its_thing_and_its_result() {
        console::set_colors_enabled_stderr(false);
        let report = Report::memory();
        report.step("Ensuring", "registry `private-registry`").done("already there");
        drop(report.step("Creating", "cluster `meshy`"));
        let heard = report.heard();
        let lines: Vec<&str> = heard.lines().map(str::trim).collect();
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>().join(" "),
            "Ensuring registry `private-registry` already there"
        );
        assert!(lines[1].ends_with("stopped"));
    }
}
