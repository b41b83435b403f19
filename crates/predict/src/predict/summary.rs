//! From runs to a prediction.

use super::Options;
use super::result::{
    Classes, PredictedEdge, PredictedLatency, PredictedSecond, PredictedService, Prediction,
};
use crate::interval::Interval;
use crate::model::Model;
use crate::outcome::{EdgeCounts, Run, ratio};
use crate::recovery::{self, Class, Relief};

pub(super) fn summarize(model: &Model, options: &Options, runs: &[Run]) -> Prediction {
    let seconds = runs.iter().map(|run| run.seconds.len()).min().unwrap_or(0);
    Prediction {
        simulations_count: runs.len(),
        seed: options.seed,
        requests_count: any(runs, |run| run.offered() as f64),
        success_ratio: share(runs, Run::success_ratio),
        goodput_ratio: share(runs, Run::goodput_ratio),
        latency: PredictedLatency {
            p50_ms: any(runs, |run| 1_000.0 * run.latency_seconds(0.5)),
            p95_ms: any(runs, |run| 1_000.0 * run.latency_seconds(0.95)),
            p99_ms: any(runs, |run| 1_000.0 * run.latency_seconds(0.99)),
        },
        wasted_ratio: share(runs, Run::wasted_ratio),
        edges: (0..model.edges.len()).map(|index| edge(model, runs, index)).collect(),
        services: (0..model.services.len()).map(|index| service(model, runs, index)).collect(),
        seconds: (0..seconds).map(|index| second(model, runs, index)).collect(),
        classes: options.observation.as_ref().map(|_| classes(options, runs)),
    }
}

fn edge(model: &Model, runs: &[Run], index: usize) -> PredictedEdge {
    let name = |service: usize| model.services[service].name.clone();
    let of = |part: fn(&EdgeCounts) -> u64, whole: fn(&EdgeCounts) -> u64| {
        move |run: &Run| ratio(part(&run.edges[index].total), whole(&run.edges[index].total))
    };
    PredictedEdge {
        from: name(model.edges[index].from),
        to: name(model.edges[index].to),
        effective_success_ratio: share(runs, of(|edge| edge.requests_succeeded, |edge| edge.requests)),
        actual_success_ratio: share(runs, of(|edge| edge.attempts_succeeded, |edge| edge.attempts)),
        attempts_per_request: any(runs, of(|edge| edge.attempts, |edge| edge.requests)),
        amplification: any(runs, |run| run.amplification(index)),
        peak_attempts_per_second: any(runs, |run| run.peak_attempts(index) as f64),
    }
}

fn service(model: &Model, runs: &[Run], index: usize) -> PredictedService {
    PredictedService {
        name: model.services[index].name.clone(),
        rejected_count: any(runs, |run| run.services[index].rejected as f64),
        wasted_ratio: share(runs, |run| ratio(run.services[index].wasted, run.services[index].finished)),
    }
}

fn second(model: &Model, runs: &[Run], index: usize) -> PredictedSecond {
    let edges = || 0..model.edges.len();
    let load = |of: fn(&crate::outcome::Second) -> u32| {
        move |run: &Run| ratio(of(&run.seconds[index]).into(), run.seconds[index].offered.into())
    };
    let attempts = |run: &Run, edge: usize| run.edges[edge].seconds[index];
    PredictedSecond {
        second: index,
        offered_per_second: any(runs, |run| f64::from(run.seconds[index].offered)).mean,
        goodput_ratio: share(runs, load(|second| second.good)),
        success_ratio: share(runs, load(|second| second.succeeded)),
        attempts_per_second: edges()
            .map(|edge| any(runs, |run| attempts(run, edge).attempts as f64))
            .collect(),
        actual_success_ratio: edges()
            .map(|edge| {
                share(runs, |run| ratio(attempts(run, edge).attempts_succeeded, attempts(run, edge).attempts))
            })
            .collect(),
    }
}

fn classes(options: &Options, runs: &[Run]) -> Classes {
    let mut classes = Classes::default();
    let Some(observation) = &options.observation else { return classes };
    let mut recoveries = Vec::new();
    for run in runs {
        match recovery::classify(&run.seconds, observation) {
            Class::Recovered { after_seconds } => recoveries.push(after_seconds),
            Class::Stable => classes.stable_count += 1,
            Class::Collapsed => classes.collapsed_count += 1,
            Class::Metastable => {
                classes.metastable_count += 1;
                match options.relief.as_ref().map(|phases| recovery::relief(&run.seconds, phases)) {
                    Some(Relief::ReducedLoad) => classes.restored_by_reduced_load_count += 1,
                    Some(Relief::Pause) => classes.restored_by_pause_count += 1,
                    Some(Relief::Nothing) | None => {}
                }
            }
        }
    }
    classes.recovered_count = recoveries.len() as u64;
    recoveries.sort_unstable();
    if let (Some(least), Some(most)) = (recoveries.first(), recoveries.last()) {
        classes.recovery_seconds = Some((*least, recoveries[recoveries.len() / 2], *most));
    }
    classes
}

fn share(runs: &[Run], value: impl Fn(&Run) -> f64) -> Interval {
    Interval::of(runs.iter().map(value).collect(), 1.0)
}

fn any(runs: &[Run], value: impl Fn(&Run) -> f64) -> Interval {
    Interval::of(runs.iter().map(value).collect(), f64::INFINITY)
}
