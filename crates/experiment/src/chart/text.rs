//! The chart for a terminal: fixed width and height, readable without colour.

use super::{Chart, cut, plain, width};
use crate::interval::float;
use crate::run::{MarkKind, Point};

/// How the chart is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns, at least 40.
    pub width: usize,
    /// Lines, at least 9.
    pub height: usize,
    /// Whether ANSI colours are used; red is failure.
    pub colour: bool,
    /// Whether only ASCII is used.
    pub ascii: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { width: 80, height: 18, colour: false, ascii: false }
    }
}

const LABEL: usize = 7;
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 9] = [' ', '.', '.', ':', ':', '-', '=', '#', '#'];

/// A cell: its character and whether it shows a failure.
#[derive(Clone, Copy)]
struct Column {
    value: Option<f64>,
    failing: bool,
}

/// Returns the chart in exactly `height` lines of at most `width` columns.
pub fn text(chart: &Chart, options: TextOptions) -> String {
    let options = TextOptions { width: options.width.max(40), height: options.height.max(9), ..options };
    let columns = options.width - LABEL - 1;
    let buckets = buckets(chart, columns);
    // Title, three captions, marks and axis; the rest is shared by three panels.
    let rows = ((options.height - 6) / 3).max(1);
    let mut lines = vec![title(chart, options)];
    let share = |of: fn(&Point) -> Option<f64>| -> Vec<Column> {
        let column = |point: &Option<Point>| {
            let value = point.as_ref().and_then(of);
            Column { value, failing: value.is_some_and(|value| value < 0.99) }
        };
        buckets.iter().map(column).collect()
    };
    let (effective, actual) = (share(Point::effective), share(Point::actual));
    let effective_caption = caption(chart, "effective success", Point::effective, &percent, options);
    lines.push(cut(&format!("{effective_caption}{}", predicted(chart)), options.width));
    lines.extend(panel(&effective, 1.0, rows, &percent, options));
    lines.push(caption(chart, "actual success", Point::actual, &percent, options));
    lines.extend(panel(&actual, 1.0, rows, &percent, options));
    let rate = |point: &Point| point.attempt_rate().or(Some(point.rate()));
    let rates: Vec<Column> =
        buckets.iter().map(|point| Column { value: point.as_ref().and_then(rate), failing: false }).collect();
    let name = if buckets.iter().flatten().any(|point| point.attempts.is_some()) {
        "attempts/s"
    } else {
        "requests/s"
    };
    lines.push(caption(chart, name, rate, &per_second, options));
    lines.extend(panel(&rates, chart.top_rate(), rows, &per_second, options));
    lines.push(marks(chart, columns, options));
    lines.push(axis(chart, columns, options));
    lines.truncate(options.height);
    lines.resize(options.height, String::new());
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The title, and what the signs of changes mean where there are some.
fn title(chart: &Chart, options: TextOptions) -> String {
    let signs = if options.ascii { "^ policy  ! fault" } else { "▲ policy  ! fault" };
    if chart.marks.is_empty() {
        return cut(&plain(&chart.title), options.width);
    }
    let room = options.width - width(signs) - 2;
    let title = cut(&plain(&chart.title), room);
    format!("{title}{}{signs}", " ".repeat(options.width - width(signs) - width(&title)))
}

fn percent(value: f64) -> String {
    // 99.96 % is not 100 %.
    let percent = value * 100.0;
    if percent > 99.0 && percent < 100.0 {
        format!("{:.1}%", (percent * 10.0).floor() / 10.0)
    } else {
        format!("{percent:.0}%")
    }
}

fn per_second(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// The points that belong to each column, added up.
fn buckets(chart: &Chart, columns: usize) -> Vec<Option<Point>> {
    let mut buckets: Vec<Option<Point>> = vec![None; columns];
    for point in chart.steps.iter().flat_map(|step| &step.points) {
        let first = column(point.at_seconds - point.length_seconds, chart, columns);
        let last = column(point.at_seconds - 1e-6, chart, columns);
        for bucket in &mut buckets[first..=last.max(first)] {
            *bucket = Some(match *bucket {
                // Several points share the column: their counts add up.
                Some(known) => known.merged(*point),
                None => *point,
            });
        }
    }
    buckets
}

/// The column of a time.
fn column(seconds: f64, chart: &Chart, columns: usize) -> usize {
    let place = (seconds / chart.end()).clamp(0.0, 1.0) * float(columns as u64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the columns")]
    let place = place as usize;
    place.min(columns - 1)
}

/// The name of a panel with the value now first, then that of the whole run.
fn caption(
    chart: &Chart,
    name: &str,
    value: impl Fn(&Point) -> Option<f64>,
    words: &dyn Fn(f64) -> String,
    options: TextOptions,
) -> String {
    // A tick without edges says nothing about attempts: the last that does is the one now.
    let known = |point: &&Point| value(point).is_some();
    let now = chart.steps.last().and_then(|step| step.points.iter().rfind(known)).and_then(&value);
    let whole = chart.steps.iter().flat_map(|step| &step.points).filter(known).copied().reduce(Point::merged);
    let words = |value: Option<f64>| value.map_or("-".to_owned(), words);
    let text =
        format!("{name}: now {}, whole run {}", words(now), words(whole.and_then(|point| value(&point))));
    cut(&text, options.width)
}

/// What is predicted for the last step, where something is.
fn predicted(chart: &Chart) -> String {
    let success = chart.steps.last().and_then(|step| step.prediction.as_ref()?.success);
    let finite = success.filter(|interval| interval.low.is_finite() && interval.high.is_finite());
    finite.map_or(String::new(), |interval| {
        format!(", predicted {} to {}", percent(interval.low), percent(interval.high))
    })
}

/// The rows of a panel from top to bottom, the label of the highest and the lowest value in front.
fn panel(
    columns: &[Column],
    highest: f64,
    rows: usize,
    words: &dyn Fn(f64) -> String,
    options: TextOptions,
) -> Vec<String> {
    let signs = if options.ascii { ASCII } else { BLOCKS };
    let row = |row: usize| {
        let label = match row {
            0 => words(highest),
            last if last + 1 == rows => words(0.0),
            _ => String::new(),
        };
        let edge = if options.ascii { '|' } else { '│' };
        let mut line = format!("{label:>LABEL$}{edge}");
        let mut red = false;
        for column in columns {
            let failing = column.failing && options.colour;
            if failing != red {
                line.push_str(if failing { "\x1b[31m" } else { "\x1b[0m" });
                red = failing;
            }
            line.push(sign(column.value, highest, rows - 1 - row, rows, &signs));
        }
        if red {
            line.push_str("\x1b[0m");
        }
        line
    };
    (0..rows).map(row).collect()
}

/// The part of a bar in one row; `row` counts from the bottom. A measured 0 is the thinnest bar, not an empty cell.
fn sign(value: Option<f64>, highest: f64, row: usize, rows: usize, signs: &[char; 9]) -> char {
    let Some(value) = value.filter(|value| value.is_finite()) else { return ' ' };
    let filled = (value / highest).clamp(0.0, 1.0) * float(rows as u64) - float(row as u64);
    let eighths = (filled * 8.0).round().clamp(0.0, 8.0);
    let least = if row == 0 { 1.0 } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 8")]
    let eighths = eighths.max(least) as usize;
    signs[eighths]
}

/// A line with a sign under each change of a policy or fault.
fn marks(chart: &Chart, columns: usize, options: TextOptions) -> String {
    let mut line = vec![' '; columns];
    for mark in &chart.marks {
        let sign = match (mark.kind, options.ascii) {
            (MarkKind::Policy, false) => '▲',
            (MarkKind::Policy, true) => '^',
            (MarkKind::Fault, _) => '!',
        };
        line[column(mark.at_seconds, chart, columns)] = sign;
    }
    let label = if chart.marks.is_empty() { "" } else { "changes" };
    format!("{label:>LABEL$} {}", line.into_iter().collect::<String>())
}

/// The time axis: the number of each step where it starts, and the end in seconds.
fn axis(chart: &Chart, columns: usize, options: TextOptions) -> String {
    let fill = if options.ascii { '-' } else { '─' };
    let mut line = vec![fill; columns];
    let end: Vec<char> = format!(" {:.0} s", chart.end()).chars().collect();
    let room = columns - end.len();
    let mut free = 0;
    for (number, step) in (1..).zip(&chart.steps) {
        let text = format!("{number}:{} ", plain(&step.step));
        let start = column(step.start_seconds, chart, columns);
        // Wide characters would shift the rest of the line.
        if start < free || width(&text) != text.chars().count() {
            continue;
        }
        for (place, c) in line[..room].iter_mut().skip(start).zip(text.chars()) {
            *place = c;
        }
        free = start + text.chars().count();
    }
    line[room..].copy_from_slice(&end);
    format!("{:>LABEL$} {}", "step", line.into_iter().collect::<String>())
}
