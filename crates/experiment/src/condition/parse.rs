//! From a text to a condition, with the column of an error.

use std::str::FromStr;
use std::time::Duration;

use super::{Condition, Metric, Operand, Operator, Place, Right, Unit};
use crate::error::instead_of;
use crate::event::Outcome;
use crate::units::{Length, number};

/// A text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {text}{}", self.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct ParseError {
    /// Column, from 1.
    pub column: u64,
    /// What is wrong.
    pub text: String,
    /// What to write instead.
    pub hint: Option<String>,
}

type Parsed<T> = Result<T, ParseError>;

/// Reads several conditions with commas between them, as `--expect` does.
///
/// # Errors
/// The first part that is not a condition; columns count from the start of the whole text.
pub fn parse_list(text: &str) -> Parsed<Vec<Condition>> {
    let mut start = 0;
    let mut conditions = Vec::new();
    for part in text.split(',') {
        let parsed = part.parse().map_err(|error: ParseError| {
            let before = u64::try_from(text[..start].chars().count()).unwrap_or_default();
            ParseError { column: error.column + before, ..error }
        })?;
        conditions.push(parsed);
        start += part.len() + 1;
    }
    Ok(conditions)
}

/// A part of the text and where it starts.
#[derive(Clone, Copy)]
struct Part<'a> {
    whole: &'a str,
    start: usize,
    text: &'a str,
}

impl<'a> Part<'a> {
    fn new(whole: &'a str) -> Self {
        Self { whole, start: 0, text: whole }.trimmed()
    }

    fn trimmed(self) -> Self {
        let text = self.text.trim_start();
        Self { start: self.start + self.text.len() - text.len(), text: text.trim_end(), ..self }
    }

    /// The text before and after the byte `at`, without the `length` bytes there.
    fn split(self, at: usize, length: usize) -> (Self, Self) {
        let before = Self { text: &self.text[..at], ..self };
        let after = Self { text: &self.text[at + length..], start: self.start + at + length, ..self };
        (before.trimmed(), after.trimmed())
    }

    fn error<T>(self, text: impl Into<String>, hint: Option<String>) -> Parsed<T> {
        let column = self.whole[..self.start.min(self.whole.len())].chars().count() + 1;
        let column = u64::try_from(column).unwrap_or_default();
        Err(ParseError { column, text: text.into(), hint })
    }
}

impl FromStr for Condition {
    type Err = ParseError;

    fn from_str(text: &str) -> Parsed<Self> {
        let whole = Part::new(text);
        let hint =
            || Some("write for example `retries.success > no-retries.success` or `p99 < 200ms`".to_owned());
        let Some((at, symbol, operator)) = operator(whole.text) else {
            return whole.error("there is no comparison", hint());
        };
        let (left, right) = whole.split(at, symbol.len());
        if left.text.is_empty() || right.text.is_empty() {
            return whole.error("a side of the comparison is missing", hint());
        }
        let left_operand = operand(left)?;
        let right_side = side(right, left_operand.metric)?;
        let exact = matches!(operator, Operator::Equal | Operator::Unequal);
        if left_operand.metric == Metric::Class && !exact {
            return left.error("a class is compared by == or !=", None);
        }
        let measured_by_intervals = matches!(
            left_operand.metric,
            Metric::P50
                | Metric::P95
                | Metric::P99
                | Metric::Max
                | Metric::Rate
                | Metric::ActualRate
                | Metric::AddedLoad
                | Metric::Recovery
        );
        if exact && (measured_by_intervals || matches!(right_side, Right::Operand(_))) {
            let hint = Some("use >, >=, < or <=".to_owned());
            return left.error(
                format!("`{symbol}` compares counts exactly, and `{}` is not a count", left_operand.metric),
                hint,
            );
        }
        let is_share = left_operand.metric != Metric::AddedLoad;
        if operator == Operator::Near && !(is_share && matches!(right_side, Right::Value(_, Unit::Ratio))) {
            return right.error("`~` compares a share with a predicted one, such as 10%", None);
        }
        Ok(Self { left: left_operand, operator, right: right_side })
    }
}

impl FromStr for Operand {
    type Err = ParseError;

    fn from_str(text: &str) -> Parsed<Self> {
        operand(Part::new(text))
    }
}

/// Finds the first comparison; the `>` of an edge's `->` is none.
fn operator(text: &str) -> Option<(usize, &'static str, Operator)> {
    (0..text.len()).filter(|at| text.is_char_boundary(*at)).find_map(|at| {
        let edge = at > 0 && text.as_bytes()[at - 1] == b'-' && text.as_bytes()[at] == b'>';
        let found = Operator::ALL.iter().find(|(symbol, _)| text[at..].starts_with(symbol) && !edge);
        found.map(|(symbol, operator)| (at, *symbol, *operator))
    })
}

fn side(part: Part<'_>, metric: Metric) -> Parsed<Right> {
    let units = metric.units();
    if units == [Unit::Class] {
        return match part.text {
            class @ ("recovered" | "metastable") => Ok(Right::Class(class.to_owned())),
            other => {
                part.error(format!("unknown class `{other}`"), instead_of(other, ["recovered", "metastable"]))
            }
        };
    }
    if part.text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        let found =
            units.iter().find_map(|unit| value(part.text, *unit).map(|value| Right::Value(value, *unit)));
        let expected: Vec<&str> = units.iter().map(|unit| unit.example()).collect();
        let expected = expected.join(" or ");
        return match found {
            Some(found) => Ok(found),
            None => {
                part.error(format!("invalid value `{}` for `{metric}`, expected {expected}", part.text), None)
            }
        };
    }
    let right = operand(part)?;
    if right.metric.units() != units {
        return part.error(format!("`{}` and `{metric}` have different units", right.metric), None);
    }
    Ok(Right::Operand(right))
}

