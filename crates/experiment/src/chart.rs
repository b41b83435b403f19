//! The picture of every run: effective success, actual success and attempts per second over time, with the marks of changes and
//! the predicted interval. SVG for pages and files, text for a terminal.

mod draw;
mod panel;
mod style;
mod svg;
#[cfg(test)]
mod tests;
mod text;

pub use svg::svg;
pub use text::{TextOptions, text};

use crate::event::SENDER;
use crate::run::{Mark, Run, StepSeries};

/// What a chart shows: one variant of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// The title of the run, with the variant.
    pub title: String,
    /// The steps in the order of time.
    pub steps: Vec<StepSeries>,
    /// The changes in the order of time.
    pub marks: Vec<Mark>,
    /// The service whose attempts are shown.
    pub watched: String,
}

impl Chart {
    /// Builds the chart of a variant of a run.
    pub fn new(run: &Run, variant: Option<&str>) -> Self {
        let title = run.started().map(|started| started.title.clone()).unwrap_or_default();
        let title = match variant {
            Some(variant) => format!("{title}: {variant}"),
            None => title,
        };
        let results = run.results();
        let watched = results.steps().iter().find_map(|step| {
            let started = &results.step(variant, step)?.started;
            started.watched.clone().or_else(|| started.target.clone())
        });
        let watched = watched.unwrap_or_else(|| SENDER.to_owned());
        Self { title, steps: run.series(variant), marks: run.marks(variant), watched }
    }

    /// Returns the end of the time axis, in seconds; at least 1.
    fn end(&self) -> f64 {
        let marks = self.marks.iter().map(|mark| mark.at_seconds);
        self.steps
            .iter()
            .map(|step| step.end_seconds)
            .chain(marks)
            .filter(|end| end.is_finite())
            .fold(1.0, f64::max)
    }

    /// Returns whether any point has a goodput that differs from success.
    fn has_goodput(&self) -> bool {
        self.steps.iter().flat_map(|step| &step.points).any(|point| point.in_time < point.succeeded)
    }

    /// Returns the highest rate, at least 1.
    fn top_rate(&self) -> f64 {
        let points = self.steps.iter().flat_map(|step| &step.points);
        points
            .map(|point| point.attempt_rate().unwrap_or(0.0).max(point.rate()))
            .filter(|r| r.is_finite())
            .fold(1.0, f64::max)
    }
}

/// Removes what could change a terminal or a page: control characters.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Breaks a text that is wider than a line into two at its last space or point that leaves the second one shorter; what does not fit
/// into two lines is cut.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    if width(text) <= columns {
        return vec![text.to_owned()];
    }
    let fits = |end: usize| width(&text[..end]) <= columns;
    let ends = text.char_indices().filter(|(at, c)| *at > 0 && (c.is_whitespace() || *c == '.'));
    let end = ends.map(|(at, _)| at).take_while(|at| fits(*at)).last();
    match end {
        Some(end) => vec![text[..end].to_owned(), cut(text[end..].trim_start(), columns)],
        None => vec![cut(text, columns)],
    }
}

/// Cuts a text to a width in columns; wide characters count two.
fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut result = String::new();
    for c in text.chars() {
        if width(&result) + char_width(c) + 1 > columns {
            break;
        }
        result.push(c);
    }
    if columns > 0 {
        result.push('…');
    }
    result
}

/// The width of a text in columns.
fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Two columns from the first block of East Asian characters on, an estimate that is never too low.
fn char_width(c: char) -> usize {
    if u32::from(c) >= 0x1100 && !('\u{2000}'..='\u{2bff}').contains(&c) { 2 } else { 1 }
}
