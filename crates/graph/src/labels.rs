//! Numbers and facts of edges as texts.

use crate::clean::clean;
use crate::index::{Index, Pair};
use crate::model::CallEdge;

/// The most characters of a name or a policy in a tooltip.
const MOST: usize = 200;

/// Larger numbers are not shown.
const MOST_SHOWN: f64 = 1e9;

/// Below this share of successful requests or attempts an edge is shown as failing.
const FAILING: f64 = 0.95;

/// How an edge is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Nothing to note, or no numbers.
    Normal,
    /// Attempts fail, and retries hide it from the client.
    Retried,
    /// Requests fail for the client.
    Failing,
}

/// Returns how the edges of a pair are shown: by the worst.
pub(crate) fn state(pair: &Pair<'_>) -> State {
    let of = |edge: &&CallEdge| {
        let fails = |ratio: Option<f64>| ratio.is_some_and(|ratio| ratio < FAILING);
        if fails(edge.effective_success_ratio) {
            State::Failing
        } else if fails(edge.actual_success_ratio) {
            State::Retried
        } else {
            State::Normal
        }
    };
    pair.edges.iter().map(of).max().unwrap_or(State::Normal)
}

/// Returns a rate: `4.0`, `120`.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second < 99.95 { format!("{per_second:.1}") } else { format!("{per_second:.0}") }
}

/// Returns a share as a percentage, rounded down, so that only all is `100%`.
pub(crate) fn percent(ratio: f64) -> String {
    if ratio >= 1.0 {
        return "100%".to_owned();
    }
    // A millionth more, because 0.7 × 1000 is 699.9999999999999.
    format!("{:.1}%", (ratio * 1000.0 + 1e-6).floor() / 10.0)
}

/// Returns a factor: `1.42`.
pub(crate) fn factor(factor: f64) -> String {
    if factor < 99.995 { format!("{factor:.2}") } else { format!("{factor:.0}") }
}

/// Returns a latency: `2.3 ms`, `12 ms`, `12 s`.
pub(crate) fn latency(milliseconds: f64) -> String {
    match milliseconds {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 9_999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.0} s", ms / 1000.0),
    }
}

/// Returns a number as `text` shows it, if it was measured and is finite.
pub(crate) fn shown(number: Option<f64>, text: fn(f64) -> String) -> Option<String> {
    let number = number.filter(|number| number.is_finite())?;
    // No real number is that large, and its digits would fill the line.
    Some(if number.abs() < MOST_SHOWN { text(number) } else { ">1e9".to_owned() })
}

/// Returns the numbers of an edge in one line: `30.0/s, 99.0% success, ×1.42 attempts`; empty without numbers.
pub(crate) fn summary(edge: &CallEdge) -> String {
    let effective = shown(edge.effective_success_ratio, percent);
    let actual = shown(edge.actual_success_ratio, percent);
    let success = match (effective, actual) {
        (Some(effective), Some(actual)) if effective != actual => {
            Some(format!("{effective} effective, {actual} actual"))
        }
        (Some(ratio), _) | (None, Some(ratio)) => Some(format!("{ratio} success")),
        (None, None) => None,
    };
    let parts = [
        shown(edge.requests_per_second, |rate| format!("{}/s", self::rate(rate))),
        count(edge).map(|count| format!("{count} requests")),
        success,
        attempts(edge),
        shown(edge.p99_ms, |p99| format!("p99 {}", latency(p99))),
        edge.optional.then(|| "optional".to_owned()),
        calls(edge),
        edge.unmeshed_client.then(|| "client not meshed".to_owned()),
        (edge.mutual_tls == Some(false)).then(|| "no mutual TLS".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns the number of requests of an edge, where no time is known to divide it by.
pub(crate) fn count(edge: &CallEdge) -> Option<String> {
    edge.requests_count.filter(|_| edge.requests_per_second.is_none()).map(|count| count.to_string())
}

/// Returns the attempts of an edge as a factor, unless there were no retries.
pub(crate) fn attempts(edge: &CallEdge) -> Option<String> {
    let several = edge.attempts_per_request.filter(|attempts| *attempts >= 1.005);
    shown(several, |attempts| format!("×{} attempts", factor(attempts)))
}

fn calls(edge: &CallEdge) -> Option<String> {
    let other = edge.calls_per_request.filter(|calls| (calls - 1.0).abs() >= 0.005);
    shown(other, |calls| format!("{} calls per request", factor(calls)))
}

/// Returns everything about the edges of a pair, a line each.
pub(crate) fn tooltip(index: &Index<'_>, pair: &Pair<'_>) -> String {
    let name = |node: usize| clean(index.names[node], MOST);
    let mut lines = vec![format!("{} → {}", name(pair.from), name(pair.to))];
    for edge in &pair.edges {
        lines.extend(details(edge));
    }
    lines.join("\n")
}

fn details(edge: &CallEdge) -> Vec<String> {
    let tls = edge.mutual_tls.map(|tls| if tls { "mutual TLS" } else { "no mutual TLS" }.to_owned());
    let lines = [
        shown(edge.requests_per_second, |rate| format!("{} requests/s", self::rate(rate))),
        count(edge).map(|count| format!("{count} requests")),
        shown(edge.effective_success_ratio, |ratio| format!("effective success {}", percent(ratio))),
        shown(edge.actual_success_ratio, |ratio| format!("actual success {}", percent(ratio))),
        shown(edge.attempts_per_request, |attempts| format!("{} attempts per request", factor(attempts))),
        shown(edge.calls_per_request, |calls| format!("{} calls per request of the client", factor(calls))),
        shown(edge.p50_ms, |p50| format!("p50 {}", latency(p50))),
        shown(edge.p99_ms, |p99| format!("p99 {}", latency(p99))),
        tls,
        edge.policy.as_deref().map(|policy| format!("policy: {}", clean(policy, MOST))),
        edge.optional.then(|| "optional: its failure does not fail the request".to_owned()),
        edge.unmeshed_client.then(|| "the client has no proxy".to_owned()),
    ];
    lines.into_iter().flatten().collect()
}
