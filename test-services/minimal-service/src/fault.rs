//! Faults: which there are, how they change, and which requests fail.

use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};

use crate::distribution::Distribution;

mod check;
mod failures;
mod faults;

pub(crate) use check::Invalid;
pub(crate) use faults::{Faults, Outage};

/// The faults of a service. They are independent of each other, except that `sequence` has priority over `errors`, and
/// `errors` over `quota` with `reject`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Fault {
    /// Percent of requests that are discarded, 0 to 100.
    pub quota: u8,
    /// Whether discarded requests get 500; otherwise they get an empty 200.
    pub reject: bool,
    /// Statuses returned in turn, repeated; 200 serves the request. If it is not empty, `errors` and `quota` are not used.
    pub sequence: Vec<u16>,
    /// The random seed that selects the failing requests; without it, each start differs.
    pub seed: Option<u64>,
    /// Each served request is delayed by a uniformly distributed time from 0 to this many seconds.
    pub delay_max: f64,
    /// The share of requests that get 500, 0 to 1; `None`: `quota` and `reject` apply.
    pub errors: Option<f64>,
    /// Whether failures come in shuffled blocks: of each ten requests in turn, exactly ten times the share fail, in
    /// random order. Without it, each request fails independently.
    pub blocks: bool,
    /// The delay of every response, also of failures.
    pub delay: Option<Delay>,
    /// Multiplies delays and service times; 1 changes nothing.
    pub slow: f64,
    /// Whether connections to the service port are refused. Requests that arrived before are still served; then their
    /// connections close.
    pub down: bool,
}

/// A random delay.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// The mean, in milliseconds.
    pub mean_ms: f64,
    /// How delays vary around the mean; default `fixed`.
    #[serde(default)]
    pub distribution: Distribution,
}

/// A change of [`Fault`]: the body of `PUT /fault`. Absent keys stay unchanged.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultChange {
    /// As [`Fault::quota`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u8>,
    /// As [`Fault::reject`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<bool>,
    /// As [`Fault::sequence`]; starts at its first status, `[]` removes the sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Vec<u16>>,
    /// As [`Fault::seed`]; restarts the random numbers. `Some(None)`, which is `null`, removes it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub seed: Option<Option<u64>>,
    /// As [`Fault::delay_max`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_max: Option<f64>,
    /// As [`Fault::errors`]; `null` removes it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub errors: Option<Option<f64>>,
    /// As [`Fault::blocks`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<bool>,
    /// As [`Fault::delay`]; `null` removes it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub delay: Option<Option<Delay>>,
    /// As [`Fault::slow`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<f64>,
    /// As [`Fault::down`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<bool>,
    /// Returns to the faults of the environment first, as after a start; then the other keys apply.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// The faults of this change end after this many seconds; then the faults without a duration apply again. `seed` has
    /// no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<f64>,
}

/// What the service does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Serves the request.
    Serve,
    /// Returns an empty 200.
    Discard,
    /// Returns this error status.
    Reject(StatusCode),
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            quota: 0,
            reject: false,
            sequence: Vec::new(),
            seed: None,
            delay_max: 0.0,
            errors: None,
            blocks: false,
            delay: None,
            slow: 1.0,
            down: false,
        }
    }
}

/// Implements what a change does for each key that can have a duration.
macro_rules! keys {
    ($($key:ident),*) => {
        impl FaultChange {
            /// Sets the keys of this change.
            fn apply(&self, fault: &mut Fault) {
                $(if let Some(value) = &self.$key { fault.$key.clone_from(value); })*
            }

            /// Removes the keys that a newer change sets.
            fn remove(&mut self, newer: &Self) {
                $(if newer.$key.is_some() { self.$key = None; })*
            }

            /// Returns the names of the keys that the change sets.
            fn keys(&self) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $(if self.$key.is_some() { keys.push(stringify!($key)); })*
                keys
            }
        }
    };
}

keys!(quota, reject, sequence, delay_max, errors, blocks, delay, slow, down);

/// Distinguishes `null` from an absent key.
#[expect(clippy::option_option, reason = "absent, null or a value")]
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
