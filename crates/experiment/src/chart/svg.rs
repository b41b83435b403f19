//! The chart as SVG: success above, rates below, steps and marks through both, their texts as a list under them.

use super::draw::{Anchor, Canvas, LINE, SIZE, WIDTH, wide};
use super::panel::{LEFT, Panel, RIGHT, step, values};
use super::{Chart, plain};
use crate::run::{MarkKind, Point};

/// Lines of the list under the chart beyond this are only counted.
const MOST_LINES: usize = 12;

/// Returns the chart as an SVG that takes the width of what surrounds it and needs nothing else.
pub fn svg(chart: &Chart) -> String {
    let mut canvas = Canvas::default();
    let title = canvas.lines("mc-title", (8.0, 22.0), &chart.title);
    let top = legend(&mut canvas, chart, title + 22.0) + 38.0;
    let end = chart.end();
    let success = Panel { top, bottom: top + 150.0, highest: 100.0, end };
    let rates = values(chart.top_rate(), 4.0);
    let highest = rates.last().copied().unwrap_or(1.0);
    let rate = Panel { top: success.bottom + 64.0, bottom: success.bottom + 154.0, highest, end };
    success.grid(&mut canvas, "success, % of requests and of attempts", &[0.0, 25.0, 50.0, 75.0, 100.0]);
    rate.grid(&mut canvas, &format!("per second, attempts at {}", plain(&chart.watched)), &rates);
    bands(&mut canvas, chart, &success);
    failures(&mut canvas, chart, &success);
    steps(&mut canvas, chart, &success, &rate);
    let percent = |share: Option<f64>| share.map(|share| share * 100.0);
    lines(&mut canvas, chart, &success, "mc-actual", |point| percent(point.actual()));
    if chart.has_goodput() {
        lines(&mut canvas, chart, &success, "mc-goodput", |point| percent(point.goodput()));
    }
    lines(&mut canvas, chart, &success, "mc-effective", |point| percent(point.effective()));
    lines(&mut canvas, chart, &rate, "mc-requests", |point| Some(point.rate()));
    lines(&mut canvas, chart, &rate, "mc-attempts", Point::attempt_rate);
    for mark in &chart.marks {
        canvas.mark(mark_class(mark.kind), (success.x(mark.at_seconds), success.bottom + 10.0), &mark.text);
    }
    seconds(&mut canvas, &rate);
    let bottom = list(&mut canvas, chart, rate.bottom + 56.0);
    canvas.finish(&format!("{}: success and attempts per second over time", chart.title), bottom)
}

fn mark_class(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Policy => "mc-policy",
        MarkKind::Fault => "mc-fault",
    }
}

/// Draws the legend in as many lines as it needs and returns where it ends.
fn legend(canvas: &mut Canvas, chart: &Chart, top: f64) -> f64 {
    let mut entries = vec![
        ("mc-line mc-effective", "effective success"),
        ("mc-line mc-actual", "actual success"),
        ("mc-fail", "failed requests"),
        ("mc-line mc-attempts", "attempts"),
        ("mc-line mc-requests", "requests"),
    ];
    if chart.has_goodput() {
        entries.push(("mc-line mc-goodput", "goodput"));
    }
    if chart.steps.iter().any(|step| success_of(step).is_some()) {
        entries.push(("mc-band", "predicted"));
    }
    let (mut x, mut y) = (8.0, top);
    for (class, name) in entries {
        let needed = 34.0 + wide(name);
        if x + needed > WIDTH {
            (x, y) = (8.0, y + LINE);
        }
        if class.starts_with("mc-line") {
            canvas.line(class, (x, y - 5.0), (x + 22.0, y - 5.0));
        } else {
            canvas.rectangle(class, (x, y - 11.0), (22.0, 12.0));
        }
        canvas.text("", (x + 27.0, y), Anchor::Start, WIDTH, name);
        x += needed + 8.0;
    }
    y
}

fn success_of(step: &crate::run::StepSeries) -> Option<crate::interval::Interval> {
    step.prediction.as_ref()?.success
}

