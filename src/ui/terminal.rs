//! Progress on stderr: one line a step, and one JSON event a line where `--events` requested them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fold::fold;
use anyhow::Context as _;
use console::{Alignment, Term, measure_text_width, pad_str, style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use meshy_base::activity::{self, Kind};
use meshy_base::report::{Progress, Report, Sink};
use meshy_base::text::{printable, printable_with_colors};
use serde_json::Value;

/// The width of the column of verbs.
const VERB: usize = 12;

/// The width of the column of objects, where there is room.
const THING: usize = 44;

/// Shows progress on stderr: spinners on a terminal, plain lines elsewhere.
#[derive(Clone, Debug)]
struct Terminal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bars: Option<MultiProgress>,
    events: Option<Mutex<Events>>,
}

#[derive(Debug)]
enum Events {
    File(File),
    Stdout,
}

/// A step that is shown.
#[derive(Debug)]
struct Line {
    terminal: Terminal,
    verb: String,
    thing: String,
    bar: Option<ProgressBar>,
}

/// Returns a report on stderr; `events` is a file or `-` for stdout.
///
/// # Errors
/// Returns an error if the events file cannot be opened.
pub fn report(events: Option<&Path>) -> anyhow::Result<Report> {
    let bars = Term::stderr().is_term().then(MultiProgress::new);
    let events = match events {
        None => None,
        Some(path) if path == Path::new("-") => Some(Mutex::new(Events::Stdout)),
        Some(path) => {
            // A FIFO opens when it has a reader.
            let _opening = activity::begin(Kind::File, format!("opening events file {}", path.display()));
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.with_context(|| format!("cannot open events file {}", path.display()))?;
            Some(Mutex::new(Events::File(file)))
        }
    };
    Ok(Report::new(Terminal(Arc::new(Inner { bars, events }))))
}

impl Terminal {
    /// Returns the width of the column of objects next to a result: smaller on a narrow terminal, so that the line fits.
    fn thing_width(&self, result: usize) -> usize {
        self.columns().map_or(THING, |columns| columns.saturating_sub(VERB + 4 + result).min(THING))
    }

    /// Returns the terminal's width; none where stderr is not a terminal.
    fn columns(&self) -> Option<usize> {
        self.0.bars.as_ref().map(|_| Term::stderr().size().1.into())
    }
}

impl Sink for Terminal {
    fn line(&self, text: &str) {
        let text = printable_with_colors(text);
        let text = self.columns().map_or_else(|| text.to_string(), |columns| fold(&text, columns));
        match &self.0.bars {
            Some(bars) => bars.suspend(|| to_stderr(&text)),
            None => to_stderr(&text),
        }
    }

    fn warning(&self, text: &str) {
        self.line(&format!("{} {text}", style("warning:").for_stderr().yellow().bold()));
    }

    fn event(&self, event: &Value) {
        let Some(events) = &self.0.events else { return };
        let line = format!("{event}\n");
        let _writing = activity::begin(Kind::File, "writing events");
        // A full disk must not end the run that the events describe.
        let _ = match &mut *lock(events) {
            Events::File(file) => file.write_all(line.as_bytes()),
            Events::Stdout => std::io::stdout().write_all(line.as_bytes()),
        };
    }

    fn begin(&self, verb: &str, thing: &str) -> Box<dyn Progress> {
        let thing = printable(thing).into_owned();
        let bar = self.0.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            // The template is fixed; without it the default style shows the same words.
            if let Ok(style) = ProgressStyle::with_template("{prefix} {spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(verb_column(verb));
            bar.set_message(thing.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Box::new(Line { terminal: self.clone(), verb: verb.to_owned(), thing, bar })
    }
}

impl Progress for Line {
    fn waiting(&self, reason: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}  {}", self.thing, style(printable(reason)).for_stderr().dim()));
        }
    }

    fn end(&mut self, result: &str, took: Duration) {
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
        let width = self.terminal.thing_width(measure_text_width(&result_and_time));
        let thing = pad_str(&self.thing, width, Alignment::Left, None);
        let verb = verb_column(&self.verb);
        let line = format!("{verb} {thing}  {result_and_time}");
        match self.terminal.columns() {
            // A name that fills the line: the result stands on the next line, not where the terminal would break.
            Some(columns) if measure_text_width(line.trim_end()) > columns => {
                self.terminal.line(&format!("{verb} {}\n{:VERB$} {result_and_time}", self.thing, ""));
            }
            _ => self.terminal.line(line.trim_end()),
        }
    }
}

fn lock(events: &Mutex<Events>) -> MutexGuard<'_, Events> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

fn verb_column(verb: &str) -> String {
    let text = pad_str(verb, VERB, Alignment::Right, None);
    style(text).for_stderr().green().bold().to_string()
}

/// Writes a line. The reader of stderr may have ended: that does not end the work.
fn to_stderr(line: &str) {
    let _writing = activity::begin(Kind::File, "writing to stderr");
    let _ = writeln!(std::io::stderr(), "{line}");
}
