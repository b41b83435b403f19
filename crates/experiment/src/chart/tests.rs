//! Pictures: a small golden one of each kind, and properties of many.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::draw::WIDTH;
use super::{Chart, TextOptions, svg, text, width};
use crate::event::Prediction;
use crate::interval::Interval;
use crate::run::tests::run;
use crate::run::{Mark, MarkKind, Point, Run, StepSeries};

/// Two steps: 30 % without, 100 % with retries.
fn chart() -> Chart {
    let point = |second: u64, retries: bool| Point {
        at_seconds: crate::interval::float(second + 1),
        length_seconds: 1.0,
        requests: 10,
        succeeded: if retries { 10 } else { 3 },
        in_time: if retries { 10 } else { 3 },
        offered: 10,
        attempts: Some(if retries { 33 } else { 10 }),
        attempts_succeeded: Some(if retries { 10 } else { 3 }),
    };
    let step = |name: &str, from: u64, retries| {
        let success = Some(Interval { mean: 0.3, low: 0.2, high: 0.4 });
        StepSeries {
            step: name.to_owned(),
            start_seconds: crate::interval::float(from),
            end_seconds: crate::interval::float(from + 5),
            points: (from..from + 5).map(|second| point(second, retries)).collect(),
            prediction: (!retries).then(|| Prediction { success, ..Prediction::default() }),
        }
    };
    let mark = Mark {
        at_seconds: 5.0,
        kind: MarkKind::Policy,
        text: "ServiceProfile applied".to_owned(),
        ends: false,
    };
    Chart {
        title: "What retries do".to_owned(),
        steps: vec![step("no-retries", 0, false), step("retries", 5, true)],
        marks: vec![mark],
        watched: "bounced-service".to_owned(),
    }
}

#[test]
fn the_text_chart_shows_now_before_the_whole_run() {
    let options = TextOptions { width: 40, height: 15, ..TextOptions::default() };
    let expected = "\
What retries do        ▲ policy  ! fault
effective success: now 100%, whole run …
   100%│                ████████████████
       │                ████████████████
     0%│▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇████████████████
actual success: now 30%, whole run 30%
   100%│
       │
     0%│▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇
attempts/s: now 33, whole run 22
     33│                ████████████████
       │                ████████████████
    0.0│▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇████████████████
changes                 ▲
   step 1:no-retries ───2:retries ─ 10 s
";
    assert_eq!(text(&chart(), options), expected);
}

#[test]
fn the_text_chart_names_the_predicted_interval_of_the_last_step() {
    let mut chart = chart();
    chart.steps.pop();
    let text = text(&chart, TextOptions::default());
    assert!(text.contains("effective success: now 30%, whole run 30%, predicted 20% to 40%\n"), "{text}");
}

#[test]
fn a_second_whose_attempts_are_unknown_hides_neither_those_now_nor_those_of_the_whole_run() {
    let mut chart = chart();
    let last = chart.steps.last_mut().and_then(|step| step.points.last_mut()).expect("a point");
    (last.attempts, last.attempts_succeeded) = (None, None);
    let text = text(&chart, TextOptions::default());
    assert!(text.contains("actual success: now 30%, whole run 30%\n"), "{text}");
}

#[test]
fn the_text_chart_can_do_without_colour_and_without_unicode() {
    let plain = text(&chart(), TextOptions { ascii: true, ..TextOptions::default() });
    assert!(plain.is_ascii() && plain.contains("now 100%, whole run 65%"), "{plain}");
    let colour = text(&chart(), TextOptions { colour: true, ..TextOptions::default() });
    assert!(colour.contains("\x1b[31m"), "failures are red");
    let without = colour.replace("\x1b[31m", "").replace("\x1b[0m", "");
    let without: String = without.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    assert_eq!(without, text(&chart(), TextOptions::default()), "colour changes nothing else");
}

#[test]
fn the_svg_has_title_legend_axes_and_the_texts_of_marks() {
    let svg = svg(&chart());
    for part in [
        "What retries do",
        "effective success",
        "actual success",
        "failed requests",
        "attempts",
        "predicted",
        "success, % of requests and of attempts",
        "per second, attempts at bounced-service",
        "seconds",
        "1 no-retries",
        "2 retries",
        "5 s: ServiceProfile applied",
        "prefers-color-scheme:dark",
        "role=\"img\"",
    ] {
        assert!(svg.contains(part), "{part}\n{svg}");
    }
    assert!(!svg.contains("goodput</text>"), "goodput is success here");
    // A failing step has a red area for each second, a successful one has none.
    assert_eq!(svg.matches("<rect class=\"mc-fail\"").count(), 1 + 5);
}

#[test]
fn the_lines_of_the_svg_are_where_the_values_are() {
    let svg = svg(&chart());
    let line = svg.lines().find(|line| line.contains("polyline class=\"mc-line mc-effective\"")).unwrap();
    // Half a second of 10 on 410 units from 54 on; 30 % of 150 units.
    assert!(line.contains("points=\"74.5,"), "{line}");
    let y =
        |line: &str| line.split(['"', ' ', ',']).filter_map(|part| part.parse::<f64>().ok()).nth(1).unwrap();
    let all = svg.lines().filter(|line| line.contains("polyline class=\"mc-line mc-effective\""));
    let heights: Vec<f64> = all.map(y).collect();
    assert!((heights[0] - heights[1] - 105.0).abs() < 0.01, "{heights:?}");
}

