//! Load and faults over time.

use std::time::Duration;

use super::Errors;

/// An open-loop load: requests are sent at their time, whatever happened to earlier ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Requests per second.
    pub rate: f64,
    /// When requests are sent.
    pub arrivals: Arrivals,
    /// How long requests are sent.
    pub duration: Duration,
    /// Changes of the rate, in the order of time.
    pub phases: Vec<Phase>,
}

impl Load {
    /// Returns evenly spaced requests at a constant rate.
    pub fn even(rate: f64, duration: Duration) -> Self {
        Self { rate, arrivals: Arrivals::Even, duration, phases: Vec::new() }
    }

    /// Returns requests at random times at a constant average rate.
    pub fn poisson(rate: f64, duration: Duration) -> Self {
        Self { arrivals: Arrivals::Poisson, ..Self::even(rate, duration) }
    }
}

/// When the requests of a load are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly spaced, with a deviation of half a millisecond on average, as a sender's timers have it.
    Even,
    /// Independently of each other (a Poisson process).
    Poisson,
}

/// A part of a load with a changed rate, until the next phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// When it begins.
    pub at: Duration,
    /// The rate relative to the load's.
    pub factor: f64,
}

/// Something that happens for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// When it begins.
    pub at: Duration,
    /// When it ends, counted from its beginning.
    pub lasts: Duration,
}

impl Fault {
    /// Returns when the fault ends.
    pub fn ends(&self) -> Duration {
        self.at + self.lasts
    }
}

/// What a fault changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    /// The service refuses connections. Work that it began continues.
    Down {
        /// The service.
        service: usize,
    },
    /// The service takes longer for the requests that it begins.
    Slow {
        /// The service.
        service: usize,
        /// The factor of the service time.
        factor: f64,
    },
    /// The service fails other requests than usual.
    Errors {
        /// The service.
        service: usize,
        /// Which ones.
        errors: Errors,
    },
    /// The load is higher or lower.
    Load {
        /// The factor of the rate.
        factor: f64,
    },
}
