//! From what was measured to a value with its interval.

use std::time::Duration;

use super::not_measured::NotMeasured;
use super::{Metric, Operand, Place, Unit};
use crate::event::{Counts, EdgeCounts, Outcome, Results, ServiceCounts, StepResult, Totals, sum};
use crate::interval::{Interval, float};
use crate::storm::{self, Class};

/// A measured value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measured {
    /// The value with its interval.
    pub(super) interval: Interval,
    /// The counts, where the value is a share.
    pub(super) share: Option<(u64, u64)>,
    /// The unit.
    pub(super) unit: Unit,
    /// The class, for `class`.
    pub(super) class: Option<Class>,
}

/// Counts of one place, over the step or a window of it.
struct Counted {
    requests: u64,
    succeeded: u64,
    statuses: std::collections::BTreeMap<String, u64>,
    outcomes: std::collections::BTreeMap<crate::event::Outcome, u64>,
    edge: Option<EdgeCounts>,
    seconds: f64,
}

/// Measures an operand. `unit` chooses between share and number where both are possible.
///
/// # Errors
/// Why it has no value.
pub(super) fn measure(
    results: &Results,
    variant: Option<&str>,
    operand: &Operand,
    unit: Option<Unit>,
) -> Result<Measured, NotMeasured> {
    let step = step(results, variant, operand)?;
    if matches!(operand.metric, Metric::Class | Metric::Recovery) {
        return recovery(step, operand.metric);
    }
    if let Some(q) = quantile(operand.metric) {
        return latency(step, operand.place.as_ref(), q);
    }
    if matches!(operand.metric, Metric::Wasted | Metric::Probes) {
        return at_service(&step.totals, operand);
    }
    let counted = counted(step, operand)?;
    let ratio = |hits: u64, count: u64, what: &'static str| match count {
        0 => Err(NotMeasured::None(what)),
        _ => Ok(share(hits, count)),
    };
    let edge = counted.edge.as_ref();
    let attempts = || edge.ok_or(NotMeasured::NoAttempts);
    match operand.metric {
        Metric::Success => ratio(counted.succeeded, counted.requests, "requests"),
        Metric::ActualSuccess => {
            let edge = attempts()?;
            ratio(edge.attempts_succeeded, edge.attempts, "attempts")
        }
        Metric::MutualTls => {
            let edge = attempts()?;
            let hits = edge.attempts_mutual_tls.ok_or(NotMeasured::NoTls)?;
            ratio(hits, edge.attempts, "attempts")
        }
        Metric::Share => ratio(counted.requests, load(step, operand).requests, "requests of the load"),
        Metric::Goodput => {
            let load = load(step, operand);
            ratio(load.in_time, load.offered, "offered requests")
        }
        Metric::Rate => {
            Ok(value(Interval::exact(float(counted.requests) / counted.seconds), Unit::PerSecond))
        }
        Metric::ActualRate => {
            let attempts = with_retries(attempts()?);
            Ok(value(attempts.scaled(1.0 / counted.seconds, 0.0), Unit::PerSecond))
        }
        Metric::Amplification => {
            let edge = attempts()?;
            let requests = amplified(step, operand, edge)?;
            let attempts = with_retries(edge).scaled(1.0 / float(requests), 0.0);
            Ok(Measured { share: Some((edge.attempts, requests)), ..value(attempts, Unit::PerRequest) })
        }
        Metric::AddedLoad => {
            added_load(edge.or(by_the_service(step, operand).as_ref()).ok_or(NotMeasured::NoSource)?)
        }
        // The proxies count these requests as rejected by the circuit breaker.
        Metric::Outcome(Outcome::LoadShed) => Err(NotMeasured::LoadShed),
        Metric::Outcome(outcome) => {
            // A proxy that counted mutual TLS would have counted what it rejected, too.
            let is_read = edge.is_some_and(|edge| edge.attempts_mutual_tls.is_some());
            let is_known = is_read && matches!(outcome, Outcome::Denied | Outcome::RateLimited);
            if counted.outcomes.is_empty() && counted.requests > 0 && !is_known {
                return Err(NotMeasured::NoOutcomes);
            }
            let hits = counted.outcomes.get(&outcome).copied().unwrap_or_default();
            number(hits, counted.requests, unit)
        }
        Metric::Status(status) => {
            let hits = counted.statuses.get(&status.to_string()).copied().unwrap_or_default();
            number(hits, counted.requests, unit)
        }
        _ => Err(NotMeasured::Unknown),
    }
}

