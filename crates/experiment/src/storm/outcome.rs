//! What a storm did in one variant: the class, and what it cost at each hop.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Class, ReliefPhase, Rule, classify, restored_by};
use crate::event::{EdgeCounts, Results, StepResult};
use crate::interval::float;
use crate::run::Run;

/// The result of a step with a trigger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct StormOutcome {
    /// Whether goodput recovered, as measured.
    #[serde(flatten)]
    pub class: Class,
    /// The attempts that each service received, in the order of the calls.
    pub hops: Vec<Hop>,
    /// The highest number of attempts per second at the disturbed service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_attempts_per_second: Option<f64>,
    /// The share of the disturbed service's finished work whose client had disconnected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasted_ratio: Option<f64>,
    /// Goodput by the second in which requests were to start; absent for a second without requests.
    pub goodput_ratios: Vec<Option<f64>>,
    /// The later step that restored goodput, if the state was metastable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_by: Option<String>,
}

/// The attempts at one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Hop {
    /// The service.
    pub service: String,
    /// Attempts for each request of the load.
    pub attempts_per_request: f64,
}

/// Returns the outcome of a step of a run; `None` for a step without a trigger.
pub fn outcome(
    run: &Run,
    results: &Results,
    variant: Option<&str>,
    step: &StepResult,
) -> Option<StormOutcome> {
    let (started, totals) = (&step.started, &step.totals);
    let end = started.trigger_end_ms?;
    let class = classify(&totals.arrivals, end, Rule::for_step(started.duration_ms, end));
    let watched = started.watched.as_deref();
    let service = totals.services.iter().find(|service| Some(service.service.as_str()) == watched);
    let series = run.series(variant);
    let points = series.iter().filter(|series| series.step == started.step).flat_map(|series| &series.points);
    let peak = points.filter_map(crate::run::Point::attempt_rate).reduce(f64::max);
    Some(StormOutcome {
        restored_by: (class == Class::Metastable).then(|| relief(results, variant, &started.step)).flatten(),
        class,
        hops: hops(&totals.edges, started.target.as_deref(), totals.load.requests),
        peak_attempts_per_second: peak,
        wasted_ratio: service
            .filter(|service| service.worked() > 0)
            .map(|service| float(service.wasted) / float(service.worked())),
        goodput_ratios: totals
            .arrivals
            .iter()
            .map(|second| (second.offered > 0).then(|| float(second.in_time) / float(second.offered)))
            .collect(),
    })
}

/// Returns the services below the target with their attempts, by their distance from it.
fn hops(edges: &[EdgeCounts], target: Option<&str>, requests: u64) -> Vec<Hop> {
    let mut distances: BTreeMap<&str, usize> = target.into_iter().map(|target| (target, 0)).collect();
    // Each round finds one distance more; a call graph has no cycle.
    for _ in edges {
        for edge in edges {
            let Some(from) = distances.get(edge.from.as_str()).copied() else { continue };
            distances.entry(&edge.to).or_insert(from + 1);
        }
    }
    let mut services: Vec<(usize, &str)> =
        distances.into_iter().map(|(name, distance)| (distance, name)).collect();
    services.retain(|(distance, _)| *distance > 0 && requests > 0);
    services.sort_unstable();
    let attempts =
        |name: &str| edges.iter().filter(|edge| edge.to == name).map(|edge| edge.attempts).sum::<u64>();
    let hop = |(_, name): (usize, &str)| Hop {
        service: name.to_owned(),
        attempts_per_request: float(attempts(name)) / float(requests),
    };
    services.into_iter().map(hop).collect()
}

