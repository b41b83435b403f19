//! The report of a recorded run as HTML.

use meshy_experiment::event::{Event, Kind, RunStarted, StepStarted};
use meshy_graph::{CallEdge, CallGraph, CallNode};

use super::*;

/// The style sheet of the page.
fn style() -> &'static str {
    meshy_page::assets::find("/page.css").expect("a style sheet").content
}

fn all(report: &Report) -> String {
    format!("{}{}{}", report.summary, report.pictures, report.details)
}

#[test]
fn the_report_refers_to_nothing_outside_and_escapes_what_it_shows() {
    let event = |kind| Event::new("2026-01-02T03:04:05Z".parse().unwrap(), Default::default(), None, kind);
    let started = RunStarted { lab: "<script>alert(1)</script>".to_owned(), ..RunStarted::default() };
    let step = StepStarted { step: "a & b".to_owned(), ..StepStarted::default() };
    let events = Events::new(vec![event(Kind::RunStarted(started)), event(Kind::StepStarted(step))]);
    let page = all(&report(&events));
    assert!(page.contains("a &amp; b") && page.contains("&lt;script&gt;"));
    assert!(!page.contains("<script"));
    // The SVG namespace is a name, not an address that is fetched.
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http://") && !outside.contains("https://") && !outside.contains("url("));
    let pictures = report(&recorded()).pictures;
    assert!(pictures.contains("var(--good)") && pictures.contains("var(--ink)"));
}

/// A run whose report has each kind of picture.
fn recorded() -> Events {
    let recorded = include_bytes!("../../../tests/fixtures/retries.events.jsonl");
    Events::read(&recorded[..]).expect("a recorded run")
}

#[test]
fn the_report_has_the_result_the_totals_of_each_step_and_each_expectation() {
    let Report { title, summary, details, pictures } = report(&recorded());
    let run = Run::of(&recorded());
    assert_eq!(title, "What retries do");
    let verdict = run.verdict.expect("expectations").text;
    assert!(summary.contains("class=\"verdict good\"") && summary.contains(&verdict), "{summary}");
    assert!(summary.contains(&run.provider) && summary.contains(&run.meshy), "{summary}");
    for step in &run.steps {
        assert!(details.contains(&format!("<h3>{}</h3>", step.name)), "{}", step.name);
        let requests = format!("<td>{}<td><b>", step.traffic.requests_count);
        assert!(details.contains(&requests), "{requests}");
    }
    for result in &run.condition_results {
        assert!(pictures.contains(&escape(&result.to_string())), "{result}");
    }
}

#[test]
fn outcomes_are_rows_with_their_share_and_none_for_nothing() {
    let known = Outcomes {
        requests_count: 40,
        first_attempt_count: Some(30),
        after_retries_count: Some(0),
        no_budget_count: 10,
        ..Outcomes::default()
    };
    let mut page = String::new();
    outcomes(&mut page, &known).expect("a text");
    assert!(page.contains("succeeded on the first attempt<td>30<td>"), "{page}");
    assert!(page.contains("failed, retry budget exhausted<td>10<td>25%"), "{page}");
    assert!(!page.contains("after retries") && !page.contains("timed out"), "{page}");
    assert!(page.contains("rejected by the circuit breaker<td>-<td>"), "what is not known has a row: {page}");
}

/// The policy of the page allows no style attributes, and only those style sheets whose hash it names.
#[test]
fn the_report_keeps_to_the_content_policy() {
    let report = report(&recorded());
    assert!(!all(&report).contains(" style=") && !all(&report).contains("<script"));
    assert!(!report.summary.contains("<style") && !report.details.contains("<style"));
    assert_eq!(report.pictures.matches("<style").count(), report.pictures.matches("<style>").count());
}

/// Returns the first number after a text.
fn number_after(text: &str, before: &str) -> Option<f64> {
    let rest = text.split_once(before)?.1;
    rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?.parse().ok()
}