/// Draws the predicted interval of each step.
fn bands(canvas: &mut Canvas, chart: &Chart, panel: &Panel) {
    for step in &chart.steps {
        let Some(predicted) = success_of(step) else { continue };
        let (left, right) = (panel.x(step.start_seconds), panel.x(step.end_seconds));
        let (top, bottom) = (panel.y(predicted.high * 100.0), panel.y(predicted.low * 100.0));
        // An interval without width is a line of 3 units.
        canvas.rectangle("mc-band", (left, top.min(bottom - 3.0)), (right - left, (bottom - top).max(3.0)));
    }
}

/// Fills in red what is missing to 100 %.
fn failures(canvas: &mut Canvas, chart: &Chart, panel: &Panel) {
    for (start, points) in chart.steps.iter().map(|step| (step.start_seconds, &step.points)) {
        let mut from = start;
        for point in points {
            let left = panel.x(from);
            from = point.at_seconds;
            if let Some(success) = point.effective().filter(|success| *success < 1.0) {
                let top = panel.y(100.0);
                let size = (panel.x(point.at_seconds) - left, panel.y(success * 100.0) - top);
                canvas.rectangle("mc-fail", (left, top), size);
            }
        }
    }
}

/// Draws where steps start, each with its number.
fn steps(canvas: &mut Canvas, chart: &Chart, success: &Panel, rate: &Panel) {
    let mut free = 0.0;
    for (number, step) in (1..).zip(&chart.steps) {
        let x = success.x(step.start_seconds);
        // Not through the caption between the panels.
        for panel in [success, rate] {
            canvas.line("mc-step", (x, panel.top), (x, panel.bottom));
        }
        let text = format!("{number}");
        if chart.steps.len() > 1 && x >= free && x + wide(&text) < RIGHT {
            canvas.text("", (x + 3.0, success.bottom + 24.0), Anchor::Start, WIDTH, &text);
            free = x + wide(&text) + 8.0;
        }
    }
}

/// Draws one line for each step: between steps nothing was measured.
fn lines(
    canvas: &mut Canvas,
    chart: &Chart,
    panel: &Panel,
    class: &str,
    value: impl Fn(&Point) -> Option<f64>,
) {
    for step in &chart.steps {
        let middle = |point: &Point| point.at_seconds - point.length_seconds / 2.0;
        let points = step.points.iter().filter_map(|point| Some((middle(point), value(point)?)));
        let points: Vec<(f64, f64)> = points.map(|point| panel.at(point)).collect();
        canvas.path(&format!("mc-line {class}"), &points);
    }
}

/// Draws the time axis.
fn seconds(canvas: &mut Canvas, panel: &Panel) {
    let step = step(panel.end, 6.0);
    let mut at = 0.0;
    while at <= panel.end {
        canvas.text("", (panel.x(at), panel.bottom + 18.0), Anchor::Middle, RIGHT - LEFT, &format!("{at}"));
        at += step;
    }
    canvas.text(
        "",
        (f64::midpoint(LEFT, RIGHT), panel.bottom + 34.0),
        Anchor::Middle,
        RIGHT - LEFT,
        "seconds",
    );
}

/// Lists steps and marks; returns the height of the picture.
fn list(canvas: &mut Canvas, chart: &Chart, top: f64) -> f64 {
    let mut lines: Vec<(Option<MarkKind>, String)> = Vec::new();
    if chart.steps.len() > 1 {
        lines.extend(
            (1..)
                .zip(&chart.steps)
                .map(|(number, step): (usize, _)| (None, format!("{number} {}", step.step))),
        );
    }
    let finite = |seconds: f64| if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
    let mark = |mark: &crate::run::Mark| {
        (Some(mark.kind), format!("{:.0} s: {}", finite(mark.at_seconds), mark.text))
    };
    lines.extend(chart.marks.iter().map(mark));
    if lines.len() > MOST_LINES {
        let more = lines.len() - MOST_LINES + 1;
        lines.truncate(MOST_LINES - 1);
        lines.push((None, format!("and {more} more")));
    }
    let mut y = top;
    for (kind, text) in &lines {
        let x = match kind {
            Some(kind) => {
                canvas.mark(mark_class(*kind), (14.0, y - 1.0), text);
                24.0
            }
            None => 8.0,
        };
        y = canvas.lines("", (x, y), text) + LINE;
    }
    if lines.is_empty() { top - SIZE } else { y - LINE + 10.0 }
}
