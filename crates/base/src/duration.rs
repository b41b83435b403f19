//! Durations as users write them.

use std::fmt;
use std::time::Duration;

/// A text that is not a duration, or not one that is allowed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidDuration {
    /// It has another form.
    Form(String),
    /// It is zero where only more than zero is allowed.
    Zero(String),
}

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => {
                write!(f, "invalid duration `{text}`; examples: 500ms, 30s, 10m or 1h30m")
            }
            Self::Zero(text) => write!(f, "`{text}` is out of range; expected more than 0 s"),
        }
    }
}

impl std::error::Error for InvalidDuration {}

/// Returns the duration of a text such as `90s`, `10m`, `1h30m`, `500ms`.
///
/// # Errors
/// [`InvalidDuration::Form`] if the text has another form.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let wrong = || InvalidDuration::Form(text.to_owned());
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        let part = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    Ok(total)
}

/// Returns the duration of a text as [`parse`] does, for a value that cannot be zero.
///
/// # Errors
/// As [`parse`], and [`InvalidDuration::Zero`] for zero.
pub fn more_than_zero(text: &str) -> Result<Duration, InvalidDuration> {
    match parse(text)? {
        Duration::ZERO => Err(InvalidDuration::Zero(text.to_owned())),
        length => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_zero_is_refused_where_it_makes_no_sense() {
        assert_eq!(more_than_zero("1s"), Ok(Duration::from_secs(1)));
        for zero in ["0s", "0m", "0.0s"] {
            let error = more_than_zero(zero).unwrap_err().to_string();
            assert!(error.contains("more than 0"), "{error}");
        }
    }

    #[test]
    fn durations_are_read_with_their_units() {
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("0.5s"), Ok(Duration::from_millis(500)));
        for wrong in ["", "10", "m", "10 m", "-1s", "1d", "18446744073709549568s18446744073709549568s"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