fn step<'a>(
    results: &'a Results,
    variant: Option<&str>,
    operand: &Operand,
) -> Result<&'a StepResult, NotMeasured> {
    let name = match &operand.step {
        Some(name) => name.as_str(),
        None => match results.steps() {
            [only] => only,
            _ => return Err(NotMeasured::SeveralSteps),
        },
    };
    let variant = operand.variant.as_deref().or(variant);
    results.step(variant, name).filter(|step| step.totals.duration_ms > 0).ok_or_else(|| match variant {
        Some(variant) => NotMeasured::NoStepOfVariant { step: name.to_owned(), variant: variant.to_owned() },
        None => NotMeasured::NoStep(name.to_owned()),
    })
}

/// The sender's counts in the step or the window.
fn load(step: &StepResult, operand: &Operand) -> Counts {
    match operand.window {
        None => step.totals.load.clone(),
        Some((from, to)) => minus(&step.at(to).load, &step.at(from).load),
    }
}

fn counted(step: &StepResult, operand: &Operand) -> Result<Counted, NotMeasured> {
    let (load, edge, millis) = match operand.window {
        None => (load(step, operand), at(&step.totals.edges, operand, step), step.totals.duration_ms),
        Some((from, to)) => windowed(step, operand, from, to)?,
    };
    let seconds = float(millis.max(1)) / 1000.0;
    match (&operand.place, edge) {
        (None, edge) => Ok(Counted {
            requests: load.requests,
            succeeded: load.succeeded,
            statuses: load.statuses,
            outcomes: load.outcomes,
            edge,
            seconds,
        }),
        (Some(_), Some(edge)) => Ok(Counted {
            requests: edge.requests,
            succeeded: edge.succeeded,
            statuses: edge.statuses.clone(),
            outcomes: edge.outcomes.clone(),
            edge: Some(edge),
            seconds,
        }),
        // A service that was called by no one was reached by none of the requests.
        (Some(_), None) if operand.metric == Metric::Share => Ok(Counted {
            requests: 0,
            succeeded: 0,
            statuses: Default::default(),
            outcomes: Default::default(),
            edge: None,
            seconds,
        }),
        (Some(place), None) => Err(NotMeasured::NoRequestsTo(place.clone())),
    }
}

fn windowed(
    step: &StepResult,
    operand: &Operand,
    from: Duration,
    to: Duration,
) -> Result<(Counts, Option<EdgeCounts>, u64), NotMeasured> {
    let (start, end) = (step.at(from), step.at(to));
    if u128::from(end.at_ms) + 1000 < to.as_millis() || end.at_ms <= start.at_ms {
        return Err(NotMeasured::TooShort(float(end.at_ms) / 1000.0));
    }
    let (load, millis) = (minus(&end.load, &start.load), end.at_ms - start.at_ms);
    // Counts of different times have no difference.
    if start.is_stale || end.is_stale {
        return if operand.place.is_some() { Err(NotMeasured::Stale) } else { Ok((load, None, millis)) };
    }
    let edge = at(&end.edges, operand, step).map(|edge| match at(&start.edges, operand, step) {
        Some(before) => edge_minus(&edge, &before),
        None => edge,
    });
    Ok((load, edge, millis))
}

