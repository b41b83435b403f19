//! What a sender in a cluster and its controller exchange, as JSON on the sender's admin port.
//!
//! ```text
//! GET    /sender             Status: the sender's clock, and whether it has a plan
//! PUT    /sender/plan        SenderPlan → Status; one plan for each sender
//! GET    /sender/report?from=SECOND   Progress: the report without its seconds before SECOND
//! PUT    /sender/stop        stops the load → Status
//! ```

use std::time::Duration;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::plan::{Plan, Share};
use super::report::Report;
use super::spec::TargetSpec;

/// The environment variable that makes the test service a sender.
pub const ROLE: &str = "ROLE";

/// The value of [`ROLE`] for a sender.
pub const SENDER: &str = "sender";

/// The largest JSON document of a plan.
pub const MOST_PLAN: usize = 4 << 20;

/// A sender without a request on its admin port for this long stops its load and exits: its controller is gone.
pub const LEASE: Duration = Duration::from_secs(30);

/// The highest rate of a plan, of all senders together.
const MOST_RATE: f64 = 1_000_000.0;

/// The longest load.
const MOST_TIME: Duration = Duration::from_secs(24 * 3600);

/// What a sender is to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SenderPlan {
    /// The id of the run. The same plan can be sent again.
    pub run: String,
    /// The agreed start by the sender's clock, in microseconds of Unix time.
    pub start_unix_micros: u64,
    /// Which of the requests this sender sends.
    pub share: Share,
    /// The parts of the load, which may overlap.
    pub parts: Vec<Part>,
    /// The most connections of this sender to each target, for each part.
    pub connections: u16,
    /// How long a request may take.
    pub timeout_ms: u64,
    /// Where requests are sent.
    pub targets: Vec<TargetSpec>,
}

/// A part of a load with a constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// When it starts after the start of the load.
    pub after_ms: u64,
    /// How long requests are sent.
    pub duration_ms: u64,
    /// Requests per second of all senders together.
    pub rate: f64,
}

/// What a sender does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has no plan.
    Idle,
    /// It sends, or waits for the agreed start.
    Running,
    /// Its load ended.
    Ended,
}

/// The state of a sender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// What it does.
    pub state: State,
    /// Its clock, in microseconds of Unix time.
    pub now_unix_micros: u64,
}

/// What a sender has sent so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What it does.
    pub state: State,
    /// When it started its first request by its clock, in microseconds of Unix time.
    pub started_unix_micros: Option<u64>,
    /// Whether it ended before its time.
    pub interrupted: bool,
    /// The requests that ended.
    pub report: Report,
}

impl SenderPlan {
    /// Checks every value.
    ///
    /// # Errors
    /// Returns an error that names the value which is not valid.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(self.share.index < self.share.of, "invalid share {} of {}", self.share.index, self.share.of);
        ensure!((1..=8).contains(&self.parts.len()), "{} parts, expected 1 to 8", self.parts.len());
        for part in &self.parts {
            let rate = part.rate;
            ensure!(rate > 0.0 && rate <= MOST_RATE, "invalid rate `{rate}`, expected at most {MOST_RATE}");
            let end = Duration::from_millis(part.after_ms.saturating_add(part.duration_ms));
            ensure!(end <= MOST_TIME, "a load of {} s, the most is {} s", end.as_secs(), MOST_TIME.as_secs());
        }
        ensure!((1..=10_000).contains(&self.connections), "invalid connections `{}`", self.connections);
        ensure!((1..=600_000).contains(&self.timeout_ms), "invalid timeoutMs `{}`", self.timeout_ms);
        TargetSpec::targets(&self.targets).map(drop)
    }

    /// Returns the plan of a part.
    pub fn plan(&self, part: &Part) -> Plan {
        Plan {
            rate: part.rate,
            length: Duration::from_millis(part.duration_ms),
            connections: self.connections.into(),
            patience: Duration::from_millis(self.timeout_ms),
            share: self.share,
        }
    }

    /// Returns how many requests this sender has to send.
    pub fn own_requests(&self) -> u64 {
        self.parts.iter().map(|part| self.plan(part).own_requests()).sum()
    }

    /// Returns when the last part ends after the start.
    pub fn length(&self) -> Duration {
        let ends = self.parts.iter().map(|part| part.after_ms + part.duration_ms);
        Duration::from_millis(ends.max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_errors_that_name_them() {
        type Change = fn(&mut SenderPlan);
        let part = Part { after_ms: 0, duration_ms: 1_000, rate: 10.0 };
        let valid = SenderPlan {
            run: "1".to_owned(),
            start_unix_micros: 0,
            share: Share { index: 1, of: 3 },
            parts: vec![part, Part { after_ms: 500, rate: 2.0, ..part }],
            connections: 4,
            timeout_ms: 1_000,
            targets: vec![TargetSpec { url: "http://x/".to_owned(), ..TargetSpec::default() }],
        };
        valid.check().unwrap();
        assert_eq!((valid.own_requests(), valid.length()), (3 + 1, Duration::from_millis(1_500)));
        let wrong: [(Change, &str); 6] = [
            (|plan| plan.share.of = 1, "share"),
            (|plan| plan.parts.clear(), "parts"),
            (|plan| plan.parts[0].rate = f64::NAN, "rate"),
            (|plan| plan.parts[0].duration_ms = u64::MAX, "load"),
            (|plan| plan.connections = 0, "connections"),
            (|plan| plan.targets[0].url.clear(), "URL"),
        ];
        for (change, name) in wrong {
            let mut plan = valid.clone();
            change(&mut plan);
            let error = plan.check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
