//! The parts of a run's page that come from its end: the result, the tables, prediction next to measurement, versions; and pictures
//! for a browser without scripts.

#[cfg(test)]
mod tests;

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
pub(crate) fn report(events: &Events) -> Report {
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
    if cluster::is_embedded(&run.provider) {
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
    let key = "<figcaption><span><i class=\"key bad\"></i>p99</span> <span><i class=\"key good\"></i>p50</span></figcaption>";
    // Variants run at the same time, so each has its picture.
    for variant in events.variants() {
        let prefix = variant.as_deref().map(|variant| format!("{variant}/")).unwrap_or_default();
        let steps: Vec<_> =
            run.steps.iter().filter_map(|step| Some((step.name.strip_prefix(&prefix)?, step))).collect();
        let title = variant.map_or("latency, ms".to_owned(), |variant| format!("latency, ms: {variant}"));
        writeln!(page, "<figure>{}{key}</figure>", chart::latency(&title, &steps))?;
        steps_key(page, &steps)?;
    }
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
fn steps_key(page: &mut String, steps: &[(&str, &Step)]) -> std::fmt::Result {
    // Few steps have their names in the picture.
    if steps.len() <= chart::MOST_NAMES && steps.iter().all(|(_, step)| step.marks.is_empty()) {
        return Ok(());
    }
    page.push_str("<ol class=\"steps-key\">\n");
    for (name, step) in steps {
        writeln!(page, "<li>{:.0} s: {}", step.begun_seconds, escape(name))?;
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
    for name in summary::STORM_HEAD {
        let (first, rest) = name.split_at(1);
        write!(page, "<th scope=\"col\">{first}{}", rest.to_lowercase())?;
    }
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
