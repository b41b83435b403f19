//! The page: what was done, the pictures, the tables, prediction next to measurement, versions.

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
use meshy_predict::Interval;

const STYLE: &str = include_str!("page.css");

/// The whole page of a run and its events.
pub fn html(run: &Run, events: &Events) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>meshy {} {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escape(&run.command),
        escape(&run.id)
    );
    write(&mut page, run, events).expect("a string takes all that is written");
    page.push_str("</body>\n</html>\n");
    page
}

fn write(page: &mut String, run: &Run, events: &Events) -> std::fmt::Result {
    writeln!(page, "<h1>meshy {}</h1>", escape(&run.command))?;
    writeln!(
        page,
        "<p class=\"about\">{} · lab <b>{}</b> on {} · meshy {}{}{}</p>",
        escape(&run.begun),
        escape(&run.lab),
        escape(&run.provider),
        escape(&run.meshy),
        run.kubernetes.as_ref().map(|v| format!(" · Kubernetes {}", escape(v))).unwrap_or_default(),
        run.linkerd.as_ref().map(|v| format!(" · Linkerd {}", escape(v))).unwrap_or_default()
    )?;
    if cluster::is_stand_in(&run.provider) {
        page.push_str(
            "<p class=\"about\">The embedded cluster stands in for Kubernetes and Linkerd. Counts and percentages \
             follow Linkerd's rules; its latencies are its own.</p>\n",
        );
    }
    if let Some(verdict) = &run.verdict {
        let class = if verdict.holds { "verdict good" } else { "verdict bad" };
        writeln!(page, "<p class=\"{class}\">{}</p>", escape(&verdict.text))?;
    }
    page.push_str("<h2>What the user saw</h2>\n");
    for variant in events.variants() {
        writeln!(page, "<figure>{}</figure>", svg(&Chart::new(events, variant.as_deref())))?;
    }
    let key = "<figcaption><i class=\"key good\"></i> p50 <i class=\"key load\"></i> p99</figcaption>";
    writeln!(page, "<figure>{}{key}</figure>", chart::latency(&run.steps))?;
    steps_key(page, &run.steps)?;
    overview(page, &run.steps)?;
    storms(page, &run.steps)?;
    calls(page, &run.steps)?;
    for step in &run.steps {
        writeln!(page, "<section>\n<h2>{}</h2>", escape(&step.name))?;
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
        page.push_str("</section>\n");
    }
    Ok(())
}

