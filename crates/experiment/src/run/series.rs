//! Series over time, one point a second, and the marks of changes: what charts draw.

use super::{Run, StepResult};
use crate::event::{Change, Kind, Prediction, Second, sum};
use crate::interval::float;

/// What happened within about a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// The end of the interval, in seconds since the start of the run.
    pub at_seconds: f64,
    /// Its length, in seconds; at least a half unless the whole step is shorter.
    pub length_seconds: f64,
    /// Requests that ended.
    pub requests: u64,
    /// Of these, successful ones.
    pub succeeded: u64,
    /// Of these, within the deadline.
    pub in_time: u64,
    /// Requests that were to start.
    pub offered: u64,
    /// Attempts at the watched service, where a proxy counted them.
    pub attempts: Option<u64>,
    /// Of these, successful ones.
    pub attempts_succeeded: Option<u64>,
}

/// The points of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepSeries {
    /// The name of the step.
    pub step: String,
    /// When it started, in seconds since the start of the run.
    pub start_seconds: f64,
    /// When it ended, or its last tick.
    pub end_seconds: f64,
    /// One point for about each second.
    pub points: Vec<Point>,
    /// What was predicted.
    pub prediction: Option<Prediction>,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// A policy.
    Policy,
    /// A fault or the rate of the load.
    Fault,
}

/// A change at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// In seconds since the start of the run.
    pub at_seconds: f64,
    /// What kind of change.
    pub kind: MarkKind,
    /// In words.
    pub text: String,
    /// Whether something ends.
    pub ends: bool,
}

impl Point {
    /// Returns the share of requests that succeeded; `None` without requests.
    pub fn effective(&self) -> Option<f64> {
        share(self.succeeded, self.requests)
    }

    /// Returns the share of attempts that succeeded; `None` without attempts.
    pub fn actual(&self) -> Option<f64> {
        share(self.attempts_succeeded?, self.attempts?)
    }

    /// Returns goodput over offered requests; `None` where nothing was offered.
    pub fn goodput(&self) -> Option<f64> {
        share(self.in_time, self.offered)
    }

    /// Returns requests per second.
    pub fn rate(&self) -> f64 {
        float(self.requests) / self.length_seconds.max(1e-3)
    }

    /// Returns attempts per second at the watched service.
    pub(crate) fn attempt_rate(&self) -> Option<f64> {
        self.attempts.map(|attempts| float(attempts) / self.length_seconds.max(1e-3))
    }

    /// Returns both intervals as one.
    pub(crate) fn merged(self, later: Self) -> Self {
        let add = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a + b);
        Self {
            at_seconds: later.at_seconds,
            length_seconds: self.length_seconds + later.length_seconds,
            requests: self.requests + later.requests,
            succeeded: self.succeeded + later.succeeded,
            in_time: self.in_time + later.in_time,
            offered: self.offered + later.offered,
            attempts: add(self.attempts, later.attempts),
            attempts_succeeded: add(self.attempts_succeeded, later.attempts_succeeded),
        }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    // Two sources of counts can differ by what is in flight.
    (whole > 0).then(|| (float(part) / float(whole)).min(1.0))
}

impl Run {
    /// Returns the series of each step of a variant, in the order of time.
    pub fn series(&self, variant: Option<&str>) -> Vec<StepSeries> {
        let results = self.results();
        let mut all: Vec<StepSeries> = Vec::new();
        for event in self.events.iter().filter(|event| event.variant.as_deref() == variant) {
            let Kind::StepStarted(started) = &event.kind else { continue };
            let Some(result) = results.step(variant, &started.step) else { continue };
            let start_seconds = event.elapsed().as_secs_f64();
            let points = points(result, start_seconds);
            let last = points.last().map_or(start_seconds, |point| point.at_seconds);
            let prediction = result.prediction.clone();
            // A step that ran again has one set of results.
            all.retain(|series| series.step != started.step);
            let step = started.step.clone();
            all.push(StepSeries { step, start_seconds, end_seconds: last, points, prediction });
        }
        all
    }

    /// Returns the changes of a variant, in the order of time.
    pub fn marks(&self, variant: Option<&str>) -> Vec<Mark> {
        let of = |at: f64, kind: MarkKind, change: &Change| Mark {
            at_seconds: at,
            kind,
            text: change.words(),
            ends: change.ends,
        };
        let here = self.events.iter().filter(|e| e.variant.is_none() || e.variant.as_deref() == variant);
        here.filter_map(|event| match &event.kind {
            Kind::PolicyChanged(change) => Some(of(event.elapsed().as_secs_f64(), MarkKind::Policy, change)),
            Kind::FaultChanged(change) => Some(of(event.elapsed().as_secs_f64(), MarkKind::Fault, change)),
            _ => None,
        })
        .collect()
    }
}

/// The differences between the records of a step; a part of less than half a second belongs to its neighbour.
fn points(result: &StepResult, start: f64) -> Vec<Point> {
    let watched = result.started.watched.as_deref().or(result.started.target.as_deref());
    let (mut points, mut last): (Vec<Point>, _) = (Vec::new(), (0_u64, Point::default()));
    for Second { at_ms, load, edges, .. } in &result.seconds {
        let watched = sum(edges.iter().filter(|edge| watched.is_some_and(|watched| edge.to == watched)));
        let now = Point {
            requests: load.requests,
            succeeded: load.succeeded,
            in_time: load.in_time,
            offered: load.offered,
            attempts: watched.as_ref().map(|edge| edge.attempts),
            attempts_succeeded: watched.as_ref().map(|edge| edge.attempts_succeeded),
            ..Point::default()
        };
        let minus =
            |now: Option<u64>, before: Option<u64>| now.map(|now| now.saturating_sub(before.unwrap_or(0)));
        let point = Point {
            at_seconds: start + float(*at_ms) / 1000.0,
            length_seconds: float(at_ms.saturating_sub(last.0)) / 1000.0,
            requests: now.requests.saturating_sub(last.1.requests),
            succeeded: now.succeeded.saturating_sub(last.1.succeeded),
            in_time: now.in_time.saturating_sub(last.1.in_time),
            offered: now.offered.saturating_sub(last.1.offered),
            attempts: minus(now.attempts, last.1.attempts),
            attempts_succeeded: minus(now.attempts_succeeded, last.1.attempts_succeeded),
        };
        let before = points.last().copied();
        match before {
            Some(before) if point.length_seconds < 0.5 || before.length_seconds < 0.5 => {
                points.pop();
                points.push(before.merged(point));
            }
            _ => points.push(point),
        }
        // A tick without edges keeps what the one before knew.
        let known = Point { attempts: now.attempts.or(last.1.attempts), ..now };
        let known =
            Point { attempts_succeeded: now.attempts_succeeded.or(last.1.attempts_succeeded), ..known };
        last = (*at_ms, known);
    }
    points
}
