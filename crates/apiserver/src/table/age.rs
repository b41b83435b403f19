//! Ages in the format of kubectl.

use serde_json::Value;

/// Returns the age of an object, `<unknown>` without a creation time.
pub(crate) fn age(object: &Value) -> Value {
    since(&object["metadata"]["creationTimestamp"])
}

/// Returns the duration since a time, `<unknown>` if it is not a time.
pub(super) fn since(time: &Value) -> Value {
    let parsed: Option<jiff::Timestamp> = time.as_str().and_then(|text| text.parse().ok());
    match parsed {
        Some(time) => duration((jiff::Timestamp::now() - time).get_seconds()).into(),
        None => "<unknown>".into(),
    }
}

/// Formats a duration with at most two units, as kubectl does.
pub(super) fn duration(seconds: i64) -> String {
    let (minute, hour, day, year) = (60, 3600, 86_400, 365 * 86_400);
    let two = |large: i64, name: &str, small: i64, small_name: &str| match (seconds % large) / small {
        0 => format!("{}{name}", seconds / large),
        rest => format!("{}{name}{rest}{small_name}", seconds / large),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if seconds < 10 * minute => two(minute, "m", 1, "s"),
        _ if seconds < 3 * hour => format!("{}m", seconds / minute),
        _ if seconds < 8 * hour => two(hour, "h", minute, "m"),
        _ if seconds < 2 * day => format!("{}h", seconds / hour),
        _ if seconds < 8 * day => two(day, "d", hour, "h"),
        _ if seconds < 2 * year => format!("{}d", seconds / day),
        _ if seconds < 8 * year => two(year, "y", day, "d"),
        _ => format!("{}y", seconds / year),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_at_most_two_units() {
        for (seconds, text) in [
            (5, "5s"),
            (119, "119s"),
            (125, "2m5s"),
            (600, "10m"),
            (3 * 3600 + 60, "3h1m"),
            (90_000, "25h"),
            (200_000, "2d7h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
