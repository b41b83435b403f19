//! The two duration notations of Linkerd's control plane: Go durations and annotation durations.

use std::time::Duration;

/// An invalid duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is empty or has a part without a number.
    #[error("invalid duration `{0}`, expected a number and a unit, for example `10s`")]
    Invalid(String),
    /// A number has no unit.
    #[error("invalid duration `{0}`, expected a unit, for example `{0}s` or `{0}ms`")]
    NoUnit(String),
    /// The notation does not have the unit, which is the second field.
    #[error("invalid duration `{0}`: unknown unit `{1}`")]
    Unit(String, String),
    /// The duration is negative.
    #[error("invalid duration `{0}`, expected a duration of at least 0")]
    Negative(String),
    /// An annotation has a fraction.
    #[error("invalid duration `{0}`, expected a whole number and a unit")]
    Fraction(String),
    /// The duration exceeds the range of the notation.
    #[error("invalid duration `{0}`: value out of range")]
    TooLong(String),
}

/// Parses a duration like Go's `time.ParseDuration`, the notation of `ttl` and `timeout` in a ServiceProfile: `10s`,
/// `1.5h`, `1m30s`, `100ms`. The largest value is 2^63 - 1 ns.
///
/// # Errors
/// Returns an error if the text is invalid, negative or out of range.
pub fn go(text: &str) -> Result<Duration, DurationError> {
    let input = || text.to_owned();
    let mut rest = text;
    if rest.starts_with('-') {
        return Err(DurationError::Negative(input()));
    }
    rest = rest.strip_prefix('+').unwrap_or(rest);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Invalid(input()));
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| DurationError::Invalid(input()))?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = match &rest[..end] {
            "" => return Err(DurationError::NoUnit(input())),
            "ns" => 1e-9,
            // Go accepts both micro signs of Unicode.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            unit => return Err(DurationError::Unit(input(), unit.to_owned())),
        };
        total += number * seconds;
        rest = &rest[end..];
    }
    // Go stores nanoseconds in a signed 64-bit integer: about 292 years.
    if total > i64::MAX as f64 / 1e9 {
        return Err(DurationError::TooLong(input()));
    }
    Ok(Duration::from_secs_f64(total))
}

/// Parses a duration like Linkerd's policy controller parses annotations: a whole number and one of the units `ms`,
/// `s`, `m`, `h`, `d`, or `0` without a unit. The largest value is 2^64 - 1 ms.
///
/// # Errors
/// Returns an error if the text is negative, has a fraction, no unit, an unknown unit or several units, or is out of
/// range.
pub fn annotation(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let input = || text.to_owned();
    if text.starts_with('-') {
        return Err(DurationError::Negative(input()));
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.contains('.') {
        return Err(DurationError::Fraction(input()));
    }
    if number.is_empty() {
        return Err(DurationError::Invalid(input()));
    }
    let number: u64 = number.parse().map_err(|_| DurationError::TooLong(input()))?;
    let milliseconds = match unit {
        "" if number == 0 => 0,
        "" => return Err(DurationError::NoUnit(input())),
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        unit => return Err(DurationError::Unit(input(), unit.to_owned())),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(|| DurationError::TooLong(input()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_durations_use_the_notation_of_go() {
        assert_eq!(go("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(go("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(go("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(go("0"), Ok(Duration::ZERO));
        assert_eq!(go("10"), Err(DurationError::NoUnit("10".into())));
        assert_eq!(go("1d"), Err(DurationError::Unit("1d".into(), "d".into())));
        assert_eq!(go("-1s"), Err(DurationError::Negative("-1s".into())));
        assert!(go("").is_err() && go("s").is_err() && go("ten").is_err());
    }

    #[test]
    fn annotation_durations_are_one_whole_number_with_one_unit() {
        assert_eq!(annotation("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(annotation("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(annotation("0"), Ok(Duration::ZERO));
        assert_eq!(annotation("1.5s"), Err(DurationError::Fraction("1.5s".into())));
        assert_eq!(annotation("5"), Err(DurationError::NoUnit("5".into())));
        assert!(
            annotation("1m30s").is_err()
                && annotation("").is_err()
                && annotation("99999999999999999999s").is_err()
        );
    }
}
