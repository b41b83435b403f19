//! Parameters: values that a flag changes, typed by their default.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::TriggerKind;
use crate::units::{Factor, Length, PerSecond, Ratio, number};

/// A value that `--set NAME=VALUE` changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameter {
    /// The value without `--set`; it decides the type: a duration, rate, percentage, factor, trigger, number, boolean or word.
    pub default: Value,
    /// What it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The values that are allowed; any of the type unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Whole,
    Number,
    Duration,
    Rate,
    Percentage,
    Factor,
    Trigger,
    Word,
}

impl Kind {
    /// Returns the most specific type that a text has; `None` for a text that no parameter may have.
    pub(super) fn of(text: &str) -> Option<Self> {
        let kinds = [
            (Self::Boolean, matches!(text, "true" | "false")),
            (Self::Whole, !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())),
            (Self::Number, number(text).is_some()),
            (Self::Duration, text.parse::<Length>().is_ok()),
            (Self::Rate, text.parse::<PerSecond>().is_ok()),
            (Self::Percentage, text.parse::<Ratio>().is_ok()),
            (Self::Factor, text.parse::<Factor>().is_ok()),
            (Self::Trigger, text.parse::<TriggerKind>().is_ok()),
            (Self::Word, is_word(text)),
        ];
        kinds.into_iter().find(|(_, is)| *is).map(|(kind, _)| kind)
    }

    /// Whether a text can replace a default of this type: a whole number is a number, too.
    pub(super) fn accepts(self, text: &str) -> bool {
        match (self, Self::of(text)) {
            (Self::Number, Some(Self::Whole)) | (Self::Word, Some(_)) => true,
            (kind, found) => found == Some(kind),
        }
    }

    /// Returns the type in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Duration => "a duration such as 10s",
            Self::Rate => "a rate such as 30/s",
            Self::Percentage => "a percentage such as 70%",
            Self::Factor => "a factor such as 3x",
            Self::Trigger => "a trigger: down=8s, slow=3x:30s or load=2x:20s",
            Self::Word => "a word of letters, digits and . _ - / : = % +",
        }
    }
}

/// Only characters that cannot change the structure of the YAML text around a value.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.')
        && !text.ends_with(':')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:=%+".contains(&b))
}

/// Returns a scalar as the text that replaces `${NAME}`.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
