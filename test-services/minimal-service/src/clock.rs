//! Formats points in time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns a time in the format of RFC 3339, in UTC with milliseconds: `2026-02-03T04:05:06.789Z`.
pub(crate) fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Returns year, month and day of the given number of days after 1970-01-01. The calculation uses years that start in
/// March, so that the leap day is the last day and month lengths are linear (153 days every five months).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps_are_correct_on_leap_days_and_at_the_end_of_a_year() {
        let of = |millis| timestamp(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(of(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(of(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(of(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(of(1_798_761_600_001), "2027-01-01T00:00:00.001Z");
    }
}
