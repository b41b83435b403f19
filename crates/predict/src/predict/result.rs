//! The parts of a prediction.

use serde::{Deserialize, Serialize};

use crate::interval::Interval;
use crate::outcome::ratio;
use crate::recovery::Class;

/// What simulated runs of a call graph have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Prediction {
    /// How often the graph was simulated.
    pub simulations_count: usize,
    /// The random seed of the first simulation.
    pub seed: u64,
    /// Requests that the load sends.
    pub requests_count: Interval,
    /// The share of requests that get a 2xx.
    pub success_ratio: Interval,
    /// Goodput: the share of requests that get a 2xx within the deadline.
    pub goodput_ratio: Interval,
    /// How long the load waits for responses of any status.
    pub latency: PredictedLatency,
    /// The share of the service time that is spent on requests whose client has disconnected.
    pub wasted_ratio: Interval,
    /// By edge.
    pub edges: Vec<PredictedEdge>,
    /// By service.
    pub services: Vec<PredictedService>,
    /// By second of the load.
    pub seconds: Vec<PredictedSecond>,
    /// How the runs were classified, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
}

/// Percentiles of the latency, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PredictedLatency {
    /// Median.
    pub p50_ms: Interval,
    /// The 95th percentile.
    pub p95_ms: Interval,
    /// The 99th percentile.
    pub p99_ms: Interval,
}

/// One edge of the call graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PredictedEdge {
    /// The client: the service that calls.
    pub from: String,
    /// The service that is called.
    pub to: String,
    /// Share of requests that end with a status below 500, retries included (effective).
    pub effective_success_ratio: Interval,
    /// The share of attempts that get a status below 500 (actual).
    pub actual_success_ratio: Interval,
    /// Attempts for each request on this edge.
    pub attempts_per_request: Interval,
    /// Attempts on this edge for each request of the load.
    pub amplification: Interval,
    /// The highest number of attempts in one second.
    pub peak_attempts_per_second: Interval,
}

/// One service of the call graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PredictedService {
    /// The name.
    pub name: String,
    /// Requests that a full queue rejects.
    pub rejected_count: Interval,
    /// Share of the finished requests whose client had disconnected.
    pub wasted_ratio: Interval,
}

/// One second of the load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PredictedSecond {
    /// The second, counted from the start of the load.
    pub second: usize,
    /// Requests sent, on average.
    pub offered_per_second: f64,
    /// Goodput: the share of these that get a 2xx within the deadline.
    pub goodput_ratio: Interval,
    /// The share of these that get a 2xx.
    pub success_ratio: Interval,
    /// Attempts by edge.
    pub attempts_per_second: Vec<Interval>,
    /// The share of the attempts that get a status below 500, by edge.
    pub actual_success_ratio: Vec<Interval>,
}

/// How many runs ended in which class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Classes {
    /// Runs whose goodput recovered after the trigger.
    pub recovered_count: u64,
    /// Runs whose goodput did not recover after the trigger.
    pub metastable_count: u64,
    /// Runs without a trigger whose goodput did not collapse.
    pub stable_count: u64,
    /// Runs without a trigger whose goodput collapsed.
    pub collapsed_count: u64,
    /// The least, the median and the most seconds to recovery, of the runs that recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_seconds: Option<(u32, u32, u32)>,
    /// Of the metastable runs, those that a lower load restored.
    pub restored_by_reduced_load_count: u64,
    /// Of the metastable runs, those that a time without load restored.
    pub restored_by_pause_count: u64,
}

impl Classes {
    /// Returns the share of runs that ended metastable or collapsed.
    pub fn bad_ratio(&self) -> f64 {
        let bad = self.metastable_count + self.collapsed_count;
        ratio(bad, bad + self.recovered_count + self.stable_count)
    }

    /// Returns whether the runs disagree so much (20 to 80 %) that the class is not a prediction.
    pub fn is_split(&self) -> bool {
        (0.2..=0.8).contains(&self.bad_ratio())
    }

    /// Returns the class of most runs, with the median time to recovery; `None` if the runs are split.
    pub fn class(&self) -> Option<Class> {
        if self.is_split() {
            return None;
        }
        let without_trigger = self.stable_count + self.collapsed_count > 0;
        Some(match (self.bad_ratio() > 0.5, without_trigger) {
            (true, true) => Class::Collapsed,
            (true, false) => Class::Metastable,
            (false, true) => Class::Stable,
            (false, false) => Class::Recovered { after_seconds: self.recovery_seconds?.1 },
        })
    }
}
