//! The prediction of a call graph as text.

use meshy_predict::model::EdgePolicy;
use meshy_predict::predict::{Classes, PredictedEdge};
use meshy_predict::recovery::Class;
use meshy_predict::storm::{Trigger, TriggerKind};
use meshy_predict::{Interval, Prediction};

use super::{Document, Entry};
use crate::ui::table::Table;

/// Returns the policy of the edges in one line.
pub(in crate::commands) fn policy(policy: &EdgePolicy) -> String {
    let mut parts = Vec::new();
    if let Some(retry) = &policy.retry {
        parts.extend(retry.limit.map(|limit| format!("at most {limit} retries a request")));
        parts.extend(retry.budget.map(|budget| {
            let ttl = budget.ttl.as_secs_f64();
            format!("a budget of ratio {}, {} retries/s, ttl {ttl} s", budget.ratio, budget.min_per_second)
        }));
    } else {
        parts.push("no retries".to_owned());
    }
    let timeouts = [
        ("request timeout", policy.timeout),
        ("response timeout", policy.response_timeout),
        ("retry timeout", policy.retry.as_ref().and_then(|retry| retry.retry_timeout)),
    ];
    for (name, timeout) in timeouts {
        parts.extend(timeout.map(|timeout| format!("{name} {} s", timeout.as_secs_f64())));
    }
    parts.join(", ")
}

/// Returns a trigger with the service that it is about.
pub(super) fn trigger(trigger: &Trigger, at: Option<&str>) -> String {
    match (trigger.kind, at) {
        (TriggerKind::Load(_), _) | (_, None) => trigger.to_string(),
        (_, Some(at)) => format!("{trigger} at {at}"),
    }
}

/// Returns the whole document.
pub(super) fn of(document: &Document) -> String {
    let trigger = document.trigger.as_ref().map(|trigger| format!(", trigger {trigger}")).unwrap_or_default();
    let mut text = format!(
        "topology {}, {} requests/s for {} s{trigger}\non each edge: {}\n",
        document.topology, document.requests_per_second, document.over_seconds, document.policy
    );
    for entry in &document.entries {
        text.push_str(&of_entry(entry, document.requests_per_second));
    }
    let runs = document.entries.first().map_or(0, |entry| entry.prediction.simulations_count);
    text.push_str(&format!("\n{runs} simulations; a range holds 99.7 % of such runs.\n"));
    text
}

fn of_entry(entry: &Entry, rate: f64) -> String {
    let prediction = &entry.prediction;
    let latency = &prediction.latency;
    let mut text = format!("\nentry {}\n", entry.entry);
    if let (Some(capacity), Some(service)) = (entry.capacity_requests_per_second, &entry.capacity_limited_by)
    {
        text.push_str(&format!("  capacity  {capacity:.1} requests/s, limited by {service}\n"));
    }
    text.push_str(&format!("  success   {}\n", share(&prediction.success_ratio)));
    text.push_str(&format!("  goodput   {}   succeeded within 2 s\n", share(&prediction.goodput_ratio)));
    text.push_str(&format!("  p50, p99  {:.1} ms, {:.1} ms\n", latency.p50_ms.mean, latency.p99_ms.mean));
    text.push_str(&format!(
        "  wasted    {}   work whose client had disconnected\n",
        share(&prediction.wasted_ratio)
    ));
    if let Some(classes) = &prediction.classes {
        text.push_str(&format!("  class     {}\n", class(classes)));
    }
    let edges = table(prediction, rate);
    if !edges.is_empty() {
        text.push_str(&format!("\n{}\n", edges.render().trim_end()));
    }
    text
}

/// Returns the row of each edge that the load reaches.
fn table(prediction: &Prediction, rate: f64) -> Table {
    let mut table = Table::new(1, &["EDGE", "RPS", "ATTEMPTS/REQ", "RANGE", "EFFECTIVE", "ACTUAL", "PEAK/S"]);
    for edge in prediction.edges.iter().filter(|edge| edge.amplification.mean > 0.0) {
        table.row([
            format!("{} → {}", edge.from, edge.to),
            format!("{:.1}", rate * requests(edge)),
            format!("{:.2}", edge.attempts_per_request.mean),
            format!("{:.2} to {:.2}", edge.attempts_per_request.low, edge.attempts_per_request.high),
            percent(edge.effective_success_ratio.mean),
            percent(edge.actual_success_ratio.mean),
            format!("{:.0}", edge.peak_attempts_per_second.mean),
        ]);
    }
    table
}

/// Returns the requests on an edge for each request of the load.
fn requests(edge: &PredictedEdge) -> f64 {
    edge.amplification.mean / edge.attempts_per_request.mean.max(1.0)
}

fn class(classes: &Classes) -> String {
    let runs = classes.recovered_count + classes.metastable_count;
    match classes.class() {
        None => format!("split: metastable in {} of {runs} simulations", classes.metastable_count),
        Some(Class::Recovered { after_seconds }) => {
            format!(
                "recovered, {after_seconds} s after the trigger ({} of {runs} simulations)",
                classes.recovered_count
            )
        }
        Some(_) => format!(
            "metastable: goodput does not recover ({} of {runs} simulations)",
            classes.metastable_count
        ),
    }
}

fn percent(ratio: f64) -> String {
    format!("{:.1} %", ratio * 100.0)
}

fn share(interval: &Interval) -> String {
    format!("{} ({:.1} to {:.1} %)", percent(interval.mean), interval.low * 100.0, interval.high * 100.0)
}
