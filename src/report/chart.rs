//! Pictures as SVG text that takes its colours from the page around it.

use plotters::prelude::*;

use crate::measure::Step;
use crate::predict::Interval;

const SIZE: (u32, u32) = (860, 260);

// Stand-ins that the page's style sheet replaces, so that one picture serves light and dark.
const INK: RGBColor = RGBColor(1, 2, 3);
const FAINT: RGBColor = RGBColor(2, 3, 4);
const GOOD: RGBColor = RGBColor(3, 4, 5);
const LOAD: RGBColor = RGBColor(4, 5, 6);
const MARK: RGBColor = RGBColor(5, 6, 7);

/// Success (left) and requests per second over time, one step after the other, a line where each begins.
pub fn timeline(steps: &[Step]) -> String {
    let success = series(steps, |tick| tick.success_ratio().map(|ratio| ratio * 100.0));
    draw("success, % of requests", steps, 0.0..105.0, &[(&success, GOOD)])
}

/// The median and the 99th percentile over time, in milliseconds.
pub fn latency(steps: &[Step]) -> String {
    let of = |value: fn(&crate::traffic::Latency) -> f64| {
        series(steps, move |tick| (tick.requests_count > 0).then(|| value(&tick.latency)))
    };
    let (p50, p99) = (of(|latency| latency.p50_ms), of(|latency| latency.p99_ms));
    let top = p99.iter().flatten().map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
    draw("latency, ms: p50 and p99", steps, 0.0..top, &[(&p50, GOOD), (&p99, LOAD)])
}

/// Success over a swept value, with the band that chance allows.
pub fn curve(name: &str, points: &[(f64, Interval)]) -> String {
    let mut svg = String::new();
    let (from, to) = points.iter().fold((f64::MAX, f64::MIN), |(a, b), (x, _)| (a.min(*x), b.max(*x)));
    let to = if to > from { to } else { from + 1.0 };
    let percent = |value: f64| value * 100.0;
    let draw = |svg: &mut String| -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(48)
            .build_cartesian_2d(from..to, 0.0..105.0)?;
        let mesh = &mut chart.configure_mesh();
        mesh.x_desc(name).y_desc("success, %").light_line_style(WHITE).draw()?;
        let band = points.iter().map(|(x, y)| (*x, percent(y.high)));
        let band: Vec<(f64, f64)> =
            band.chain(points.iter().rev().map(|(x, y)| (*x, percent(y.low)))).collect();
        chart.draw_series([Polygon::new(band, RGBColor(46, 125, 90).mix(0.2))])?;
        let line = points.iter().map(|(x, y)| (*x, percent(y.mean)));
        chart.draw_series(LineSeries::new(line, RGBColor(46, 125, 90).stroke_width(2)))?;
        area.present()?;
        Ok(())
    };
    draw(&mut svg).expect("drawing into memory does not fail");
    svg
}

type Points = Vec<(f64, f64)>;

fn series(steps: &[Step], value: impl Fn(&crate::traffic::Tick) -> Option<f64>) -> Vec<Points> {
    let of = |step: &Step| {
        let begun = step.begun_seconds;
        let point =
            |tick: &crate::traffic::Tick| Some((begun + tick.at_seconds + tick.length_seconds, value(tick)?));
        step.traffic.ticks.iter().filter_map(point).collect::<Points>()
    };
    steps.iter().map(of).collect()
}

fn draw(title: &str, steps: &[Step], y: std::ops::Range<f64>, lines: &[(&[Points], RGBColor)]) -> String {
    let end = steps.iter().map(|step| step.begun_seconds + step.traffic.length_seconds).fold(1.0, f64::max);
    let mut svg = String::new();
    let paint = |svg: &mut String| -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let text = |size: u32| ("sans-serif", size).into_font().color(&INK);
        let top = y.end;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .caption(title, text(15))
            .x_label_area_size(30)
            .y_label_area_size(44)
            .build_cartesian_2d(0.0..end, y)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(FAINT)
            .label_style(text(12))
            .x_label_formatter(&|seconds| format!("{seconds:.0} s"))
            .y_label_formatter(&|value| format!("{value:.0}"))
            .x_labels(10)
            .y_labels(5)
            .draw()?;
        for step in steps {
            let at = step.begun_seconds;
            chart.draw_series([PathElement::new([(at, 0.0), (at, top)], MARK.stroke_width(1))])?;
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
    themed(&svg)
}

/// Puts the style sheet's variables where the stand-ins are, and lets the picture shrink with the page.
fn themed(svg: &str) -> String {
    let mut svg = svg.replacen(
        &format!("width=\"{}\" height=\"{}\"", SIZE.0, SIZE.1),
        "width=\"100%\" role=\"img\"",
        1,
    );
    for (colour, name) in [(INK, "ink"), (FAINT, "faint"), (GOOD, "good"), (LOAD, "load"), (MARK, "mark")] {
        let hex = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        svg = svg.replace(&format!("\"{hex}\""), &format!("\"var(--{name})\""));
    }
    svg
}
