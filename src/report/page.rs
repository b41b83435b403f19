//! The parts of a run's page that come from its end: the result, the tables, prediction next to measurement, versions; and pictures
//! for a browser without scripts.

use std::fmt::Write;

use crate::measure::marks::brief;
use crate::report::chart;
use crate::runs::Run;
use crate::steps::Step;
use crate::summary;
use crate::ui::table::{millis, share};
use meshy_experiment::chart::{Chart, svg};
use meshy_experiment::run::Run as Events;
use meshy_lab::cluster;
use meshy_metrics::Outcomes;
use meshy_page::Report;
use meshy_predict::Interval;

/// Returns the report of a run: the parts of its page that come from its end.
pub fn report(events: &Events) -> Report {
    let run = Run::of(events);
    let title = events.started().map(|started| started.title.clone()).unwrap_or_default();
    let (mut summary, mut details, mut pictures) = (String::new(), String::new(), String::new());
    let written = write_summary(&mut summary, &run)
        .and_then(|()| write_pictures(&mut pictures, &run, events))
        .and_then(|()| write_details(&mut details, &run));
    written.expect("a string takes all that is written");
    Report { title, summary, details, pictures }
}

/// What the run came to, and where it ran.
fn write_summary(page: &mut String, run: &Run) -> std::fmt::Result {
    page.push_str("<section class=\"card result\" aria-label=\"Result\">\n");
    if let Some(verdict) = &run.verdict {
        let class = if verdict.holds { "verdict good" } else { "verdict bad" };
        writeln!(page, "<p class=\"{class}\">{}</p>", escape(&verdict.text))?;
    }
    let version = |name: &str, version: &Option<String>| {
        version.as_ref().map(|version| format!(" · {name} {}", escape(version))).unwrap_or_default()
    };
    writeln!(
        page,
        "<p class=\"about\"><code>meshy {}</code> · {} · lab <b>{}</b> on {} · meshy {}{}{}</p>",
        escape(&run.command),
        escape(&run.begun),
        escape(&run.lab),
        escape(&run.provider),
        escape(&run.meshy),
        version("Kubernetes", &run.kubernetes),
        version("Linkerd", &run.linkerd)
    )?;
    if cluster::is_stand_in(&run.provider) {
        page.push_str(
            "<p class=\"about\">The embedded cluster stands in for Kubernetes and Linkerd. Counts and percentages \
             follow Linkerd's rules; its latencies are its own.</p>\n",
        );
    }
    page.push_str("</section>\n");
    Ok(())
}

/// The charts and the call graph, for a browser that does not run the page's scripts.
fn write_pictures(page: &mut String, run: &Run, events: &Events) -> std::fmt::Result {
    page.push_str(
        "<p class=\"about\">This browser runs no scripts: pictures take the place of the views that can be replayed.</p>\n",
    );
    for variant in events.variants() {
        writeln!(page, "<figure>{}</figure>", svg(&Chart::new(events, variant.as_deref())))?;
    }
    let key = "<figcaption><i class=\"key good\"></i> p50 <i class=\"key bad\"></i> p99</figcaption>";
    writeln!(page, "<figure>{}{key}</figure>", chart::latency(&run.steps))?;
    steps_key(page, &run.steps)?;
    calls(page, &run.steps)?;
    if !run.condition_results.is_empty() {
        page.push_str("<ul class=\"conditions\">\n");
        for result in &run.condition_results {
            writeln!(page, "<li>{}", escape(&result.to_string()))?;
        }
        page.push_str("</ul>\n");
    }
    Ok(())
}