#[test]
fn a_long_title_and_a_long_change_have_two_lines() {
    let mut chart = chart();
    chart.title = "A retry storm after its cause has ended: retries-everywhere".to_owned();
    chart.marks[0].text = "serviceprofile `bounced-service.default.svc.cluster.local` applied".to_owned();
    let svg = svg(&chart);
    for part in [
        ">A retry storm after its cause has ended:</text>",
        ">retries-everywhere</text>",
        ">5 s: serviceprofile `bounced-service.default.svc</text>",
        ">.cluster.local` applied</text>",
    ] {
        assert!(svg.contains(part), "{part}\n{svg}");
    }
    assert_eq!(super::wrap(&"x".repeat(50), 20), [format!("{}…", "x".repeat(19))]);
    assert_eq!(super::wrap("one two", 20), ["one two"]);
}

/// A chart of random, partly hostile content.
fn random(random: &mut StdRng) -> Chart {
    let texts = [
        "",
        "a",
        "<script>alert(1)</script>",
        "\u{1b}[31mred",
        "日本語のとても長い名前日本語のとても長い名前",
        "x\ny\t\"'&",
        "ﷺ",
    ];
    let any = |random: &mut StdRng| {
        let text = texts[random.random_range(0..texts.len())];
        text.repeat(if random.random_bool(0.1) { 500 } else { 1 })
    };
    let number = |random: &mut StdRng| match random.random_range(0..8) {
        0 => 0.0,
        1 => f64::NAN,
        2 => f64::INFINITY,
        3 => -5.0,
        _ => random.random_range(0.0..100.0),
    };
    let mut steps = Vec::new();
    for _ in 0..random.random_range(0..12) {
        let points = (0..random.random_range(0..30)).map(|_| Point {
            at_seconds: number(random),
            length_seconds: number(random),
            requests: random.random_range(0..50),
            succeeded: random.random_range(0..60),
            in_time: random.random_range(0..50),
            offered: random.random_range(0..50),
            attempts: random.random_bool(0.7).then(|| random.random_range(0..5000)),
            attempts_succeeded: random.random_bool(0.7).then(|| random.random_range(0..50)),
        });
        let points = points.collect();
        let success = Some(Interval { mean: number(random), low: number(random), high: number(random) });
        let prediction = random.random_bool(0.5).then(|| Prediction { success, ..Prediction::default() });
        let (start_seconds, end_seconds) = (number(random), number(random));
        steps.push(StepSeries { step: any(random), start_seconds, end_seconds, points, prediction });
    }
    let marks = (0..random.random_range(0..20)).map(|_| Mark {
        at_seconds: number(random),
        kind: if random.random_bool(0.5) { MarkKind::Policy } else { MarkKind::Fault },
        text: any(random),
        ends: false,
    });
    let marks = marks.collect();
    Chart { title: any(random), steps, marks, watched: any(random) }
}

fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(" {name}=\""))? + name.len() + 3;
    line[start..].split('"').next()
}

#[test]
fn no_svg_has_a_number_that_is_none_or_a_text_outside_of_it() {
    let mut source = StdRng::seed_from_u64(7);
    for _ in 0..100 {
        let chart = random(&mut source);
        let svg = svg(&chart);
        assert!(
            !svg.contains("NaN") && !svg.contains("inf\"") && !svg.contains("inf,") && !svg.contains("inf s"),
            "{svg}"
        );
        assert!(!svg.contains("<script") && !svg.contains('\u{1b}'), "{svg}");
        let view: Vec<f64> =
            attribute(&svg, "viewBox").unwrap().split(' ').map(|number| number.parse().unwrap()).collect();
        for line in svg.lines().filter(|line| line.starts_with("<text")) {
            let place = |name| attribute(line, name).unwrap().parse::<f64>().unwrap();
            let (x, y) = (place("x"), place("y"));
            let content = line.split_once('>').unwrap().1.trim_end_matches("</text>");
            let content = ["&lt;", "&gt;", "&amp;", "&quot;", "&#39;"]
                .iter()
                .fold(content.to_owned(), |t, e| t.replace(e, "x"));
            let size = if line.contains("mc-title") { 16.0 } else { 14.0 };
            let wide = crate::interval::float(width(&content) as u64) * size * 0.62;
            let (left, right) = match attribute(line, "text-anchor") {
                Some("start") => (x, x + wide),
                Some("end") => (x - wide, x),
                _ => (x - wide / 2.0, x + wide / 2.0),
            };
            assert!(left >= -0.01 && right <= WIDTH + 0.01 && y > 8.0 && y <= view[3], "{line}\n{view:?}");
        }
    }
}

#[test]
fn every_text_chart_has_its_size() {
    let mut source = StdRng::seed_from_u64(8);
    for round in 0..150 {
        let (wide, height) = (source.random_range(40..130), source.random_range(9..40));
        let options = TextOptions { width: wide, height, colour: false, ascii: round % 2 == 0 };
        let text = text(&random(&mut source), options);
        assert_eq!(text.lines().count(), height, "{text}");
        assert!(text.lines().all(|line| width(line) <= wide), "{wide}\n{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("NaN"), "{text}");
    }
}

#[test]
fn a_chart_is_made_from_the_events_of_a_run() {
    let chart = Chart::new(&run(), None);
    assert_eq!((chart.title.as_str(), chart.watched.as_str()), ("A run", "x"));
    assert_eq!((chart.steps.len(), chart.steps[0].points.len(), chart.marks.len()), (1, 3, 1));
    let empty = Chart::new(&Run::new(Vec::new()), Some("v"));
    assert!(svg(&empty).starts_with("<svg") && text(&empty, TextOptions::default()).lines().count() == 18);
    assert_eq!(Duration::ZERO, Run::default().duration());
}
