//! The picture of `meshy sweep`: success over a swept value.

use plotters::prelude::*;

use meshy_predict::Interval;

const SIZE: (u32, u32) = (860, 280);
const PREDICTED: RGBColor = RGBColor(46, 125, 90);
const MEASURED: RGBColor = RGBColor(179, 84, 30);

/// A swept value, the predicted success and the measured one.
pub(crate) type CurvePoint = (f64, Interval, Option<Interval>);

/// Returns an SVG picture: predicted success as a line with the band that chance allows, measured success as points with what so
/// many requests can tell. `scenario` is its title, `axis` what is swept.
pub(crate) fn curve(scenario: &str, axis: &str, points: &[CurvePoint]) -> String {
    let mut svg = String::new();
    draw(&mut svg, scenario, axis, points).expect("drawing into memory does not fail");
    svg
}

fn draw(
    svg: &mut String,
    scenario: &str,
    axis: &str,
    points: &[CurvePoint],
) -> Result<(), Box<dyn std::error::Error>> {
    let ends = (f64::MAX, f64::MIN);
    let (from, to) = points.iter().fold(ends, |(a, b), (x, _, _)| (a.min(*x), b.max(*x)));
    let to = if to > from { to } else { from + 1.0 };
    let percent = |value: f64| value * 100.0;
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .caption(scenario, ("sans-serif", 14))
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(from..to, 0.0..105.0)?;
    // A limit of half a retry does not exist: an axis of whole values has whole numbers only.
    let is_whole = points.iter().all(|(x, _, _)| x.fract() == 0.0);
    let label = |value: &f64| {
        let rounded = (value * 1000.0).round() / 1000.0;
        if is_whole && rounded.fract() != 0.0 { String::new() } else { rounded.to_string() }
    };
    let mesh = &mut chart.configure_mesh();
    mesh.x_desc(axis).y_desc("success, %").x_label_formatter(&label).light_line_style(WHITE).draw()?;

    let band = points.iter().map(|(x, y, _)| (*x, percent(y.high)));
    let band: Vec<(f64, f64)> =
        band.chain(points.iter().rev().map(|(x, y, _)| (*x, percent(y.low)))).collect();
    let shade = PREDICTED.mix(0.2);
    chart
        .draw_series([Polygon::new(band, shade)])?
        .label("predicted interval")
        .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 16, y + 4)], shade.filled()));
    let line = points.iter().map(|(x, y, _)| (*x, percent(y.mean)));
    chart
        .draw_series(LineSeries::new(line, PREDICTED.stroke_width(2)))?
        .label("predicted")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], PREDICTED.stroke_width(2)));
    let measured: Vec<(f64, Interval)> =
        points.iter().filter_map(|(x, _, measured)| Some((*x, (*measured)?))).collect();
    for (x, measured) in &measured {
        let reach = [(*x, percent(measured.low)), (*x, percent(measured.high))];
        chart.draw_series([PathElement::new(reach, MEASURED.stroke_width(1))])?;
    }
    let dots =
        measured.iter().map(|(x, measured)| Circle::new((*x, percent(measured.mean)), 4, MEASURED.filled()));
    let dots = chart.draw_series(dots)?;
    if !measured.is_empty() {
        dots.label("measured, with its interval (99.7 %)")
            .legend(|(x, y)| Circle::new((x + 8, y), 4, MEASURED.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of a picture.
    fn texts(svg: &str) -> Vec<&str> {
        let texts = svg.split("<text").skip(1).filter_map(|text| text.split_once('>')?.1.split_once('<'));
        texts.map(|(text, _)| text.trim()).collect()
    }

    #[test]
    fn the_picture_of_a_sweep_has_title_legend_and_whole_numbers_on_an_axis_of_whole_values() {
        let interval = |mean| Interval { low: mean - 0.1, mean, high: mean + 0.1 };
        let points = [
            (0.0, interval(0.3), None),
            (1.0, interval(0.5), Some(interval(0.6))),
            (2.0, interval(0.7), None),
        ];
        let svg = curve("70 % of the attempts fail", "limit", &points);
        let texts = texts(&svg);
        for text in [
            "70 % of the attempts fail",
            "limit",
            "success, %",
            "predicted interval",
            "predicted",
            "0",
            "1",
            "2",
        ] {
            assert!(texts.contains(&text), "`{text}` is not in {texts:?}");
        }
        assert!(texts.contains(&"measured, with its interval (99.7 %)"), "{texts:?}");
        assert!(!texts.contains(&"0.5"), "{texts:?}");
        let svg = curve("", "ratio", &[(0.1, interval(0.3), None), (0.2, interval(0.5), None)]);
        let texts = self::texts(&svg);
        assert!(texts.iter().any(|text| text.starts_with("0.1")), "{texts:?}");
        assert!(!texts.iter().any(|text| text.starts_with("measured")), "nothing was measured: {texts:?}");
    }
}
