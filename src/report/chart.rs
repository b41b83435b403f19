//! Pictures as SVG text that takes its colours from the page around it.

use plotters::prelude::*;

use crate::steps::Step;
use meshy_load::{Latency, Tick};

const TALL: (u32, u32) = (860, 260);

/// The size of letters. A page of 400 pixels shows the picture 740 wide, and plotters writes 1/1.24 of the size: 11.1 pixels.
const LETTERS: u32 = 16;

// Stand-ins that the page's style sheet replaces, so that one picture serves light and dark.
const INK: RGBColor = RGBColor(1, 2, 3);
const FAINT: RGBColor = RGBColor(2, 3, 4);
const GOOD: RGBColor = RGBColor(3, 4, 5);
const LOAD: RGBColor = RGBColor(4, 5, 6);
const MARK: RGBColor = RGBColor(5, 6, 7);

/// The median and the 99th percentile of named steps over time, in milliseconds.
pub(crate) fn latency(title: &str, steps: &[(&str, &Step)]) -> String {
    let of = |value: fn(&Latency) -> f64| {
        series(steps, move |tick| (tick.requests_count > 0).then(|| value(&tick.latency)))
    };
    let (p50, p99) = (of(|latency| latency.p50_ms), of(|latency| latency.p99_ms));
    draw(title, steps, 0.0..highest(&p99), &[(&p50, GOOD), (&p99, LOAD)])
}

fn highest(lines: &[Points]) -> f64 {
    lines.iter().flatten().map(|(_, y)| *y).fold(1.0, f64::max) * 1.1
}

type Points = Vec<(f64, f64)>;

fn series(steps: &[(&str, &Step)], value: impl Fn(&Tick) -> Option<f64>) -> Vec<Points> {
    let of = |step: &Step| {
        let begun = step.begun_seconds;
        let point = |tick: &Tick| Some((begun + tick.at_seconds + tick.length_seconds, value(tick)?));
        step.traffic.ticks.iter().filter_map(point).collect::<Points>()
    };
    steps.iter().map(|(_, step)| of(step)).collect()
}

/// Steps beyond this many have no room for their names in the picture; their numbers have.
pub(super) const MOST_NAMES: usize = 6;

fn draw(
    title: &str,
    steps: &[(&str, &Step)],
    y: std::ops::Range<f64>,
    lines: &[(&[Points], RGBColor)],
) -> String {
    let end =
        steps.iter().map(|(_, step)| step.begun_seconds + step.traffic.length_seconds).fold(1.0, f64::max);
    let mut svg = String::new();
    let paint = |svg: &mut String| -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::with_string(svg, TALL).into_drawing_area();
        let text = |size: u32| ("sans-serif", size).into_font().color(&INK);
        let top = y.end;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_top(4)
            .caption(title, text(LETTERS + 2))
            .x_label_area_size(34)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..end, y)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(FAINT)
            .label_style(text(LETTERS))
            .x_label_formatter(&|seconds| format!("{seconds:.0} s"))
            .y_label_formatter(&|value| format!("{value:.0}"))
            .x_labels(10)
            .y_labels(5)
            .draw()?;
        for (number, (name, step)) in steps.iter().enumerate() {
            let at = step.begun_seconds;
            chart.draw_series([PathElement::new([(at, 0.0), (at, top)], MARK.stroke_width(1))])?;
            if steps.len() > 1 {
                let name =
                    if steps.len() <= MOST_NAMES { (*name).to_owned() } else { (number + 1).to_string() };
                let place = (at + end * 0.005, top * 0.99);
                chart.draw_series([Text::new(
                    name,
                    place,
                    ("sans-serif", LETTERS).into_font().color(&MARK),
                )])?;
            }
            for mark in &step.marks {
                let at = at + mark.at_seconds;
                chart.draw_series([PathElement::new([(at, 0.0), (at, top)], LOAD.stroke_width(1))])?;
                chart.draw_series([TriangleMarker::new((at, 0.0), 6, LOAD.filled())])?;
            }
        }
        for (points, colour) in lines {
            // A line a step: what lies between two of them was not measured.
            for part in *points {
                chart.draw_series(LineSeries::new(part.iter().copied(), colour.stroke_width(2)))?;
            }
        }
        area.present()?;
        Ok(())
    };
    paint(&mut svg).expect("drawing into memory does not fail");
    themed(&svg, TALL)
}

/// Puts the style sheet's variables where the stand-ins are, and lets the picture shrink with the page.
fn themed(svg: &str, size: (u32, u32)) -> String {
    let mut svg = svg.replacen(
        &format!("width=\"{}\" height=\"{}\"", size.0, size.1),
        "width=\"100%\" role=\"img\"",
        1,
    );
    for (colour, name) in [(INK, "ink"), (FAINT, "line"), (GOOD, "good"), (LOAD, "bad"), (MARK, "retry")] {
        let hex = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        svg = svg.replace(&format!("\"{hex}\""), &format!("\"var(--{name})\""));
    }
    svg
}
