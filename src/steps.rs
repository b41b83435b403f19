//! A measured step as tables, pages and sentences need it, made from the events of a run.

use std::collections::BTreeSet;

use meshy_experiment::event::{EdgeCounts, Kind, Mesh, StepResult, Tick};
use meshy_experiment::interval::Interval;
use meshy_experiment::run::Run;
use meshy_experiment::storm::{self, StormOutcome};
use meshy_graph::{CallEdge, CallGraph, CallNode};
use meshy_load::{Latency, Summary};
use serde::{Deserialize, Serialize};

/// A measured step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Step {
    /// The name, with that of the variant where there are some.
    pub name: String,
    /// The target of the load.
    pub case: String,
    /// When it began, in seconds since the start of the run.
    pub begun_seconds: f64,
    /// What the sender counted.
    pub traffic: Summary,
    /// Changes of policies and faults while it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    /// What the mesh counted at the watched service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<Mesh>,
    /// Attempts at the watched service, per request of the load; absent where no proxy counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_per_request: Option<f64>,
    /// The predicted share of requests that succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_success_ratio: Option<Interval>,
    /// The predicted attempts at the watched service, per request of the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_attempts_per_request: Option<Interval>,
    /// `recovered` or `metastable`, as predicted for a step with a trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_class: Option<String>,
    /// The class and the cost of a step with a trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<StormOutcome>,
    /// The calls between services, where proxies counted more than one edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<CallGraph>,
    /// Explains the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A change during a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Mark {
    /// Since the start of the step.
    pub at_seconds: f64,
    /// What changed.
    pub text: String,
}

/// Returns the steps of a run in the order of time, those without an end as far as they came.
pub(crate) fn of(run: &Run) -> Vec<Step> {
    let results = run.results();
    let mut steps: Vec<Step> = Vec::new();
    for event in run.events() {
        let Kind::StepStarted(started) = &event.kind else { continue };
        let variant = event.variant.as_deref();
        let Some(result) = results.step(variant, &started.step) else { continue };
        let begun_seconds = event.elapsed().as_secs_f64();
        let name = match variant {
            Some(variant) => format!("{variant}/{}", started.step),
            None => started.step.clone(),
        };
        steps.retain(|step| step.name != name);
        let (ended, why) = end(run, variant, &started.step);
        let until = begun_seconds + result.totals.duration_ms as f64 / 1000.0;
        steps.push(Step {
            traffic: summary(run, variant, result, ended),
            case: started.target.clone().unwrap_or_default(),
            marks: marks(run, variant, begun_seconds, until),
            mesh: result.totals.mesh.as_deref().cloned(),
            graph: graph(result),
            attempts_per_request: attempts(result),
            predicted_success_ratio: result.prediction.as_ref().and_then(|predicted| predicted.success),
            predicted_attempts_per_request: result.prediction.as_ref().and_then(|one| one.amplification),
            storm: storm::outcome(run, &results, variant, result),
            predicted_class: result.prediction.as_ref().and_then(|predicted| predicted.class.clone()),
            begun_seconds,
            name,
            why,
        });
    }
    steps
}

fn graph(result: &StepResult) -> Option<CallGraph> {
    let edges = &result.totals.edges;
    if edges.len() < 2 {
        return None;
    }
    let ratio = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
    let names: BTreeSet<&str> =
        edges.iter().flat_map(|edge| [edge.from.as_str(), edge.to.as_str()]).collect();
    let called: BTreeSet<&str> = edges.iter().map(|edge| edge.to.as_str()).collect();
    let node = |name: &&str| CallNode { entrypoint: !called.contains(*name), ..CallNode::new(*name) };
    let edge = |edge: &EdgeCounts| CallEdge {
        requests_count: Some(edge.requests),
        effective_success_ratio: ratio(edge.succeeded, edge.requests),
        actual_success_ratio: ratio(edge.attempts_succeeded, edge.attempts),
        attempts_per_request: ratio(edge.attempts, edge.requests),
        ..CallEdge::new(&edge.from, &edge.to)
    };
    Some(CallGraph { nodes: names.iter().map(node).collect(), edges: edges.iter().map(edge).collect() })
}

fn attempts(result: &StepResult) -> Option<f64> {
    let watched = result.started.watched.as_deref();
    let requests = result.totals.load.requests;
    let mut edges = result.totals.edges.iter().filter(|edge| Some(edge.to.as_str()) == watched).peekable();
    edges.peek().filter(|_| requests > 0)?;
    let attempts: u64 = edges.map(|edge| edge.attempts).sum();
    Some(attempts as f64 / requests as f64)
}

/// Whether the step ended in time, and the explanation of its result.
fn end(run: &Run, variant: Option<&str>, step: &str) -> (bool, Option<String>) {
    let ended = run.events().iter().rev().find_map(|event| match &event.kind {
        Kind::StepEnded(ended) if ended.step == step && event.variant.as_deref() == variant => Some(ended),
        _ => None,
    });
    (ended.is_some_and(|ended| !ended.interrupted), ended.and_then(|ended| ended.why.clone()))
}

fn marks(run: &Run, variant: Option<&str>, from: f64, until: f64) -> Vec<Mark> {
    let here = run.events().iter().filter(|event| event.variant.as_deref() == variant);
    here.filter_map(|event| {
        let at = event.elapsed().as_secs_f64();
        let (Kind::PolicyChanged(change) | Kind::FaultChanged(change)) = &event.kind else { return None };
        (from..=until).contains(&at).then(|| Mark { at_seconds: at - from, text: change.words() })
    })
    .collect()
}