/// The steps and the changes of policy, with the second at which each began.
fn steps_key(page: &mut String, steps: &[Step]) -> std::fmt::Result {
    // Few steps have their names in the picture.
    if steps.len() <= chart::MOST_NAMES && steps.iter().all(|step| step.marks.is_empty()) {
        return Ok(());
    }
    page.push_str("<ol class=\"key\">\n");
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
        "<div class=\"table\"><table class=\"overview\">\n<thead><tr><th>step<th>policy<th>requests<th>success<th>predicted<th>attempts that \
                   succeeded<th>added load<th>p50<th>p95<th>p99</tr></thead>\n<tbody>\n",
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
            "<tr><td>{}<td>{}<td>{}<td class=\"n\"><b>{}</b><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
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
    page.push_str("<h2>After the trigger</h2>\n<div class=\"table\"><table class=\"storms\">\n<thead><tr>");
    summary::STORM_HEAD.iter().try_for_each(|name| write!(page, "<th>{}", name.to_lowercase()))?;
    page.push_str("</tr></thead>\n<tbody>\n");
    for (step, storm) in storms {
        page.push_str("<tr>");
        summary::storm_cells(step, storm).iter().try_for_each(|cell| write!(page, "<td>{}", escape(cell)))?;
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
        "<div class=\"table\"><table class=\"outcomes\">\n<thead><tr><th>outcome<th>requests<th>share<th></tr></thead>\n<tbody>\n",
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
            "<tr{class}><td>{}<td>{}<td>{}<td class=\"bar\"><i style=\"width:{width:.1}%\"></i></tr>",
            escape(outcome.trim()),
            count.map_or("-".to_owned(), |count| count.to_string()),
            share(part, outcomes.requests_count),
        )?;
    }
    page.push_str("</tbody>\n</table></div>\n");
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
    use super::*;
    use meshy_graph::{CallEdge, CallGraph, CallNode};
    use meshy_load::{Summary, Tick};

    #[test]
    fn the_page_refers_to_nothing_outside_and_escapes_what_it_shows() {
        let mut run = Run { lab: "<script>alert(1)</script>".to_owned(), ..Run::default() };
        let ticks = (0..5)
            .map(|second| Tick {
                at_seconds: f64::from(second),
                length_seconds: 1.0,
                requests_count: 10,
                succeeded_count: 3,
                ..Tick::default()
            })
            .collect();
        let traffic = Summary { ticks, length_seconds: 5.0, requests_count: 50, ..Summary::default() };
        run.steps.push(Step { name: "a & b".to_owned(), traffic, ..Step::default() });
        let page = html(&run, &Events::default());
        assert!(page.contains("a &amp; b") && page.contains("&lt;script&gt;"));
        assert!(!page.contains("<script"));
        // The SVG namespace is a name, not an address that is fetched.
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http://") && !outside.contains("https://") && !outside.contains("url("));
        assert!(page.contains("var(--good)") && page.contains("var(--ink)"));
    }

    /// A run whose page has each kind of picture.
    fn recorded_page() -> String {
        let recorded = include_bytes!("../../tests/fixtures/retries.events.jsonl");
        let events = Events::read(&recorded[..]).expect("a recorded run");
        let mut run = Run::of(&events);
        let names = ["web", "cart", "price", "stock", "mail", "audit", "search", "login"];
        let edges = names.windows(2).map(|pair| CallEdge::new(pair[0], pair[1])).collect();
        run.steps[0].graph = Some(CallGraph { nodes: names.map(CallNode::new).to_vec(), edges });
        html(&run, &events)
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
        // The page is 400 wide without 1 rem at each side.
        let room = 400.0 - 2.0 * 16.0;
        let shown = match svg
            .split_once("class=\"")
            .map(|(_, rest)| rest.split('"').next().unwrap_or_default())
        {
            Some("meshy-graph") if STYLE.contains("figure > svg.meshy-graph { max-width: none; }") => natural,
            Some("meshy-graph" | "mc") => natural.min(room),
            _ => number_after(STYLE, "figure > svg:not([class]) { min-width: ")
                .map_or(room, |rem| room.max(16.0 * rem)),
        };
        letters * shown / natural
    }

    #[test]
    fn letters_of_all_pictures_can_be_read_on_a_page_of_400_pixels() {
        let page = recorded_page();
        let figures: Vec<&str> =
            page.split("<figure>").skip(1).filter_map(|rest| rest.split("</figure>").next()).collect();
        assert_eq!(figures.len(), 3, "the run, its latency, its calls");
        for figure in figures {
            let letters = smallest_letters(figure);
            assert!(
                (8.0..20.0).contains(&letters),
                "{letters:.1} pixels in {}",
                &figure[..figure.len().min(200)]
            );
        }
    }

    #[test]
    fn a_page_on_paper_is_white_and_keeps_each_legend_with_its_picture() {
        let page = recorded_page();
        let print = STYLE.split_once("@media print {").expect("a style for paper").1;
        assert!(print.contains("body { margin: 0;") && print.contains("background: none; }"), "{print}");
        assert!(print.contains("figure, tr { break-inside: avoid; }"), "{print}");
        let outside: String =
            page.split("<figure>").map(|part| part.rsplit("</figure>").next().unwrap_or_default()).collect();
        assert!(page.contains("<i class=\"key ") && !outside.contains("<i class=\"key "), "{outside}");
    }

    /// On a telephone the chart of a run keeps its letters (it is 480 wide), and what is wider moves within its own frame.
    #[test]
    fn a_page_of_400_pixels_shows_the_chart_and_moves_only_what_is_wider() {
        let page = recorded_page();
        let chart = page.split("<figure>").nth(1).expect("the first picture");
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
        assert!(page.contains("width=device-width") && page.contains("figure, .table { overflow-x: auto; }"));
        assert!(
            page.contains(".table {\n  background:\n    linear-gradient("),
            "what is cut off has a shadow"
        );
        assert_eq!(page.matches("<table").count(), page.matches("<div class=\"table\"><table").count());
    }

    #[test]
    fn a_run_of_nothing_has_a_page_too() {
        assert!(html(&Run::default(), &Events::default()).ends_with("</html>\n"));
    }
}
