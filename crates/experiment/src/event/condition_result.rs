//! The result of a condition.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of a condition by the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is true with 95 % confidence.
    Met,
    /// It is false with 95 % confidence.
    NotMet,
    /// The intervals overlap, or something was not measured.
    Undecided,
}

/// A condition and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct ConditionResult {
    /// The condition, in its usual form.
    pub condition: String,
    /// The variant that it was checked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The result.
    pub verdict: Verdict,
    /// The measured numbers in words, or why there are none.
    pub measured: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::NotMet => "not met",
            Self::Undecided => "undecided",
        })
    }
}

impl fmt::Display for ConditionResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = self.variant.iter().map(|variant| format!(" ({variant})")).collect::<String>();
        write!(f, "{}: `{}`{variant}: {}", self.verdict, self.condition, self.measured)
    }
}
