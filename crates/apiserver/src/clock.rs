//! The current time.

/// Format of times in metadata, in whole seconds.
const FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";

/// Returns the current time in the format of metadata.
pub(crate) fn now() -> String {
    after(0)
}

/// Returns the time in a number of seconds in the format of metadata.
pub(crate) fn after(seconds: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).strftime(FORMAT).to_string()
}