fn summary(run: &Run, variant: Option<&str>, result: &StepResult, ended: bool) -> Summary {
    let (totals, load) = (&result.totals, &result.totals.load);
    let length_seconds = totals.duration_ms as f64 / 1000.0;
    let latency = |quantiles: Option<meshy_experiment::latency::Quantiles>| {
        let all = quantiles.unwrap_or_default();
        Latency { p50_ms: all.p50_ms, p95_ms: all.p95_ms, p99_ms: all.p99_ms, max_ms: all.max_ms }
    };
    let mut ticks = Vec::new();
    let mut last = Tick::default();
    for event in run.events().iter().filter(|event| event.variant.as_deref() == variant) {
        let Kind::Tick(tick) = &event.kind else { continue };
        if tick.step != result.started.step {
            continue;
        }
        let (at, before) = (tick.at_ms as f64 / 1000.0, last.at_ms as f64 / 1000.0);
        let one = meshy_load::Tick {
            at_seconds: before,
            length_seconds: at - before,
            requests_count: tick.load.requests.saturating_sub(last.load.requests),
            succeeded_count: tick.load.succeeded.saturating_sub(last.load.succeeded),
            latency: latency(tick.latency_now),
        };
        match ticks.last_mut() {
            // The rest of a load after its last whole second is too short for a separate share.
            Some(before) if one.length_seconds < 0.5 => add(before, &one),
            _ if one.requests_count > 0 || one.length_seconds >= 0.5 => ticks.push(one),
            _ => {}
        }
        last = tick.clone();
    }
    let by = |value: fn(&meshy_experiment::event::AttemptCounts) -> u64| {
        totals.attempts.iter().map(|(attempts, counts)| (*attempts, value(counts))).collect()
    };
    Summary {
        length_seconds,
        wanted_requests_per_second: result.started.offered_per_second,
        requests_per_second: load.requests as f64 / length_seconds.max(1e-9),
        requests_count: load.requests,
        succeeded_count: load.succeeded,
        success_ratio: (load.requests > 0).then(|| load.succeeded as f64 / load.requests as f64),
        latency: latency(totals.latencies.quantiles()),
        outcomes_count: totals.results.clone(),
        attempts_count: by(|counts| counts.requests),
        attempts_succeeded_count: by(|counts| counts.succeeded),
        attempts_p50_ms: totals
            .attempts
            .iter()
            .map(|(attempts, counts)| (*attempts, counts.p50_ms))
            .collect(),
        histogram: meshy_load::histogram(totals.latencies.counts().iter().copied()),
        ticks,
        interrupted: !ended,
        incomplete: totals.incomplete.clone(),
    }
}

/// Adds a part of a second to the second before it, which keeps its latency.
fn add(second: &mut meshy_load::Tick, part: &meshy_load::Tick) {
    second.length_seconds += part.length_seconds;
    second.requests_count += part.requests_count;
    second.succeeded_count += part.succeeded_count;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use meshy_experiment::event::{Change, Counts, Event, StepEnded, StepStarted, Totals};

    use super::*;

    #[test]
    fn a_step_has_what_its_events_have() {
        let event =
            |millis, kind| Event::new(jiff::Timestamp::UNIX_EPOCH, Duration::from_millis(millis), None, kind);
        let counts = |requests, succeeded| Counts { requests, succeeded, ..Counts::default() };
        let tick = |at_ms, requests, succeeded| {
            Kind::Tick(Tick {
                step: "a".to_owned(),
                at_ms,
                load: counts(requests, succeeded),
                ..Tick::default()
            })
        };
        let started = StepStarted { step: "a".to_owned(), offered_per_second: 4.0, ..StepStarted::default() };
        let change = Change { subject: "x".to_owned(), text: "70% errors".to_owned(), ..Change::default() };
        let totals = Totals { duration_ms: 2000, load: counts(8, 4), ..Totals::default() };
        let ended =
            StepEnded { step: "a".to_owned(), totals, why: Some("so".to_owned()), interrupted: false };
        let run = Run::new(vec![
            event(1000, Kind::StepStarted(started)),
            event(2000, tick(1000, 4, 1)),
            event(2500, Kind::FaultChanged(change)),
            event(3000, tick(2000, 7, 4)),
            event(3200, tick(2200, 8, 4)),
            event(3210, Kind::StepEnded(ended)),
        ]);
        let steps = of(&run);
        let [step] = &steps[..] else { panic!("{steps:?}") };
        assert_eq!((step.begun_seconds, step.why.as_deref()), (1.0, Some("so")));
        assert_eq!((step.traffic.requests_count, step.traffic.success_ratio), (8, Some(0.5)));
        let ticks: Vec<u64> = step.traffic.ticks.iter().map(|tick| tick.succeeded_count).collect();
        assert_eq!((ticks, step.traffic.interrupted), (vec![1, 3], false));
        let last = &step.traffic.ticks[1];
        assert_eq!(last.requests_count, 4, "a failure after the last second is part of that second");
        assert!((last.length_seconds - 1.2).abs() < 1e-9, "{last:?}");
        assert_eq!(step.marks, [Mark { at_seconds: 1.5, text: "x 70% errors".to_owned() }]);
    }
}
