//! Checks that faults are in their ranges.

use super::{Fault, FaultChange};

/// A setting that is out of range.
#[derive(Debug)]
pub(crate) struct Invalid {
    /// The environment variable.
    pub(crate) variable: &'static str,
    /// The key in the JSON of the admin port.
    pub(crate) key: &'static str,
    pub(crate) value: String,
    pub(crate) reason: &'static str,
}

/// The largest delay and duration, in seconds: longer than any client timeout.
const MAX_SECONDS: f64 = 3600.0;

/// The most statuses in a sequence. It bounds memory, because the admin port accepts a sequence from any client.
const MAX_SEQUENCE: usize = 1000;

/// The largest factor.
const MAX_SLOW: f64 = 1000.0;

impl Fault {
    /// Checks that each setting is in its range.
    ///
    /// # Errors
    /// Returns the first setting that is out of range.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        require(
            self.quota <= 100,
            "DISCARD_QUOTA",
            "quota",
            self.quota,
            "expected a percentage from 0 to 100",
        )?;
        let wrong = self.sequence.iter().find(|status| !(200..=599).contains(*status)).copied();
        require(
            wrong.is_none(),
            "SEQUENCE",
            "sequence",
            wrong.unwrap_or_default(),
            "expected a status from 200 to 599",
        )?;
        let length = format!("{} statuses", self.sequence.len());
        require(
            self.sequence.len() <= MAX_SEQUENCE,
            "SEQUENCE",
            "sequence",
            length,
            "expected at most 1000",
        )?;
        require(
            (0.0..=MAX_SECONDS).contains(&self.delay_max),
            "DELAY_MAX",
            "delay_max",
            self.delay_max,
            "expected a delay from 0 to 3600 seconds",
        )?;
        let errors = self.errors.unwrap_or_default();
        require((0.0..=1.0).contains(&errors), "NODE", "errors", errors, "expected a share from 0 to 1")?;
        let mean = self.delay.map_or(0.0, |delay| delay.mean_ms);
        require(
            (0.0..=MAX_SECONDS * 1000.0).contains(&mean),
            "NODE",
            "delay.mean_ms",
            mean,
            "expected a delay from 0 to 3600000 milliseconds",
        )?;
        require(
            (0.0..=MAX_SLOW).contains(&self.slow),
            "NODE",
            "slow",
            self.slow,
            "expected a factor from 0 to 1000",
        )
    }
}

impl FaultChange {
    /// Checks the duration of the change.
    ///
    /// # Errors
    /// Returns the duration if it is out of range.
    pub(super) fn check_duration(&self) -> Result<(), Invalid> {
        let seconds = self.for_seconds.unwrap_or(1.0);
        let valid = seconds > 0.0 && seconds <= MAX_SECONDS;
        require(valid, "NODE", "for_seconds", seconds, "expected more than 0 and at most 3600 seconds")
    }
}

fn require(
    valid: bool,
    variable: &'static str,
    key: &'static str,
    value: impl ToString,
    reason: &'static str,
) -> Result<(), Invalid> {
    if valid { Ok(()) } else { Err(Invalid { variable, key, value: value.to_string(), reason }) }
}