/// The totals of all steps, and of each its outcomes and what explains them.
fn write_details(page: &mut String, run: &Run) -> std::fmt::Result {
    page.push_str("<section class=\"card report\" aria-labelledby=\"report-title\">\n<h2 id=\"report-title\">Report</h2>\n");
    overview(page, &run.steps)?;
    storms(page, &run.steps)?;
    for step in &run.steps {
        writeln!(page, "<article>\n<h3>{}</h3>", escape(&step.name))?;
        for sentence in summary::explain(step).iter().skip(1) {
            writeln!(page, "<p>{}</p>", escape(sentence))?;
        }
        if let Some(why) = &step.why {
            writeln!(page, "<p>{}</p>", escape(why))?;
        }
        if let Some(mesh) = step.mesh.as_ref().filter(|mesh| mesh.outcomes.requests_count > 0) {
            outcomes(page, &mesh.outcomes)?;
            for gap in &mesh.gaps {
                writeln!(page, "<p class=\"about\">not counted: {}</p>", escape(gap))?;
            }
        }
        page.push_str("</article>\n");
    }
    page.push_str("</section>\n");
    Ok(())
}

/// The steps and the changes of policy, with the second at which each began.
fn steps_key(page: &mut String, steps: &[Step]) -> std::fmt::Result {
    // Few steps have their names in the picture.
    if steps.len() <= chart::MOST_NAMES && steps.iter().all(|step| step.marks.is_empty()) {
        return Ok(());
    }
    page.push_str("<ol class=\"steps-key\">\n");
    for step in steps {
        writeln!(page, "<li>{:.0} s: {}", step.begun_seconds, escape(&step.name))?;
        for mark in &step.marks {
            let at = step.begun_seconds + mark.at_seconds;
            writeln!(page, "<br><span class=\"mark\">▲ {at:.0} s: {}</span>", escape(&mark.text))?;
        }
    }
    page.push_str("</ol>\n");
    Ok(())
}

/// The call graph of the step in which proxies counted the most edges.
fn calls(page: &mut String, steps: &[Step]) -> std::fmt::Result {
    let graphs = steps.iter().filter_map(|step| Some((step, step.graph.as_ref()?)));
    // Of equals the last: with the policies on.
    let Some((step, graph)) = graphs.max_by_key(|(_, graph)| graph.edges.len()) else { return Ok(()) };
    let title = format!("calls in step {}", step.name);
    writeln!(page, "<figure>{}</figure>", graph.to_svg(&title))
}

fn overview(page: &mut String, steps: &[Step]) -> std::fmt::Result {
    page.push_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Totals of the steps, scrolls\">\n<table class=\"overview\">\n\
         <thead><tr><th scope=\"col\">Step<th scope=\"col\">Policy<th scope=\"col\">Requests<th scope=\"col\">Success\
         <th scope=\"col\">Predicted<th scope=\"col\">Actual<th scope=\"col\">Added load<th scope=\"col\">p50<th scope=\"col\">p95\
         <th scope=\"col\">p99</tr></thead>\n<tbody>\n",
    );
    for step in steps {
        let traffic = &step.traffic;
        let mesh = step.mesh.as_ref();
        let predicted = mesh.and_then(|mesh| mesh.prediction.as_ref()).map(|p| range(&p.success_ratio));
        let simulated =
            step.predicted_success_ratio.map(|p| Interval { mean: p.mean, low: p.low, high: p.high });
        let predicted = predicted.or(simulated.as_ref().map(range));
        let added = mesh
            .and_then(|mesh| mesh.outcomes.added_attempts_per_request)
            .or(traffic.added_attempts_per_request());
        writeln!(
            page,
            "<tr><th scope=\"row\">{}<td>{}<td>{}<td><b>{}</b><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escape(&step.name),
            escape(&mesh.map_or("-".to_owned(), |mesh| brief(&mesh.policy))),
            traffic.requests_count,
            share(traffic.success_ratio, traffic.requests_count),
            predicted.unwrap_or("-".to_owned()),
            mesh.map_or("-".to_owned(), summary::actual),
            added.map_or("-".to_owned(), |added| format!("{:.0}%", added * 100.0)),
            millis(Some(traffic.latency.p50_ms)),
            millis(Some(traffic.latency.p95_ms)),
            millis(Some(traffic.latency.p99_ms)),
        )?;
    }
    page.push_str("</tbody>\n</table></div>\n");
    Ok(())
}

