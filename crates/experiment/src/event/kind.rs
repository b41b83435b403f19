//! The kinds of events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConditionResult, Counts, EdgeCounts, ServiceCounts, Totals};
use crate::interval::Interval;
use crate::latency::Quantiles;

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Kind {
    /// The first event of a run.
    RunStarted(RunStarted),
    /// A step starts; its policies and faults are in force.
    StepStarted(StepStarted),
    /// What is predicted for the step that follows or runs.
    Prediction(Prediction),
    /// Counts at a moment; each second, or every 250 ms for the load that the dashboard sends itself.
    Tick(Tick),
    /// A policy was applied or removed.
    PolicyChanged(Change),
    /// A fault started, changed or ended; also a change of the load's rate.
    FaultChanged(Change),
    /// Something to know: a wait, a gap, a warning.
    Note(Note),
    /// A step ended.
    StepEnded(StepEnded),
    /// A condition was checked.
    Expectation(ConditionResult),
    /// The last event of a run.
    RunEnded(RunEnded),
}

/// Where a run takes place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct RunStarted {
    /// The id of the run.
    pub run: String,
    /// The command: `run`, `traffic`.
    pub command: String,
    /// The name of the scenario, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// The tags of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The title of the scenario, else what the run is.
    pub title: String,
    /// The lab, or the context of the kubeconfig.
    pub lab: String,
    /// Where the cluster comes from.
    pub provider: String,
    /// Versions by program: `meshy`, `kubernetes`, `linkerd`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, String>,
    /// The variants that run in parallel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// The steps that are planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepPlan>,
}

/// A step that is planned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct StepPlan {
    /// The name of the step.
    pub step: String,
    /// The title of the step, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How long it takes, in milliseconds.
    pub duration_ms: u64,
}

/// A step starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct StepStarted {
    /// The name of the step.
    pub step: String,
    /// Shown before the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A question for a learner, shown before the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The target of the load; none where the step only waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The rate of the load.
    pub offered_per_second: f64,
    /// The length of the step, in milliseconds.
    pub duration_ms: u64,
    /// When the trigger of the step ends, in milliseconds after the start of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_end_ms: Option<u64>,
    /// The service whose attempts the chart shows: the one with faults, else the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<String>,
}

/// What is predicted for a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Prediction {
    /// The name of the step.
    pub step: String,
    /// The share of requests that succeed, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Interval>,
    /// Attempts per request at the watched service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amplification: Option<Interval>,
    /// `recovered` or `metastable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// How it was predicted, or why nothing was predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Counts at a moment, cumulative since the start of the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Tick {
    /// The name of the step.
    pub step: String,
    /// Milliseconds since the start of the step.
    pub at_ms: u64,
    /// At the sender.
    pub load: Counts,
    /// Latency at the sender since the tick before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_now: Option<Quantiles>,
    /// Latency at the sender since the start of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Quantiles>,
    /// At the edges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<EdgeCounts>,
    /// Whether the counts at the edges are older for some proxies: of more than 20, 20 are scraped each second, in rotation.
    #[serde(default, rename = "stale", skip_serializing_if = "std::ops::Not::not")]
    pub is_stale: bool,
    /// At the services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceCounts>,
    /// At most 500 of the requests that ended since the tick before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// A request of the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Sample {
    /// When it was to start, in milliseconds after the start of the step.
    pub start_ms: f64,
    /// How long it took, in milliseconds.
    pub latency_ms: f64,
    /// The status of the response; 0 where there was none.
    pub status: u16,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// Attempts, where the service reports them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

/// A change during the run: a mark in every chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Change {
    /// What changed: the object of a policy, the service of a fault.
    pub subject: String,
    /// The change in words: `applied`, `removed`, `70% errors`.
    pub text: String,
    /// Whether something ends: a policy removed, a fault over.
    pub ends: bool,
    /// The command that does the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Change {
    /// Returns the change in words, with its subject.
    pub fn words(&self) -> String {
        match self.subject.as_str() {
            "" => self.text.clone(),
            subject => format!("{subject} {}", self.text),
        }
    }
}

/// Something to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Note {
    /// The text.
    pub text: String,
}

/// A step ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct StepEnded {
    /// The name of the step.
    pub step: String,
    /// Everything that was counted.
    pub totals: Totals,
    /// Whether it ended before its time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// Explains the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct RunEnded {
    /// How the run ended.
    pub status: RunStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// All steps ran.
    Completed,
    /// Ctrl-C, or a step was left.
    Interrupted,
    /// An error.
    Failed,
}

impl RunStatus {
    /// Returns the status of a run without an error.
    pub fn of(interrupted: bool) -> Self {
        if interrupted { Self::Interrupted } else { Self::Completed }
    }
}