/// Returns the step after `step` that restored goodput.
fn relief(results: &Results, variant: Option<&str>, step: &str) -> Option<String> {
    let later = results.steps().iter().skip_while(|name| *name != step).skip(1);
    let phases: Vec<ReliefPhase> = later
        .filter_map(|name| Some((name, results.step(variant, name)?)))
        .map(|(name, result)| ReliefPhase { step: name.clone(), arrivals: result.totals.arrivals.clone() })
        .collect();
    restored_by(&phases).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{
        ArrivalSecond, Counts, Event, Kind, ServiceCounts, StepEnded, StepStarted, Tick, Totals,
    };

    fn edge(from: &str, to: &str, attempts: u64) -> EdgeCounts {
        EdgeCounts { from: from.to_owned(), to: to.to_owned(), attempts, ..EdgeCounts::default() }
    }

    fn arrivals(text: &str) -> Vec<ArrivalSecond> {
        let second = |letter: char| match letter {
            '.' => ArrivalSecond::default(),
            letter => ArrivalSecond { offered: 10, in_time: if letter == '+' { 10 } else { 0 } },
        };
        text.chars().map(second).collect()
    }

    /// A run of a step with a trigger that ends after a second, and of two relief steps.
    fn run(storm: &str, pause: &str, after: &str) -> Run {
        let mut events = Vec::new();
        let mut at = 0;
        let mut record = |kind| {
            at += 1000;
            events.push(Event::new(jiff::Timestamp::UNIX_EPOCH, Duration::from_millis(at), Some("v"), kind));
        };
        for (step, text) in [("storm", storm), ("pause", pause), ("after", after)] {
            let is_storm = step == "storm";
            record(Kind::StepStarted(StepStarted {
                step: step.to_owned(),
                target: Some("a".to_owned()),
                watched: Some("c".to_owned()),
                duration_ms: 60_000,
                trigger_end_ms: is_storm.then_some(1000),
                ..StepStarted::default()
            }));
            for (at_ms, attempts) in [(1000, 20), (2000, 90)] {
                let edges = vec![edge("b", "c", attempts)];
                record(Kind::Tick(Tick { step: step.to_owned(), at_ms, edges, ..Tick::default() }));
            }
            let service = ServiceCounts {
                service: "c".to_owned(),
                finished: 80,
                queue_full: 30,
                wasted: 20,
                ..ServiceCounts::default()
            };
            let totals = Totals {
                duration_ms: 3000,
                load: Counts { requests: 10, ..Counts::default() },
                edges: vec![edge("b", "c", 90), edge("a", "b", 30), edge("x", "y", 5)],
                services: vec![service],
                arrivals: arrivals(text),
                ..Totals::default()
            };
            record(Kind::StepEnded(StepEnded { step: step.to_owned(), totals, ..StepEnded::default() }));
        }
        Run::new(events)
    }

    fn outcome_of(run: &Run, step: &str) -> Option<StormOutcome> {
        let results = run.results();
        outcome(run, &results, Some("v"), results.step(Some("v"), step).expect("the step"))
    }

    #[test]
    fn a_storm_has_attempts_by_hop_its_peak_and_its_wasted_work() {
        let run = run(&format!("+{}", "-".repeat(59)), ".....", "+++++");
        let storm = outcome_of(&run, "storm").expect("it has a trigger");
        let hop =
            |service: &str, attempts_per_request| Hop { service: service.to_owned(), attempts_per_request };
        assert_eq!(storm.hops, [hop("b", 3.0), hop("c", 9.0)], "by their distance, without other calls");
        assert_eq!((storm.peak_attempts_per_second, storm.wasted_ratio), (Some(70.0), Some(0.4)));
        assert_eq!(&storm.goodput_ratios[..2], [Some(1.0), Some(0.0)]);
        assert_eq!((storm.class, storm.restored_by.as_deref()), (Class::Metastable, Some("pause")));
        assert_eq!(outcome_of(&run, "after"), None);
    }

    #[test]
    fn what_recovers_by_itself_was_not_restored_by_a_later_step() {
        let storm = outcome_of(&run(&"+".repeat(60), "+++++", "+++++"), "storm").expect("it has a trigger");
        assert_eq!((storm.class, storm.restored_by), (Class::Recovered { after_seconds: 0 }, None));
        let still = outcome_of(&run(&"-".repeat(60), ".....", "-----"), "storm").expect("it has a trigger");
        assert_eq!((still.class, still.restored_by), (Class::Metastable, None));
    }
}