/// The sum of the edges of the operand's place; without one, of those into the watched service.
fn at(edges: &[EdgeCounts], operand: &Operand, step: &StepResult) -> Option<EdgeCounts> {
    let started = &step.started;
    match &operand.place {
        Some(Place::Service(service)) => sum(edges.iter().filter(|edge| edge.to == *service)),
        Some(Place::Edge(from, to)) => sum(edges.iter().filter(|edge| edge.from == *from && edge.to == *to)),
        None => {
            let watched = started.watched.as_ref().or(started.target.as_ref())?;
            sum(edges.iter().filter(|edge| edge.to == *watched))
        }
    }
}

/// The requests that attempts are divided by: on an edge its own, at a service those of the load, so that the number
/// is the whole amplification of the chain.
fn amplified(step: &StepResult, operand: &Operand, edge: &EdgeCounts) -> Result<u64, NotMeasured> {
    let requests = match &operand.place {
        Some(Place::Edge(..)) => edge.requests,
        _ => load(step, operand).requests,
    };
    if requests == 0 { Err(NotMeasured::None("requests")) } else { Ok(requests) }
}

/// Attempts beyond the first, per request at the service.
fn added_load(edge: &EdgeCounts) -> Result<Measured, NotMeasured> {
    let retries = edge.attempts.saturating_sub(edge.requests);
    let interval = match (edge.requests, retries) {
        (0, _) => return Err(NotMeasured::None("requests")),
        (_, 0) => Interval::exact(0.0),
        (requests, _) => Interval::count(retries).scaled(1.0 / float(requests), 0.0),
    };
    Ok(value(interval, Unit::Ratio))
}

/// What the service itself reported to the sender about attempts, over the whole step.
fn by_the_service(step: &StepResult, operand: &Operand) -> Option<EdgeCounts> {
    if operand.place.is_some() || operand.window.is_some() || step.totals.attempts.is_empty() {
        return None;
    }
    let counts = step.totals.attempts.iter();
    let attempts = counts.map(|(attempts, counts)| u64::from(*attempts) * counts.requests).sum();
    let requests = step.totals.attempts.values().map(|counts| counts.requests).sum();
    Some(EdgeCounts { requests, attempts, ..EdgeCounts::default() })
}

/// The attempts with their interval: what was requested is known, retries are random.
fn with_retries(edge: &EdgeCounts) -> Interval {
    let retries = edge.attempts.saturating_sub(edge.requests);
    if retries == 0 {
        return Interval::exact(float(edge.attempts));
    }
    Interval::count(retries).scaled(1.0, float(edge.requests))
}

fn quantile(metric: Metric) -> Option<f64> {
    match metric {
        Metric::P50 => Some(0.5),
        Metric::P95 => Some(0.95),
        Metric::P99 => Some(0.99),
        Metric::Max => Some(1.0),
        _ => None,
    }
}

fn latency(step: &StepResult, place: Option<&Place>, q: f64) -> Result<Measured, NotMeasured> {
    let latencies = match place {
        None => Some(&step.totals.latencies),
        Some(place) => step.totals.edge_latencies.get(&place.to_string()),
    };
    let interval = latencies.and_then(|latencies| {
        if q < 1.0 { latencies.quantile(q) } else { latencies.max().map(Interval::exact) }
    });
    interval.map(|interval| value(interval, Unit::Millis)).ok_or(NotMeasured::NoLatency)
}

/// What is counted at a service: its wasted work, or its probes.
fn at_service(totals: &Totals, operand: &Operand) -> Result<Measured, NotMeasured> {
    let Some(Place::Service(name)) = &operand.place else {
        return Err(NotMeasured::NoService(operand.metric));
    };
    let found: Option<&ServiceCounts> = totals.services.iter().find(|service| service.service == *name);
    let service = found.ok_or_else(|| NotMeasured::NotReported(name.clone()))?;
    if operand.metric == Metric::Probes {
        return Ok(value(Interval::exact(float(service.probes)), Unit::Count));
    }
    match service.worked() {
        0 => Err(NotMeasured::NothingFinished(name.clone())),
        worked => Ok(share(service.wasted, worked)),
    }
}

