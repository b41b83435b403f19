//! Triggers in the notation of the command line: `down=8s`, `slow=3x:30s`, `load=2x:20s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::{Fault, FaultKind};

/// What overloads the last service for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trigger {
    /// What happens.
    pub kind: TriggerKind,
    /// For how long.
    pub lasts: Duration,
}

/// What a trigger does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TriggerKind {
    /// The last service refuses connections.
    Down,
    /// The last service takes longer by this factor.
    Slow(f64),
    /// The load is higher by this factor.
    Load(f64),
}

/// Returns the triggers of the shipped scenario.
pub fn triggers() -> [Trigger; 3] {
    let trigger = |kind, seconds| Trigger { kind, lasts: Duration::from_secs(seconds) };
    [trigger(TriggerKind::Down, 8), trigger(TriggerKind::Slow(3.0), 30), trigger(TriggerKind::Load(2.0), 20)]
}

impl Trigger {
    /// The trigger of the short form: `load=6x:2s`. After `down=3s` a small chain often recovers with retries everywhere.
    pub const SHORT: Self = Self { kind: TriggerKind::Load(6.0), lasts: Duration::from_secs(2) };

    pub(super) fn fault(&self, service: usize, at: Duration) -> Fault {
        let kind = match self.kind {
            TriggerKind::Down => FaultKind::Down { service },
            TriggerKind::Slow(factor) => FaultKind::Slow { service, factor },
            TriggerKind::Load(factor) => FaultKind::Load { factor },
        };
        Fault { kind, at, lasts: self.lasts }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.lasts.as_secs_f64();
        match self.kind {
            TriggerKind::Down => write!(f, "down={seconds}s"),
            TriggerKind::Slow(factor) => write!(f, "slow={factor}x:{seconds}s"),
            TriggerKind::Load(factor) => write!(f, "load={factor}x:{seconds}s"),
        }
    }
}

/// A text that is not a trigger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid trigger `{0}`, expected `down=8s`, `slow=3x:30s` or `load=2x:20s`")]
pub struct ParseTriggerError(String);

impl FromStr for Trigger {
    type Err = ParseTriggerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParseTriggerError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Trigger> {
    let (name, value) = text.split_once('=')?;
    let (factor, lasts) = match (name, value.split_once("x:")) {
        ("down", None) => (1.0, value),
        ("slow" | "load", Some((factor, lasts))) => (factor.parse().ok()?, lasts),
        _ => return None,
    };
    let kind = match name {
        "down" => TriggerKind::Down,
        "slow" => TriggerKind::Slow(factor),
        _ => TriggerKind::Load(factor),
    };
    let seconds: f64 = lasts.strip_suffix('s')?.parse().ok()?;
    let valid = seconds > 0.0 && factor.is_finite() && factor > 0.0;
    let lasts = Duration::try_from_secs_f64(seconds).ok()?;
    valid.then_some(Trigger { kind, lasts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_parsed_as_they_are_printed() {
        for (trigger, text) in triggers().iter().zip(["down=8s", "slow=3x:30s", "load=2x:20s"]) {
            assert_eq!(trigger.to_string(), text);
            assert_eq!(text.parse(), Ok(*trigger));
        }
        assert_eq!(Trigger::SHORT.to_string(), "load=6x:2s");
        for invalid in
            ["down", "down=8", "slow=30s", "slow=0x:3s", "load=x:3s", "down=-1s", "up=3s", "down=1e99s"]
        {
            assert!(invalid.parse::<Trigger>().is_err(), "{invalid} was accepted");
        }
    }
}
