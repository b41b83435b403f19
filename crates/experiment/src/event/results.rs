//! What was measured: the totals of each step, and its counts at each second.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Counts, EdgeCounts, Event, Kind, Prediction, StepStarted, Tick, Totals};

/// A step longer than half an hour keeps no further counts by second. With 110 edges these are about 40 MB.
const MOST_SECONDS: usize = 1800;

/// What was measured in a run so far. Memory is bounded by steps and seconds, not by events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    steps: BTreeMap<(Option<String>, String), StepResult>,
    order: Vec<String>,
}

/// What was measured in a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepResult {
    /// How it started.
    pub started: StepStarted,
    /// What was predicted.
    pub prediction: Option<Prediction>,
    /// The totals; from the last tick while the step runs.
    pub totals: Totals,
    /// Whether the step ended.
    pub ended: bool,
    /// Cumulative counts at about each second.
    pub(crate) seconds: Vec<Second>,
}

/// Cumulative counts at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Second {
    /// Milliseconds since the start of the step.
    pub(crate) at_ms: u64,
    /// At the sender.
    pub(crate) load: Counts,
    /// At the edges.
    pub(crate) edges: Vec<EdgeCounts>,
    /// Whether some counts at the edges are older.
    pub(crate) is_stale: bool,
}

impl Results {
    /// Adds an event.
    pub fn apply(&mut self, event: &Event) {
        let variant = event.variant.as_deref();
        match &event.kind {
            Kind::StepStarted(started) => {
                let prediction = self.step_mut(variant, &started.step).prediction.take();
                // A step that runs again replaces what it measured before.
                let again = StepResult { started: started.clone(), prediction, ..StepResult::default() };
                *self.step_mut(variant, &started.step) = again;
            }
            Kind::Prediction(prediction) => {
                self.step_mut(variant, &prediction.step).prediction = Some(prediction.clone());
            }
            Kind::Tick(tick) => self.step_mut(variant, &tick.step).tick(tick),
            Kind::StepEnded(ended) => {
                let step = self.step_mut(variant, &ended.step);
                step.totals = ended.totals.clone();
                step.ended = true;
                let (load, edges) = (ended.totals.load.clone(), ended.totals.edges.clone());
                step.second(Second { at_ms: ended.totals.duration_ms, load, edges, is_stale: false });
            }
            _ => {}
        }
    }

    fn step_mut(&mut self, variant: Option<&str>, step: &str) -> &mut StepResult {
        if !self.order.iter().any(|known| known == step) {
            self.order.push(step.to_owned());
        }
        self.steps.entry((variant.map(str::to_owned), step.to_owned())).or_default()
    }

    /// Returns what was measured in a step of a variant.
    pub fn step(&self, variant: Option<&str>, step: &str) -> Option<&StepResult> {
        self.steps.get(&(variant.map(str::to_owned), step.to_owned()))
    }

    /// Returns the names of the steps in the order of the run.
    pub fn steps(&self) -> &[String] {
        &self.order
    }

    /// Returns the variants that measured something.
    pub fn variants(&self) -> Vec<Option<&str>> {
        let mut variants: Vec<Option<&str>> =
            self.steps.keys().map(|(variant, _)| variant.as_deref()).collect();
        variants.dedup();
        variants
    }
}

impl StepResult {
    fn tick(&mut self, tick: &Tick) {
        self.totals.load = tick.load.clone();
        self.totals.duration_ms = tick.at_ms;
        if !tick.edges.is_empty() {
            self.totals.edges.clone_from(&tick.edges);
        }
        if !tick.services.is_empty() {
            self.totals.services.clone_from(&tick.services);
        }
        let (load, edges) = (tick.load.clone(), tick.edges.clone());
        self.second(Second { at_ms: tick.at_ms, load, edges, is_stale: tick.is_stale });
    }

    /// Keeps one record for each second: the last within it. A record that is not stale is not replaced by one that is.
    fn second(&mut self, second: Second) {
        // A tick for the end of a second arrives up to a tenth of a second late.
        let number = |at_ms: u64| at_ms.saturating_sub(100).div_ceil(1000);
        let is_replaced =
            |last: &Second| number(last.at_ms) == number(second.at_ms) && (last.is_stale || !second.is_stale);
        if self.seconds.last().is_some_and(is_replaced) {
            self.seconds.pop();
        } else if self.seconds.len() >= MOST_SECONDS {
            return;
        }
        self.seconds.push(second);
    }

    /// Returns the counts at the last record up to a time after the start of the step; zero before the first. Where that one is stale,
    /// the scrape of all proxies that was made for this time may have ended a little later.
    pub(crate) fn at(&self, time: Duration) -> Second {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let known = self.seconds.partition_point(|second| second.at_ms <= millis.saturating_add(100));
        let last = known.checked_sub(1).map(|last| self.seconds[last].clone()).unwrap_or_default();
        let next = self.seconds.get(known).filter(|next| next.at_ms <= millis.saturating_add(500));
        match next {
            Some(next) if last.is_stale && !next.is_stale => next.clone(),
            _ => last,
        }
    }
}

impl StepResult {
    /// Returns the attempts at the watched service, where a proxy counted them.
    pub(crate) fn watched_attempts(&self) -> Option<u64> {
        let watched = self.started.watched.as_ref().or(self.started.target.as_ref())?;
        let edges = self.totals.edges.iter().filter(|edge| edge.to == *watched);
        super::sum(edges).map(|edge| edge.attempts)
    }
}
