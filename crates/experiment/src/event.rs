//! The event stream of a run. Every view (terminal, page, report) is a subscriber and keeps no other data.
//!
//! One event is one JSON object on one line. Counts are cumulative since the start of the step, so a view that skips
//! ticks shows the same final numbers as one that reads all.

mod condition_result;
mod counts;
mod kind;
mod mesh;
mod outcome;
mod recorder;
mod results;
mod subscriber;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use condition_result::{ConditionResult, Verdict};
pub(crate) use counts::sum;
pub use counts::{ArrivalSecond, Counts, EdgeCounts, SENDER, ServiceCounts, Totals};
pub use kind::{
    Change, Kind, Note, Prediction, RunEnded, RunStarted, RunStatus, Sample, StepEnded, StepPlan,
    StepStarted, Tick,
};
pub use mesh::{AttemptCounts, ByAttempts, Mesh};
pub use outcome::Outcome;
pub use recorder::Recorder;
pub(crate) use results::Second;
pub use results::{Results, StepResult};
pub use subscriber::Subscriber;

/// The version of the format. A reader rejects another one.
pub const VERSION: u32 = 2;

/// The most sampled requests in a tick.
pub const MOST_SAMPLES: usize = 500;

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Event {
    /// The version of the format.
    pub version: u32,
    /// When it happened, by the clock of this machine: RFC 3339, UTC, with milliseconds.
    pub time: String,
    /// Milliseconds since the start of the run.
    pub elapsed_ms: u64,
    /// The variant of the scenario, where it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub kind: Kind,
}

impl Event {
    /// Builds an event that happened `elapsed` after `started`.
    pub fn new(started: jiff::Timestamp, elapsed: Duration, variant: Option<&str>, kind: Kind) -> Self {
        let time = started.checked_add(elapsed).unwrap_or(started);
        Self {
            version: VERSION,
            time: time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            variant: variant.map(str::to_owned),
            kind,
        }
    }

    /// Returns the time since the start of the run.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms)
    }
}
