//! Elements of an SVG: every number is finite, every text escaped and within the picture.

use std::fmt::Write as _;

use super::{cut, plain, width, wrap};
use crate::gate::escaped;

/// The width of the picture in its own units. At 400 px on a screen a text of 14 units is 11.7 px high.
pub(super) const WIDTH: f64 = 480.0;

/// The size of usual texts.
pub(super) const SIZE: f64 = 14.0;

/// The height of a line of text.
pub(super) const LINE: f64 = 20.0;

/// The size of the texts of a class.
fn size_of(class: &str) -> f64 {
    if class == "mc-title" { 16.0 } else { SIZE }
}

/// Where a text starts at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// An SVG in the making.
#[derive(Debug, Default)]
pub(super) struct Canvas {
    body: String,
}

/// A coordinate as text: two decimals, and 0 for what is not a number.
pub(super) fn coordinate(value: f64) -> String {
    let value = if value.is_finite() { value } else { 0.0 };
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

impl Canvas {
    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(coordinate);
        let _ =
            writeln!(self.body, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
    }

    pub(super) fn rectangle(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let [x, y, width, height] = [x, y, width.max(0.0), height.max(0.0)].map(coordinate);
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }

    /// A line through points; a single point becomes a short line, which is visible.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        if let [(x, y)] = points {
            return self.line(class, (x - 1.5, *y), (x + 1.5, *y));
        }
        if !points.is_empty() {
            let _ = writeln!(self.body, "<polyline class=\"{class}\" points=\"{}\"/>", list(points));
        }
    }

    /// A triangle above the axis with a text that a pointer shows.
    pub(super) fn mark(&mut self, class: &str, (x, y): (f64, f64), title: &str) {
        let points = list(&[(x, y - 8.0), (x - 5.0, y), (x + 5.0, y)]);
        let title = escaped(&plain(title));
        let _ = writeln!(
            self.body,
            "<polygon class=\"{class}\" points=\"{points}\"><title>{title}</title></polygon>"
        );
    }

    /// A text, cut to what fits between its place and the edge of the picture or `room`.
    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, room: f64, text: &str) {
        let x = if x.is_finite() { x.clamp(0.0, WIDTH) } else { 0.0 };
        let (name, edge) = match anchor {
            Anchor::Start => ("start", WIDTH - x),
            Anchor::Middle => ("middle", 2.0 * x.min(WIDTH - x)),
            Anchor::End => ("end", x),
        };
        let text = cut(&plain(text), columns(edge.min(room), size_of(class)));
        if text.is_empty() {
            return;
        }
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let [x, y] = [x, y].map(coordinate);
        let _ = writeln!(
            self.body,
            "<text{class} x=\"{x}\" y=\"{y}\" text-anchor=\"{name}\">{}</text>",
            escaped(&text)
        );
    }

    /// A text from its place to the edge of the picture, in two lines if it is too long for one; returns the height of the last.
    pub(super) fn lines(&mut self, class: &str, (x, y): (f64, f64), text: &str) -> f64 {
        let parts = wrap(&plain(text), columns(WIDTH - x, size_of(class)));
        let below = |line: usize| y + crate::interval::float(u64::try_from(line).unwrap_or(0)) * LINE;
        for (line, part) in parts.iter().enumerate() {
            self.text(class, (x, below(line)), Anchor::Start, WIDTH, part);
        }
        below(parts.len().saturating_sub(1))
    }

    /// Returns the whole SVG.
    pub(super) fn finish(self, title: &str, height: f64) -> String {
        let title = escaped(&plain(title));
        let (width, height) = (coordinate(WIDTH), coordinate(height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"mc\" viewBox=\"0 0 {width} {height}\" width=\"100%\" role=\"img\" \
             aria-label=\"{title}\">\n<style>{}</style>\n<rect class=\"mc-paper\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
            super::style::STYLE,
            self.body
        )
    }
}

/// The columns that fit: a letter of a usual font is at most 0.62 of its size wide on average.
fn columns(room: f64, size: f64) -> usize {
    let columns = (room / text_width(1, size)).floor().clamp(0.0, 1000.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    let columns = columns as usize;
    columns
}

fn text_width(columns: usize, size: f64) -> f64 {
    crate::interval::float(u64::try_from(columns).unwrap_or(u64::MAX)) * size * 0.62
}

/// The width of a usual text.
pub(super) fn wide(text: &str) -> f64 {
    text_width(width(text), SIZE)
}

fn list(points: &[(f64, f64)]) -> String {
    let pair = |(x, y): &(f64, f64)| format!("{},{}", coordinate(*x), coordinate(*y));
    points.iter().map(pair).collect::<Vec<_>>().join(" ")
}
