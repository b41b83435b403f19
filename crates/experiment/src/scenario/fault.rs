//! Faults of a step, and the trigger: a fault or a surge of load that starts and ends within the step.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::At;
use crate::units::{Expected, Factor, Length, Ratio, as_text};

/// The number of requests in a block of errors: the test service has this size only.
pub(super) const BLOCK: u32 = 10;

/// How a service fails on purpose. At least one of `errors`, `sequence`, `delay`, `slow`, `down` and `reset` is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The service.
    pub service: At<String>,
    /// The share of requests that fail with an error status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Ratio>,
    /// With `errors`: each block of ten requests has exactly that share of errors, in random order. 10 is the only size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(any(test, feature = "schema"), schemars(extend("minimum" = BLOCK, "maximum" = BLOCK)))]
    pub blocks: Option<At<u32>>,
    /// Statuses returned in turn, repeated; 200 serves the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequence: Vec<u16>,
    /// A delay before each response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// The service time is multiplied by this factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Factor>,
    /// Connections are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub down: bool,
    /// Resets all faults to the values of the manifest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// How many pods of the service have the fault; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<At<u32>>,
    /// When the fault starts, after the start of the step; 0 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Length>,
    /// How long the fault lasts; until the end of the step unless given.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Length>,
}

impl Fault {
    /// Whether each step with the fault starts a new block of errors.
    pub fn starts_blocks(&self) -> bool {
        self.blocks.is_some() && self.at.is_none()
    }
}

/// A delay before each response.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delay {
    /// The mean.
    pub mean: Length,
    /// `fixed` unless given.
    #[serde(default)]
    pub distribution: Distribution,
}

/// How a random time is distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Always the mean.
    #[default]
    Fixed,
    /// From 0 to twice the mean.
    Uniform,
    /// Exponential.
    Exponential,
}

/// A disturbance that starts and ends within a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trigger {
    /// The service that is disturbed; a surge of load goes to the target of the load.
    pub service: At<String>,
    /// `down=8s`, `slow=3x:30s` or `load=2x:20s`.
    pub what: TriggerKind,
    /// When it starts, after the start of the step.
    pub at: Length,
    /// The load lasts at least so long after the end of the trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe: Option<Length>,
}

/// What disturbs, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TriggerKind {
    /// The service refuses connections.
    Down(Length),
    /// The service time is multiplied.
    Slow(Factor, Length),
    /// The rate of the load is multiplied.
    Load(Factor, Length),
}

const TRIGGER: &str = "a trigger: down=8s, slow=3x:30s or load=2x:20s";

impl TriggerKind {
    /// Returns how long it lasts.
    pub fn lasts(&self) -> Length {
        match self {
            Self::Down(lasts) | Self::Slow(_, lasts) | Self::Load(_, lasts) => *lasts,
        }
    }
}

impl FromStr for TriggerKind {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let (kind, rest) = text.split_once('=').ok_or(Expected(TRIGGER))?;
        let both = || {
            let (factor, lasts) = rest.split_once(':').ok_or(Expected(TRIGGER))?;
            Ok((factor.parse()?, lasts.parse()?))
        };
        match kind {
            "down" => rest.parse().map(Self::Down),
            "slow" => both().map(|(factor, lasts)| Self::Slow(factor, lasts)),
            "load" => both().map(|(factor, lasts)| Self::Load(factor, lasts)),
            _ => Err(Expected(TRIGGER)),
        }
    }
}

impl fmt::Display for TriggerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down(lasts) => write!(f, "down={lasts}"),
            Self::Slow(factor, lasts) => write!(f, "slow={factor}:{lasts}"),
            Self::Load(factor, lasts) => write!(f, "load={factor}:{lasts}"),
        }
    }
}

as_text!(TriggerKind, TRIGGER, "(down=|(slow|load)=[0-9.]+x:)([0-9.]+(ms|s|m|h))+");

impl Trigger {
    /// Returns the fault that the trigger is; `None` for a surge of load.
    pub fn fault(&self) -> Option<Fault> {
        let fault = Fault {
            service: self.service.clone(),
            at: Some(self.at),
            lasts: Some(self.what.lasts()),
            ..Fault::default()
        };
        match self.what {
            TriggerKind::Down(_) => Some(Fault { down: true, ..fault }),
            TriggerKind::Slow(factor, _) => Some(Fault { slow: Some(factor), ..fault }),
            TriggerKind::Load(..) => None,
        }
    }

    /// Returns start and end, after the start of the step.
    pub fn window(&self) -> (Duration, Duration) {
        (self.at.0, self.at.0 + self.what.lasts().0)
    }
}

/// What the service does, without its name.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match (&self.errors, &self.blocks) {
            (Some(errors), Some(blocks)) => {
                parts.push(format!("{errors} errors in blocks of {}", blocks.value));
            }
            (Some(errors), None) => parts.push(format!("{errors} errors")),
            (None, _) => {}
        }
        if !self.sequence.is_empty() {
            let statuses: Vec<String> = self.sequence.iter().map(u16::to_string).collect();
            parts.push(format!("statuses {}", statuses.join(", ")));
        }
        parts.extend(self.delay.map(|delay| match delay.distribution {
            Distribution::Fixed => format!("delay {}", delay.mean),
            Distribution::Uniform => format!("delay of 0 to twice {}", delay.mean),
            Distribution::Exponential => format!("exponential delay of {}", delay.mean),
        }));
        parts.extend(self.slow.map(|slow| format!("{slow} slower")));
        parts.extend(self.down.then(|| "down".to_owned()));
        parts.extend(self.reset.then(|| "reset".to_owned()));
        if let Some(pods) = &self.pods {
            parts.push(format!("{} of its pods", pods.value));
        }
        f.write_str(&parts.join(", "))
    }
}
