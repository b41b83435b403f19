//! Durations, percentages and sizes as topology files write them.

use std::time::Duration;

/// The units of a duration and their nanoseconds, the longest first.
const UNITS: [(&str, u64); 7] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// The longest duration: more has no use in an experiment, and sums of durations stay in range.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The most bytes of a request or a response that the test service accepts.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// Returns the duration that a text such as `10ms`, `1.5s` or `1m30s` means; at most 24 hours.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut nanoseconds = 0.0_f64;
    while !rest.is_empty() {
        let (number, after) = number(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        #[expect(clippy::cast_precision_loss, reason = "a factor below 2^42")]
        let factor = *factor as f64;
        nanoseconds += number * factor;
        rest = after;
    }
    let duration = Duration::try_from_secs_f64(nanoseconds / 1e9).ok()?;
    (!text.is_empty() && duration <= LONGEST).then_some(duration)
}

/// Returns a duration as a text that [`parse_duration`] reads: `10ms`, `1500ms`, `2s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    // Hours and minutes are left out: `90s` is easier to compare than `1m30s`.
    let units = UNITS.iter().skip(2).find(|(_, factor)| nanoseconds.is_multiple_of(u128::from(*factor)));
    let (name, factor) = units.unwrap_or(&("ns", 1));
    format!("{}{name}", nanoseconds / u128::from(*factor))
}

/// Returns the share, from 0 to 1, that a text such as `2%` or `0.5%` means.
#[must_use]
pub fn parse_percent(text: &str) -> Option<f64> {
    let digits = text.strip_suffix('%')?.trim_end();
    let (percent, after) = number(digits)?;
    // By the exponent, because 0.7 ÷ 100 is 0.006999999999999999.
    let share = format!("{digits}e-2").parse().ok()?;
    (after.is_empty() && percent <= 100.0).then_some(share)
}

/// Returns a share as a percentage that [`parse_percent`] reads: `2%`.
#[must_use]
pub fn format_percent(share: f64) -> String {
    // Rounded, because 0.07 × 100 is 7.000000000000001.
    let text = format!("{:.10}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Returns the bytes that a text such as `512`, `16KiB`, `16 KB` or `1m` means, at most 64 MiB. As in isotope (which uses
/// Docker's units), each prefix is a power of 1024.
#[must_use]
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = number(text)?;
    let unit = unit.trim_start().to_lowercase();
    let factor = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    // A float beyond the range becomes the largest number.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and checked below"
    )]
    let bytes = (number * factor).round() as u64;
    (bytes <= MOST_BYTES).then_some(bytes)
}

/// Splits a number without sign or exponent from the beginning of a text.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}