/// Returns the size of the smallest letters of a picture on a page of 400 pixels, as the style sheet lays it out.
fn smallest_letters(svg: &str) -> f64 {
    let sizes =
        ["font-size=\"", "font-size:", "font-size: ", "font:", "font: "].into_iter().flat_map(|before| {
            svg.match_indices(before).filter_map(move |(at, _)| number_after(&svg[at..], before))
        });
    let letters = sizes.filter(|size| *size > 0.0).fold(f64::MAX, f64::min);
    let natural =
        svg.split("viewBox=\"0 0 ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    let natural = natural.expect("a picture has a size");
    // The page is 400 wide without 12 pixels at each side.
    let room = 400.0 - 2.0 * 12.0;
    let class = svg.split_once("class=\"").map(|(_, rest)| rest.split('"').next().unwrap_or_default());
    let shown = match class {
        Some("meshy-graph") if style().contains("figure > svg.meshy-graph { max-width: none; }") => natural,
        Some("meshy-graph" | "mc") => natural.min(room),
        _ => number_after(style(), "figure > svg:not([class]) { min-width: ")
            .map_or(room, |width| room.max(width)),
    };
    letters * shown / natural
}

#[test]
fn letters_of_all_pictures_can_be_read_on_a_page_of_400_pixels() {
    let mut run = Run::of(&recorded());
    let names = ["web", "cart", "price", "stock", "mail", "audit", "search", "login"];
    let edges = names.windows(2).map(|pair| CallEdge::new(pair[0], pair[1])).collect();
    run.steps[0].graph = Some(CallGraph { nodes: names.map(CallNode::new).to_vec(), edges });
    let mut pictures = String::new();
    write_pictures(&mut pictures, &run, &recorded()).expect("a text");
    let figures: Vec<&str> =
        pictures.split("<figure>").skip(1).filter_map(|rest| rest.split("</figure>").next()).collect();
    assert_eq!(figures.len(), 3, "the run, its latency, its calls");
    for figure in figures {
        let letters = smallest_letters(figure);
        assert!(
            (10.95..20.0).contains(&letters),
            "{letters:.1} pixels in {}",
            &figure[..figure.len().min(200)]
        );
    }
    let outside: String =
        pictures.split("<figure>").map(|part| part.rsplit("</figure>").next().unwrap_or_default()).collect();
    assert!(pictures.contains("<i class=\"key ") && !outside.contains("<i class=\"key "), "{outside}");
}

#[test]
fn each_variant_has_its_own_picture_of_latencies() {
    let recorded = recorded();
    let of = |variant: &str| {
        let events = recorded.events().iter().cloned();
        events
            .map(|event| Event { variant: Some(variant.to_owned()), ..event })
            .filter(|event| !matches!(event.kind, Kind::RunStarted(_)))
            .collect::<Vec<_>>()
    };
    let variants = vec!["one".to_owned(), "two".to_owned()];
    let started = RunStarted { variants, ..recorded.started().expect("a start").clone() };
    let start = Event { kind: Kind::RunStarted(started), ..recorded.events()[0].clone() };
    let events = [vec![start], of("one"), of("two")].concat();
    let pictures = report(&Events::new(events)).pictures;
    for variant in ["one", "two"] {
        assert!(pictures.contains(&format!("latency, ms: {variant}")), "{variant}");
        assert!(!pictures.contains(&format!("\n{variant}/no-retries\n")), "the title names the variant");
    }
    // Each picture has the name of the step once, at its own place.
    assert_eq!(pictures.matches("\nno-retries\n").count(), 2, "{pictures}");
}

/// On a telephone the chart of a run keeps its letters (it is 480 wide), and what is wider moves within its own frame.
#[test]
fn a_page_of_400_pixels_shows_the_chart_and_moves_only_what_is_wider() {
    let Report { pictures, details, .. } = report(&recorded());
    let chart = pictures.split("<figure>").nth(1).expect("the first picture");
    for words in [
        "What retries do",
        "effective success",
        "actual success",
        "failed requests",
        "success, % of requests and of attempts",
        "per second, attempts at",
    ] {
        assert!(chart.contains(words), "`{words}` is missing");
    }
    let wide = chart.split("viewBox=\"0 0 ").nth(1).and_then(|rest| rest.split(' ').next());
    assert!(wide.and_then(|wide| wide.parse::<f64>().ok()).is_some_and(|wide| wide <= 480.0), "{wide:?}");
    assert!(style().contains(".scroll, figure { overflow-x: auto; }"));
    assert!(details.contains("<div class=\"scroll\" tabindex=\"0\""), "{details}");
}

#[test]
fn a_page_on_paper_is_white_and_breaks_between_steps() {
    let print = style().split_once("@media print {").expect("a style for paper").1;
    assert!(print.contains("--paper: #ffffff;") && print.contains("#controls, nav, #replay"), "{print}");
    assert!(print.contains("article, figure, tr { break-inside: avoid; }"), "{print}");
}

#[test]
fn a_run_of_nothing_has_a_report_too() {
    assert!(report(&Events::default()).details.ends_with("</section>\n"));
}