fn recovery(step: &StepResult, metric: Metric) -> Result<Measured, NotMeasured> {
    let end = step.started.trigger_end_ms.ok_or(NotMeasured::NoTrigger)?;
    let rule = storm::Rule::for_step(step.started.duration_ms, end);
    let class = storm::classify(&step.totals.arrivals, end, rule);
    match (metric, &class) {
        (_, Class::Undecided { reason }) => Err(NotMeasured::NoClass(reason.clone())),
        (Metric::Recovery, Class::Recovered { after_seconds }) => {
            Ok(value(Interval::exact(float(*after_seconds) * 1000.0), Unit::Millis))
        }
        (Metric::Recovery, Class::Metastable) => Ok(value(Interval::exact(f64::INFINITY), Unit::Millis)),
        _ => Ok(Measured { class: Some(class), ..value(Interval::exact(0.0), Unit::Class) }),
    }
}

fn value(interval: Interval, unit: Unit) -> Measured {
    Measured { interval, share: None, unit, class: None }
}

fn share(hits: u64, count: u64) -> Measured {
    Measured { share: Some((hits, count)), ..value(Interval::share(hits, count), Unit::Ratio) }
}

fn number(hits: u64, count: u64, unit: Option<Unit>) -> Result<Measured, NotMeasured> {
    match unit {
        Some(Unit::Count) => {
            Ok(Measured { share: Some((hits, 1)), ..value(Interval::exact(float(hits)), Unit::Count) })
        }
        _ if count == 0 => Err(NotMeasured::None("requests")),
        _ => Ok(share(hits, count)),
    }
}

/// The difference of two cumulative counts.
fn minus(now: &Counts, before: &Counts) -> Counts {
    let difference = |now: u64, before: u64| now.saturating_sub(before);
    let mut counts = Counts {
        offered: difference(now.offered, before.offered),
        requests: difference(now.requests, before.requests),
        succeeded: difference(now.succeeded, before.succeeded),
        in_time: difference(now.in_time, before.in_time),
        ..now.clone()
    };
    for (status, count) in &mut counts.statuses {
        *count = difference(*count, before.statuses.get(status).copied().unwrap_or_default());
    }
    for (outcome, count) in &mut counts.outcomes {
        *count = difference(*count, before.outcomes.get(outcome).copied().unwrap_or_default());
    }
    counts
}

fn edge_minus(now: &EdgeCounts, before: &EdgeCounts) -> EdgeCounts {
    let difference = |now: u64, before: u64| now.saturating_sub(before);
    let mut counts = EdgeCounts {
        requests: difference(now.requests, before.requests),
        succeeded: difference(now.succeeded, before.succeeded),
        attempts: difference(now.attempts, before.attempts),
        attempts_succeeded: difference(now.attempts_succeeded, before.attempts_succeeded),
        attempts_mutual_tls: now
            .attempts_mutual_tls
            .zip(before.attempts_mutual_tls)
            .map(|(a, b)| difference(a, b)),
        ..now.clone()
    };
    for (status, count) in &mut counts.statuses {
        *count = difference(*count, before.statuses.get(status).copied().unwrap_or_default());
    }
    for (outcome, count) in &mut counts.outcomes {
        *count = difference(*count, before.outcomes.get(outcome).copied().unwrap_or_default());
    }
    counts
}

/// Returns the text with each `{STEP.METRIC}` replaced by what was measured, `-` where that is not known.
pub fn filled(text: &str, results: &Results) -> String {
    let mut rest = text;
    let mut whole = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        whole.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            rest = after;
            break;
        };
        let value =
            name.parse::<Operand>().ok().and_then(|operand| measure(results, None, &operand, None).ok());
        whole.push_str(&value.map_or("-".to_owned(), |value| value.unit.words(value.interval.mean)));
        rest = behind;
    }
    whole.push_str(rest);
    whole
}
