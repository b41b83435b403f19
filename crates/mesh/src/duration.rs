//! Durations as the control plane reads them: two notations that look alike and are not.

use std::time::Duration;

/// A text that is not a duration in the notation asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing, or no digits.
    #[error("`{0}` is not a duration")]
    NotOne(String),
    /// A number without a unit.
    #[error("`{0}` has no unit, for example `{0}s` or `{0}ms`")]
    NoUnit(String),
    /// A unit that this notation does not know.
    #[error("`{0}` has an unknown unit, `{1}`")]
    Unit(String, String),
    /// Less than nothing.
    #[error("`{0}` is negative")]
    Negative(String),
    /// A fraction where only whole numbers are taken.
    #[error("`{0}` is a fraction; this annotation takes whole numbers only")]
    Fraction(String),
    /// More than fits.
    #[error("`{0}` is too long")]
    TooLong(String),
}

/// Reads a duration as Go's `time.ParseDuration` does, which is what a ServiceProfile's `ttl` and `timeout` go
/// through: `10s`, `1.5h`, `1m30s`, `100ms`.
///
/// # Errors
/// The text is none, or negative.
pub fn go(text: &str) -> Result<Duration, DurationError> {
    let all = || text.to_owned();
    let mut rest = text;
    if rest.starts_with('-') {
        return Err(DurationError::Negative(all()));
    }
    rest = rest.strip_prefix('+').unwrap_or(rest);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::NotOne(all()));
    }
    let mut total = 0f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| DurationError::NotOne(all()))?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = match &rest[..end] {
            "" => return Err(DurationError::NoUnit(all())),
            "ns" => 1e-9,
            // Go takes both micro signs of Unicode.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            unit => return Err(DurationError::Unit(all(), unit.to_owned())),
        };
        total += number * seconds;
        rest = &rest[end..];
    }
    // Go counts nanoseconds in 64 bits with a sign: about 292 years.
    if total > i64::MAX as f64 / 1e9 {
        return Err(DurationError::TooLong(all()));
    }
    Ok(Duration::from_secs_f64(total))
}

/// Reads a duration as Linkerd's policy controller reads its annotations: one whole number and one of
/// `ms s m h d`; a bare `0` is fine.
///
/// # Errors
/// The text is none: a fraction, a bare number, several units, or negative.
pub fn annotation(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let all = || text.to_owned();
    if text.starts_with('-') {
        return Err(DurationError::Negative(all()));
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.contains('.') {
        return Err(DurationError::Fraction(all()));
    }
    if number.is_empty() {
        return Err(DurationError::NotOne(all()));
    }
    let number: u64 = number.parse().map_err(|_| DurationError::TooLong(all()))?;
    let milliseconds = match unit {
        "" if number == 0 => 0,
        "" => return Err(DurationError::NoUnit(all())),
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        unit => return Err(DurationError::Unit(all(), unit.to_owned())),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(|| DurationError::TooLong(all()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_takes_gos_durations() {
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
    fn an_annotation_takes_one_whole_number_and_one_unit() {
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
