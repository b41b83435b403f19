//! Values with units as files and flags write them: `500ms`, `70%`, `30/s`, `3x`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration: `500ms`, `10s`, `1m30s`, `1h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(pub Duration);

/// A share between 0 and 1, written as a percentage from `0%` to `100%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ratio(pub f64);

/// A rate above zero, written as `30/s`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct PerSecond(pub f64);

/// A factor above zero, written as `3x`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Factor(pub f64);

/// The text does not have the form of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct Expected(pub &'static str);

const LENGTH: &str = "a duration such as 500ms, 10s or 1m30s";
const RATIO: &str = "a percentage from 0% to 100%";
const RATE: &str = "a rate above zero such as 30/s";
const FACTOR: &str = "a factor above zero such as 3x";

impl FromStr for Length {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let mut rest = text;
        let mut total = Duration::ZERO;
        if rest.is_empty() {
            return Err(Expected(LENGTH));
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(Expected(LENGTH))?;
            let value = number(&rest[..digits]).ok_or(Expected(LENGTH))?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let unit = match &rest[..letters] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(Expected(LENGTH)),
            };
            rest = &rest[letters..];
            let part = Duration::try_from_secs_f64(value * unit).map_err(|_| Expected(LENGTH))?;
            total = total.checked_add(part).ok_or(Expected(LENGTH))?;
        }
        // A day: longer is a typing error, and sums of such durations never overflow.
        if total > Duration::from_secs(86_400) {
            Err(Expected("a duration of at most 24h"))
        } else {
            Ok(Self(total))
        }
    }
}

impl FromStr for Ratio {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let percent = text.strip_suffix('%').and_then(|text| number(text.trim_end()));
        percent
            .filter(|percent| *percent <= 100.0)
            .map(|percent| Self(percent / 100.0))
            .ok_or(Expected(RATIO))
    }
}

impl FromStr for PerSecond {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let rate = text.strip_suffix("/s").and_then(number);
        rate.filter(|rate| *rate > 0.0).map(Self).ok_or(Expected(RATE))
    }
}

impl FromStr for Factor {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let factor = text.strip_suffix('x').and_then(number);
        factor.filter(|factor| *factor > 0.0).map(Self).ok_or(Expected(FACTOR))
    }
}

/// A number of digits with at most one point: no sign, no exponent, no `inf`.
pub(crate) fn number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|value: &f64| plain && value.is_finite())
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_micros()) {
            (seconds, 0) => write!(f, "{seconds}s"),
            _ => write!(f, "{}ms", self.0.as_secs_f64() * 1000.0),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Six places: 0.07 × 100 is 7.000000000000001.
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

impl fmt::Display for PerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.0)
    }
}

/// Reads and writes a type as its text.
macro_rules! as_text {
    ($type:ty, $expected:expr, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        #[cfg(any(test, feature = "schema"))]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    // A parameter may stand for the value, or for a part of it.
                    "pattern": concat!("^(", $pattern, "|.*\\$\\{.+\\}.*)$"),
                    "description": $expected
                })
            }
        }
    };
}
pub(crate) use as_text;

as_text!(Length, LENGTH, "([0-9.]+(ms|s|m|h))+");
as_text!(Ratio, RATIO, "[0-9.]+ ?%");
as_text!(PerSecond, RATE, "[0-9.]+/s");
as_text!(Factor, FACTOR, "[0-9.]+x");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_printed_with_their_units() {
        for (text, printed) in [("500ms", "500ms"), ("10s", "10s"), ("1m30s", "90s"), ("1.5s", "1500ms")] {
            assert_eq!(text.parse::<Length>().unwrap().to_string(), printed);
        }
        assert_eq!("7%".parse::<Ratio>().unwrap().to_string(), "7%");
        assert_eq!("0.5/s".parse::<PerSecond>().unwrap().to_string(), "0.5/s");
        assert_eq!("3x".parse::<Factor>().unwrap().to_string(), "3x");
    }

    #[test]
    fn values_without_a_unit_or_out_of_range_are_errors() {
        for text in ["", "5", "s", "5 s", "-1s", "1e3s", "25h", "infs", "1.2.3s"] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
        for text in ["101%", "0.5", "%", "nan%"] {
            assert!(text.parse::<Ratio>().is_err(), "{text}");
        }
        for text in ["0/s", "30", "inf/s", "-1/s"] {
            assert!(text.parse::<PerSecond>().is_err(), "{text}");
        }
        assert!("0x".parse::<Factor>().is_err());
    }
}
