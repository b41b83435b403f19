//! The scenario file: what to deploy, policies, faults and load of each step, and the conditions checked at the end.

mod check;
mod fault;
mod load;
mod parameter;
mod parse;
pub mod plan;
pub mod policies;
mod select;
pub mod shipped;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::At;
use crate::condition::Condition;
use crate::units::{Length, PerSecond};

pub use fault::{Delay, Distribution, Fault, Trigger, TriggerKind};
pub use load::{Load, StatusFrom, Via};
pub use parameter::Parameter;
pub use parse::Settings;

/// The value of `apiVersion`.
pub const API_VERSION: &str = "meshy/v1alpha1";

/// A scenario whose parameters are already replaced by their values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// `meshy/v1alpha1`.
    pub api_version: At<String>,
    /// `Scenario`.
    pub kind: At<String>,
    /// Name and texts.
    pub metadata: Metadata,
    /// What to deploy; without it the steps run on what is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<Topology>,
    /// Values that `--set NAME=VALUE` changes; `${NAME}` is replaced anywhere in the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Parameter>,
    /// The same steps with other policies, in parallel, one namespace each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
    /// What is measured, in order.
    pub steps: Vec<Step>,
    /// Conditions checked at the end, see docs/scenarios.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<At<String>>,
    /// What `--fast` changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast: Option<Fast>,
}

/// The name of a scenario and the texts that describe it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Lower-case letters, digits and `-`.
    pub name: At<String>,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// One paragraph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// One paragraph shown after a run whose expectations are met. `{STEP.METRIC}` is replaced by the measured value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<String>,
}

/// What to deploy: the name of a shipped topology, a file next to the scenario, or the topology itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Topology(pub Value);

/// The same steps with other policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variant {
    /// Lower-case letters, digits and `-`.
    pub name: At<String>,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Policy files that are applied during all steps, in addition to those of each step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<At<String>>,
    /// Explains the result of this variant, shown with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A measured stretch of load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Lower-case letters, digits and `-`.
    pub name: At<String>,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Policy files that are applied during the step. Those of the previous step that are not listed here are deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<At<String>>,
    /// Faults during the step. Those of the previous step that are not listed here end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// A disturbance that starts and ends within the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The load that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Instead of a load: waits without sending requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Length>,
    /// Shown before the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A question for a learner, shown before the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What a speaker may add; never shown to the audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// One paragraph shown with the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What `--fast` changes in this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast: Option<FastStep>,
}

/// What `--fast` changes in the scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fast {
    /// Values of parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// The variants that run; without it all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<At<String>>,
    /// The steps that run; without it all. Expectations on other steps or variants are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<At<String>>,
}

/// What `--fast` changes in a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FastStep {
    /// The duration of the load or the wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Length>,
    /// The rate of the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<PerSecond>,
}

impl Topology {
    /// Returns the name or path, unless the topology is inline.
    pub fn name(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// Returns the services of an inline topology.
    pub fn services(&self) -> Option<Vec<&str>> {
        let services = self.0.get("services")?.as_array()?;
        Some(services.iter().filter_map(|service| service.get("name")?.as_str()).collect())
    }
}

impl Step {
    /// Returns how long the step takes: of its load, else of its wait.
    pub fn duration(&self) -> Length {
        self.load.as_ref().map(|load| load.duration).or(self.wait).unwrap_or_default()
    }

    /// Returns the service that the chart shows: the first with a fault or the trigger, else the target of the load.
    pub fn watched(&self) -> Option<&str> {
        let faulty =
            self.faults.iter().map(|fault| &fault.service).chain(self.trigger.as_ref().map(|t| &t.service));
        let target = self.load.as_ref().map(|load| &load.target).filter(|target| !target.contains("://"));
        faulty.chain(target).map(|service| service.value.as_str()).next()
    }

    /// Makes the load last as long as the trigger is to be observed.
    fn extend(&mut self) {
        if let (Some(trigger), Some(load)) = (&self.trigger, &mut self.load)
            && let Some(observe) = trigger.observe
        {
            load.duration = load.duration.max(Length(trigger.window().1 + observe.0));
        }
    }
}

impl Scenario {
    /// Returns the step of that name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name.value == name)
    }

    /// Returns the time that the steps take, without the changes between them.
    pub fn duration(&self) -> Length {
        Length(self.steps.iter().map(|step| step.duration().0).sum())
    }

    /// Returns the conditions of `expect`; a parsed scenario has no invalid one.
    pub fn conditions(&self) -> Vec<Condition> {
        self.expect.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Returns the scenario as a file that runs exactly this: parameters replaced, so there are none.
    ///
    /// # Errors
    /// A value that YAML cannot express.
    pub fn to_yaml(&self) -> Result<String, serde_yaml::ser::Error> {
        let mut resolved = self.clone();
        resolved.parameters.clear();
        if let Some(fast) = &mut resolved.fast {
            fast.set.clear();
        }
        serde_yaml::to_string(&resolved)
    }
}
