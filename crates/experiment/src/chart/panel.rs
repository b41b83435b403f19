//! A panel: from time and value to a place in the picture, with its grid.

use super::draw::{Anchor, Canvas, WIDTH};

/// Where time starts and ends in each panel.
pub(super) const LEFT: f64 = 54.0;
pub(super) const RIGHT: f64 = WIDTH - 16.0;

/// A rectangle with a scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// The value at the top; the bottom is 0.
    pub(super) highest: f64,
    /// The time at the right end.
    pub(super) end: f64,
}

impl Panel {
    pub(super) fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * share(seconds, self.end)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * share(value, self.highest)
    }

    pub(super) fn at(&self, (seconds, value): (f64, f64)) -> (f64, f64) {
        (self.x(seconds), self.y(value))
    }

    /// Draws the caption and horizontal lines with their values.
    pub(super) fn grid(&self, canvas: &mut Canvas, caption: &str, values: &[f64]) {
        canvas.text("", (8.0, self.top - 14.0), Anchor::Start, WIDTH, caption);
        for value in values {
            let y = self.y(*value);
            canvas.line("mc-grid", (LEFT, y), (RIGHT, y));
            canvas.text("", (LEFT - 6.0, y + 5.0), Anchor::End, LEFT, &short(*value));
        }
    }
}

/// The part of a whole, between 0 and 1; 0 for what is not a number.
fn share(value: f64, whole: f64) -> f64 {
    let share = value / whole;
    if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
}

/// A value of an axis: `0.5`, `30`, `1.2k`.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        1e6.. => (value / 1e6, "M"),
        1e3.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text =
        if value.fract() == 0.0 || value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") };
    format!("{text}{unit}")
}

/// Returns a step of an axis: 1, 2 or 5 times a power of ten, so that at most `most` steps reach `highest`.
pub(super) fn step(highest: f64, most: f64) -> f64 {
    let rough = (highest / most).max(1e-3);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(rough)
}

/// Returns the values of an axis from 0 to the first that is not below `highest`.
pub(super) fn values(highest: f64, most: f64) -> Vec<f64> {
    let step = step(highest, most);
    let mut values = vec![0.0];
    while values.last().is_some_and(|last| *last < highest * 0.999) && values.len() < 20 {
        values.push(crate::interval::float(values.len() as u64) * step);
    }
    values
}
