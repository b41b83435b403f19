//! Which part of a scenario runs: `--fast`, `--only STEP`, `--start-at STEP`.

use super::{Scenario, Step};
use crate::error::{Problem, instead_of};

/// Applies the `fast` sections and removes them.
pub(super) fn fast(mut scenario: Scenario) -> Scenario {
    let fast = scenario.fast.take().unwrap_or_default();
    if !fast.variants.is_empty() {
        scenario.variants.retain(|variant| fast.variants.contains(&variant.name));
    }
    if !fast.steps.is_empty() {
        scenario.steps.retain(|step| fast.steps.contains(&step.name));
    }
    for step in &mut scenario.steps {
        let Some(fast) = step.fast.take() else { continue };
        if let Some(load) = &mut step.load {
            load.duration = fast.duration.unwrap_or(load.duration);
            load.rate.value = fast.rate.unwrap_or(load.rate.value);
            step.extend();
        } else {
            step.wait = fast.duration.or(step.wait);
        }
    }
    scenario.keep_possible_expectations();
    scenario
}

impl Scenario {
    /// Returns the scenario with one step.
    ///
    /// # Errors
    /// There is no step of that name.
    pub fn only(mut self, name: &str) -> Result<Self, Problem> {
        self.position("--only", name)?;
        self.steps.retain(|step| step.name.value == name);
        self.keep_possible_expectations();
        Ok(self)
    }

    /// Returns the scenario without the steps before one.
    ///
    /// # Errors
    /// There is no step of that name.
    pub fn start_at(mut self, name: &str) -> Result<Self, Problem> {
        let position = self.position("--start-at", name)?;
        self.steps.drain(..position);
        self.keep_possible_expectations();
        Ok(self)
    }

    fn position(&self, flag: &str, name: &str) -> Result<usize, Problem> {
        let is = |step: &Step| step.name.value == name;
        self.steps.iter().position(is).ok_or_else(|| Problem {
            file: flag.to_owned(),
            text: format!("unknown step `{name}`"),
            hint: instead_of(name, self.steps.iter().map(|step| step.name.as_str())),
            ..Problem::default()
        })
    }

    /// Removes expectations on steps and variants that do not run.
    fn keep_possible_expectations(&mut self) {
        let steps: Vec<String> = self.steps.iter().map(|step| step.name.value.clone()).collect();
        let variants: Vec<String> = self.variants.iter().map(|variant| variant.name.value.clone()).collect();
        self.expect.retain(|text| {
            text.parse().is_ok_and(|condition: crate::condition::Condition| {
                condition.operands().all(|operand| {
                    operand.step.as_ref().is_none_or(|step| steps.contains(step))
                        && operand.variant.as_ref().is_none_or(|variant| variants.contains(variant))
                })
            })
        });
    }
}
