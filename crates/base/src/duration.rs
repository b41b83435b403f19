//! Durations as users write them.

use std::time::Duration;

/// Returns the duration of a text such as `90s`, `10m`, `1h30m`, `500ms`.
///
/// # Errors
/// Returns a text with the accepted forms if it is another one.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("invalid duration `{text}`; examples: 500ms, 30s, 10m or 1h30m");
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

#[cfg(test)]
mod tests {
    use super::*;

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
