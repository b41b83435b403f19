//! The faults of a running service: changes, durations and the return to the environment's faults.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::failures::Failures;
use super::{Action, Fault, FaultChange, Invalid};
use crate::distribution::milliseconds;
use crate::random::Random;

/// The faults of a running service.
#[derive(Debug)]
pub(crate) struct Faults {
    /// The faults of the environment.
    manifest: Fault,
    /// The faults without a duration.
    permanent: Fault,
    /// Changes with an end. A key is in at most one of them, which bounds their number.
    temporary: Vec<Temporary>,
    /// The faults that apply now, until the first end of a temporary change.
    current: Fault,
    failures: Failures,
    /// Separate from the failures, so that a seed selects the same failures with and without delays.
    random: Random,
}

#[derive(Clone, Debug)]
struct Temporary {
    end: Instant,
    change: FaultChange,
}

/// The body of `GET /fault`.
#[derive(Debug, Serialize)]
pub(crate) struct FaultReport {
    #[serde(flatten)]
    fault: Fault,
    /// The seconds until each fault with a duration ends.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    remaining_seconds: BTreeMap<&'static str, f64>,
}

/// Whether the service port accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    None,
    /// Connections are refused, until a change or until this instant.
    Down(Option<Instant>),
}

impl Faults {
    pub(crate) fn new(manifest: Fault) -> Self {
        Self {
            permanent: manifest.clone(),
            temporary: Vec::new(),
            current: manifest.clone(),
            failures: Failures::new(manifest.seed),
            random: Random::new(None),
            manifest,
        }
    }

    /// Returns the faults that apply now.
    pub(crate) fn current(&mut self) -> &Fault {
        if !self.temporary.is_empty() {
            let now = Instant::now();
            if self.temporary.iter().any(|temporary| temporary.end <= now) {
                self.temporary.retain(|temporary| temporary.end > now);
                self.update();
            }
        }
        &self.current
    }

    /// Returns the faults that apply now, and when they end.
    pub(crate) fn report(&mut self) -> FaultReport {
        let fault = self.current().clone();
        let now = Instant::now();
        let ends = self.temporary.iter().flat_map(|temporary| {
            let seconds = (temporary.end - now).as_secs_f64();
            temporary.change.keys().into_iter().map(move |key| (key, seconds))
        });
        FaultReport { fault, remaining_seconds: ends.collect() }
    }

    /// Applies all of a change, or nothing if the result is not valid.
    ///
    /// # Errors
    /// Returns the first setting that is out of range.
    pub(crate) fn change(&mut self, change: FaultChange) -> Result<(), Invalid> {
        let mut changed = self.current().clone();
        change.apply(&mut changed);
        changed.check()?;
        change.check_duration()?;
        if change.reset {
            self.permanent = self.manifest.clone();
            self.temporary.clear();
            self.failures = Failures::new(self.manifest.seed);
        }
        for temporary in &mut self.temporary {
            temporary.change.remove(&change);
        }
        self.temporary.retain(|temporary| !temporary.change.keys().is_empty());
        if let Some(seed) = change.seed {
            self.permanent.seed = seed;
            self.failures.seed(seed);
        }
        if change.sequence.is_some() {
            self.failures.restart_sequence();
        }
        match change.for_seconds {
            Some(seconds) => {
                let end = Instant::now() + Duration::from_secs_f64(seconds);
                self.temporary.push(Temporary { end, change });
            }
            None => change.apply(&mut self.permanent),
        }
        self.update();
        Ok(())
    }

    fn update(&mut self) {
        let mut current = self.permanent.clone();
        for temporary in &self.temporary {
            temporary.change.apply(&mut current);
        }
        self.failures.follow(&self.current, &current);
        self.current = current;
    }

    /// Returns the action for the next request.
    pub(crate) fn next(&mut self) -> Action {
        self.current();
        self.failures.next(&self.current)
    }

    /// Returns a random delay for a response.
    pub(crate) fn delay(&mut self, action: Action) -> Duration {
        self.current();
        let original = match action {
            Action::Serve if self.current.delay_max > 0.0 => {
                1000.0 * self.current.delay_max * self.random.unit()
            }
            _ => 0.0,
        };
        let added = match self.current.delay {
            Some(delay) => delay.distribution.draw(delay.mean_ms, &mut self.random),
            None => 0.0,
        };
        milliseconds((original + added) * self.current.slow)
    }

    /// Returns the factor of service times.
    pub(crate) fn slow(&mut self) -> f64 {
        self.current().slow
    }

    /// Returns whether the service port accepts connections.
    pub(crate) fn outage(&mut self) -> Outage {
        if !self.current().down {
            return Outage::None;
        }
        let temporary = self.temporary.iter().find(|temporary| temporary.change.down.is_some());
        Outage::Down(temporary.map(|temporary| temporary.end))
    }
}

#[cfg(test)]
mod tests;