fn value(text: &str, unit: Unit) -> Option<f64> {
    match unit {
        Unit::Ratio => {
            text.strip_suffix('%').and_then(|text| number(text.trim_end())).map(|percent| percent / 100.0)
        }
        Unit::PerSecond => text.strip_suffix("/s").and_then(|text| number(text.trim_end())),
        Unit::Millis => text.parse().ok().map(|Length(length)| length.as_secs_f64() * 1000.0),
        Unit::PerRequest => number(text.strip_suffix('x').unwrap_or(text)),
        Unit::Count => number(text),
        Unit::Class => None,
    }
}

fn operand(part: Part<'_>) -> Parsed<Operand> {
    let (before, place) = match part.text.find('@') {
        Some(at) => {
            let (before, after) = part.split(at, 1);
            (before, Some(place(after)?))
        }
        None => (part, None),
    };
    let (variant, rest) = match before.text.find('/') {
        Some(at) => {
            let (variant, rest) = before.split(at, 1);
            (Some(name(variant)?), rest)
        }
        None => (None, before),
    };
    let (step, rest) = step(rest)?;
    let (step, window) = match step {
        None => (None, None),
        Some(step) => {
            let (name, window) = window(step)?;
            (Some(name), window)
        }
    };
    let metric = metric(rest)?;
    let timed = matches!(
        metric,
        Metric::P50
            | Metric::P95
            | Metric::P99
            | Metric::Max
            | Metric::Recovery
            | Metric::Class
            | Metric::Probes
    );
    if window.is_some() && timed {
        return rest.error(format!("`{metric}` is measured over the whole step only"), None);
    }
    if place.is_some() && matches!(metric, Metric::Goodput | Metric::Recovery | Metric::Class) {
        return rest.error(format!("`{metric}` is measured at the sender only"), None);
    }
    if place.is_none()
        && matches!(metric, Metric::Share | Metric::Wasted | Metric::MutualTls | Metric::Probes)
    {
        return rest.error(format!("`{metric}` needs a place, write `{metric}@SERVICE`"), None);
    }
    Ok(Operand { variant, step, window, metric, place })
}

/// Splits the step from the metric: the point before the metric's name, which may contain one itself.
fn step(part: Part<'_>) -> Parsed<(Option<Part<'_>>, Part<'_>)> {
    let head = part.text.split('.').next().unwrap_or_default();
    if Metric::simple(part.text).is_some() || ["status", "outcomes"].contains(&head) {
        return Ok((None, part));
    }
    // A window contains points.
    let after = part.text.find(']').unwrap_or(0);
    match part.text[after..].find('.') {
        Some(at) => {
            let (step, metric) = part.split(after + at, 1);
            Ok((Some(step), metric))
        }
        None => {
            let hint = instead_of(part.text, Metric::NAMES);
            part.error(format!("unknown metric `{}`", part.text), hint)
        }
    }
}

fn window(part: Part<'_>) -> Parsed<(String, Option<(Duration, Duration)>)> {
    let Some(at) = part.text.find('[') else { return Ok((name(part)?, None)) };
    let (step, rest) = part.split(at, 1);
    let bounds = rest.text.strip_suffix(']').and_then(|text| text.split_once(".."));
    let bounds = bounds.and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)));
    match bounds {
        Some((Length(from), Length(to))) if from < to => Ok((name(step)?, Some((from, to)))),
        _ => rest.error("invalid window, expected for example [20s..50s]", None),
    }
}

fn name(part: Part<'_>) -> Parsed<String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if part.text.is_empty() || !part.text.chars().all(valid) {
        return part.error(format!("invalid name `{}`", part.text), None);
    }
    Ok(part.text.to_owned())
}

fn place(part: Part<'_>) -> Parsed<Place> {
    match part.text.find("->") {
        Some(at) => {
            let (from, to) = part.split(at, 2);
            Ok(Place::Edge(name(from)?, name(to)?))
        }
        None => name(part).map(Place::Service),
    }
}

fn metric(part: Part<'_>) -> Parsed<Metric> {
    let (head, argument) = match part.text.find('.') {
        Some(at) => {
            let (head, argument) = part.split(at, 1);
            (head, Some(argument))
        }
        None => (part, None),
    };
    match (head.text, argument) {
        ("outcomes", Some(argument)) => match Outcome::of_id(argument.text) {
            Some(outcome) => Ok(Metric::Outcome(outcome)),
            None => {
                let hint = instead_of(argument.text, Outcome::ALL.iter().map(Outcome::id));
                argument.error(format!("unknown outcome `{}`", argument.text), hint)
            }
        },
        ("status", Some(argument)) => match argument.text.parse() {
            Ok(status) if (100..=599).contains(&status) => Ok(Metric::Status(status)),
            _ => argument.error(format!("invalid status `{}`, expected 100 to 599", argument.text), None),
        },
        (known, None) if Metric::simple(known).is_some() => {
            Metric::simple(known).map_or_else(|| head.error("unknown metric", None), Ok)
        }
        (unknown, _) => {
            let names = Metric::NAMES.iter().copied().chain(["outcomes.CLASS", "status.CODE"]);
            head.error(format!("unknown metric `{unknown}`"), instead_of(unknown, names))
        }
    }
}