/// The steps with a trigger: class, cost and attempts at each hop.
fn storms(page: &mut String, steps: &[Step]) -> std::fmt::Result {
    let storms: Vec<_> = steps.iter().filter_map(|step| Some((step, step.storm.as_ref()?))).collect();
    if storms.is_empty() {
        return Ok(());
    }
    page.push_str(
        "<h3>After the trigger</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Storms, scrolls\">\n\
         <table class=\"storms\">\n<thead><tr>",
    );
    summary::STORM_HEAD
        .iter()
        .try_for_each(|name| write!(page, "<th scope=\"col\">{}", name.to_lowercase()))?;
    page.push_str("</tr></thead>\n<tbody>\n");
    for (step, storm) in storms {
        let [name, cells @ ..] = summary::storm_cells(step, storm);
        write!(page, "<tr><th scope=\"row\">{}", escape(&name))?;
        cells.iter().try_for_each(|cell| write!(page, "<td>{}", escape(cell)))?;
        page.push_str("</tr>\n");
    }
    page.push_str(
        "</tbody>\n</table></div>\n<p class=\"about\">peak: attempts per second at the disturbed service; wasted: its work whose \
         client had disconnected</p>\n",
    );
    Ok(())
}

fn range(interval: &Interval) -> String {
    format!("{:.0}% ({:.0}–{:.0})", interval.mean * 100.0, interval.low * 100.0, interval.high * 100.0)
}

fn outcomes(page: &mut String, outcomes: &Outcomes) -> std::fmt::Result {
    page.push_str(
        "<table class=\"counts\">\n<thead><tr><th scope=\"col\">Outcome<th scope=\"col\">Requests<th scope=\"col\">Share\
         <td></tr></thead>\n<tbody>\n",
    );
    for (outcome, count) in outcomes.rows() {
        // Rows of nothing are noise on paper; what is not known is not nothing.
        if count == Some(0) {
            continue;
        }
        let part = count.map(|count| count as f64 / outcomes.requests_count as f64);
        let width = part.unwrap_or(0.0) * 100.0;
        let class = if outcome.starts_with("  ") { " class=\"part\"" } else { "" };
        writeln!(
            page,
            "<tr{class}><th scope=\"row\">{}<td>{}<td>{}<td class=\"bar\"><svg aria-hidden=\"true\"><rect width=\"{width:.1}%\" height=\"100%\"/></svg></tr>",
            escape(outcome.trim()),
            count.map_or("-".to_owned(), |count| count.to_string()),
            share(part, outcomes.requests_count),
        )?;
    }
    page.push_str("</tbody>\n</table>\n");
    for remark in &outcomes.remarks {
        writeln!(page, "<p class=\"about\">{}</p>", escape(remark))?;
    }
    Ok(())
}

/// For the page; a number keeps its unit next to it.
fn escape(text: &str) -> String {
    let text = text.replace(" %", "\u{a0}%").replace(" ms", "\u{a0}ms").replace(" s,", "\u{a0}s,");
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
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
        let event =
            |kind| Event::new("2026-01-02T03:04:05Z".parse().unwrap(), Default::default(), None, kind);
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
        let recorded = include_bytes!("../../tests/fixtures/retries.events.jsonl");
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
        assert!(
            details.contains("succeeded on the first attempt") && details.contains("failed, retry budget")
        );
        for result in &run.condition_results {
            assert!(pictures.contains(&escape(&result.to_string())), "{result}");
        }
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
            Some("meshy-graph") if style().contains("figure > svg.meshy-graph { max-width: none; }") => {
                natural
            }
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
                (8.0..20.0).contains(&letters),
                "{letters:.1} pixels in {}",
                &figure[..figure.len().min(200)]
            );
        }
        let outside: String = pictures
            .split("<figure>")
            .map(|part| part.rsplit("</figure>").next().unwrap_or_default())
            .collect();
        assert!(pictures.contains("<i class=\"key ") && !outside.contains("<i class=\"key "), "{outside}");
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
}
