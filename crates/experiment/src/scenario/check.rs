//! What the types do not express: names, references between parts, ranges.

use std::collections::HashSet;

use super::fault::BLOCK;
use super::{API_VERSION, Fault, Load, Scenario, Step};
use crate::At;
use crate::condition::{self, Condition, Metric};
use crate::error::{Invalid, Problem, instead_of};
use crate::event::Outcome;

/// Collects problems of one file.
struct Problems<'a> {
    file: &'a str,
    found: Vec<Problem>,
}

impl Problems<'_> {
    fn add<T>(&mut self, place: &At<T>, text: String, hint: Option<String>) {
        let known = |number: u64| Some(number).filter(|number| *number > 0);
        let (line, column) = (known(place.line), known(place.column));
        self.found.push(Problem { file: self.file.to_owned(), line, column, text, hint });
    }

    fn end(self) -> Result<(), Invalid> {
        if self.found.is_empty() { Ok(()) } else { Err(Invalid { problems: self.found }) }
    }

    /// Checks that names are DNS labels and that there is none twice.
    fn names<'b>(&mut self, what: &str, names: impl Iterator<Item = &'b At<String>>) {
        let mut seen = HashSet::new();
        for name in names {
            if !is_label(name) {
                let text = format!("invalid name `{}` of a {what}", name.value);
                let hint = "expected at most 63 lower-case letters, digits and `-`, starting with a letter";
                self.add(name, text, Some(hint.to_owned()));
            }
            if !seen.insert(name.value.as_str()) {
                self.add(name, format!("there are two {what}s `{}`", name.value), None);
            }
        }
    }

    fn known<'b>(&mut self, what: &str, name: &At<String>, valid: impl Iterator<Item = &'b str>) {
        let valid: Vec<&str> = valid.collect();
        if !valid.contains(&name.value.as_str()) {
            self.add(name, format!("unknown {what} `{}`", name.value), instead_of(name, valid));
        }
    }
}

/// A label of DNS, as names of namespaces must be.
fn is_label(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Checks a scenario whose parameters are replaced.
pub(super) fn check(file: &str, scenario: &Scenario) -> Result<(), Invalid> {
    let mut problems = Problems { file, found: Vec::new() };
    if scenario.api_version.value != API_VERSION {
        let text = format!("unknown apiVersion `{}`", scenario.api_version.value);
        problems.add(&scenario.api_version, text, Some(format!("expected `{API_VERSION}`")));
    }
    problems.known("kind", &scenario.kind, ["Scenario"].into_iter());
    problems.names("scenario", std::iter::once(&scenario.metadata.name));
    problems.names("variant", scenario.variants.iter().map(|variant| &variant.name));
    problems.names("step", scenario.steps.iter().map(|step| &step.name));
    if scenario.steps.is_empty() {
        problems.add(&scenario.metadata.name, "there are no steps".to_owned(), None);
    }
    if scenario.topology.as_ref().is_some_and(|topology| !topology.0.is_string() && !topology.0.is_object()) {
        let hint = "expected a name, a file or a topology".to_owned();
        problems.add(&scenario.metadata.name, "invalid topology".to_owned(), Some(hint));
    }
    for step in &scenario.steps {
        check_step(&mut problems, step);
    }
    for text in &scenario.expect {
        check_condition(&mut problems, scenario, text);
    }
    if let Some(fast) = &scenario.fast {
        for name in &fast.variants {
            problems.known("variant", name, scenario.variants.iter().map(|variant| variant.name.as_str()));
        }
        for name in &fast.steps {
            problems.known("step", name, scenario.steps.iter().map(|step| step.name.as_str()));
        }
    }
    if let Some(services) = scenario.topology.as_ref().and_then(super::Topology::services) {
        check_services(&mut problems, scenario, &services);
    }
    problems.end()
}

fn check_step(problems: &mut Problems<'_>, step: &Step) {
    if condition::Metric::NAMES.contains(&step.name.as_str())
        || ["status", "outcomes"].contains(&step.name.as_str())
    {
        problems.add(
            &step.name,
            format!("the step name `{}` is the name of a metric", step.name.value),
            None,
        );
    }
    if step.load.is_some() && step.wait.is_some() {
        problems.add(&step.name, format!("step `{}` has both `load` and `wait`", step.name.value), None);
    }
    if let Some(load) = &step.load {
        check_load(problems, load);
    }
    for fault in &step.faults {
        check_fault(problems, step, fault);
    }
    let ends_late = |trigger: &&super::Trigger| trigger.window().1 >= step.duration().0;
    if let Some(trigger) = step.trigger.as_ref().filter(ends_late) {
        let end = trigger.window().1.as_secs_f64();
        let text = format!("the trigger ends at {end} s, the step at {}", step.duration());
        problems.add(&trigger.service, text, Some("make the load longer, or write `observe`".to_owned()));
    }
}

fn check_load(problems: &mut Problems<'_>, load: &Load) {
    if load.duration.0.is_zero() {
        problems.add(&load.target, "the duration of the load is 0".to_owned(), None);
    }
    // The load generator's own limit.
    if load.rate.0 > 1_000_000.0 {
        problems.add(&load.rate, format!("the rate {} is above 1000000/s", load.rate.value), None);
    }
    for (what, count) in [("senders", &load.senders), ("connections", &load.connections)] {
        if let Some(count) = count.as_ref().filter(|count| count.value == 0) {
            problems.add(count, format!("`{what}` is 0, expected at least 1"), None);
        }
    }
}

fn check_fault(problems: &mut Problems<'_>, step: &Step, fault: &Fault) {
    let service = &fault.service;
    let given =
        [fault.errors.is_some(), !fault.sequence.is_empty(), fault.delay.is_some(), fault.slow.is_some()];
    let given = given.iter().filter(|given| **given).count();
    if given == 0 && !fault.down && !fault.reset {
        let hint = "expected one of: errors, sequence, delay, slow, down, reset".to_owned();
        problems.add(service, format!("the fault of `{}` does nothing", service.value), Some(hint));
    }
    if (fault.down || fault.reset) && given + usize::from(fault.down) + usize::from(fault.reset) > 1 {
        problems.add(service, "`down` and `reset` cannot be combined with other faults".to_owned(), None);
    }
    if fault.errors.is_some() && !fault.sequence.is_empty() {
        problems.add(service, "`errors` and `sequence` exclude each other".to_owned(), None);
    }
    if fault.sequence.iter().any(|status| !(200..=599).contains(status)) || fault.sequence.len() > 1000 {
        let text = "invalid `sequence`, expected at most 1000 statuses from 200 to 599".to_owned();
        problems.add(service, text, None);
    }
    if let Some(pods) = fault.pods.as_ref().filter(|pods| pods.value == 0) {
        problems.add(pods, "`pods` is 0, expected at least 1".to_owned(), None);
    }
    if let Some(blocks) = &fault.blocks {
        let failing = fault.errors.map(|errors| errors.0 * f64::from(BLOCK));
        if blocks.value != BLOCK {
            let text = format!("invalid `blocks: {}`, expected {BLOCK}", blocks.value);
            let hint =
                "the test service has one size of blocks; `sequence: [500, 200]` fails every second request";
            problems.add(blocks, text, Some(hint.to_owned()));
        } else if failing.is_none_or(|failing| (failing - failing.round()).abs() >= 1e-9) {
            let text = format!("`blocks: {BLOCK}` needs `errors` that give a whole number of failures");
            problems.add(blocks, text, Some("for example errors: 70% with blocks: 10".to_owned()));
        }
    }
    let end = fault.at.unwrap_or_default().0 + fault.lasts.unwrap_or_default().0;
    if end > step.duration().0 {
        let text = format!("the fault ends at {} s, the step at {}", end.as_secs_f64(), step.duration());
        problems.add(service, text, None);
    }
}

fn check_condition(problems: &mut Problems<'_>, scenario: &Scenario, text: &At<String>) {
    let condition: Condition = match text.parse() {
        Ok(condition) => condition,
        Err(error) => {
            let error: condition::ParseError = error;
            let column = if text.column > 0 { text.column - 1 + error.column } else { 0 };
            let place = At { value: (), line: text.line, column };
            return problems.add(&place, format!("in `{}`: {}", text.value, error.text), error.hint);
        }
    };
    for operand in condition.operands() {
        if let Some(variant) = &operand.variant {
            let at = At { value: variant.clone(), line: text.line, column: text.column };
            problems.known("variant", &at, scenario.variants.iter().map(|variant| variant.name.as_str()));
        }
        match &operand.step {
            Some(step) => {
                let at = At { value: step.clone(), line: text.line, column: text.column };
                problems.known("step", &at, scenario.steps.iter().map(|step| step.name.as_str()));
            }
            None if scenario.steps.len() > 1 => {
                let hint = Some("write STEP.METRIC".to_owned());
                problems.add(text, format!("`{}` names no step", text.value), hint);
            }
            None => {}
        }
        if let Metric::Outcome(outcome) = operand.metric {
            let metric = operand.metric;
            if matches!(outcome, Outcome::FirstAttempt | Outcome::AfterRetries) {
                let hint = "`success` and `amplification` show what retries did";
                problems.add(text, format!("`{metric}` is not counted in a run"), Some(hint.to_owned()));
            } else if operand.place.is_none() {
                // The sender knows statuses only; the outcome is what proxies count.
                problems.add(text, format!("`{metric}` needs a place, write `{metric}@SERVICE`"), None);
            }
        }
    }
}

fn check_services(problems: &mut Problems<'_>, scenario: &Scenario, services: &[&str]) {
    for step in &scenario.steps {
        for fault in &step.faults {
            problems.known("service", &fault.service, services.iter().copied());
        }
        if let Some(trigger) = &step.trigger {
            problems.known("service", &trigger.service, services.iter().copied());
        }
        if let Some(load) = step.load.as_ref().filter(|load| !load.target.contains("://")) {
            problems.known("service", &load.target, services.iter().copied());
        }
    }
    for text in &scenario.expect {
        let Ok(condition) = text.parse::<Condition>() else { continue };
        for service in condition.operands().flat_map(condition::Operand::services) {
            let at = At { value: service.to_owned(), line: text.line, column: text.column };
            let file = if text.line == 0 { EXPECT } else { problems.file };
            let mut found = Problems { file, found: Vec::new() };
            found.known("service", &at, services.iter().copied());
            problems.found.append(&mut found.found);
        }
    }
}

/// Where a condition stands that is not in a file.
const EXPECT: &str = "--expect";

impl Scenario {
    /// Adds a condition of the command line; a value without a step is one of the last step.
    ///
    /// # Errors
    /// The condition names a step or a variant that the run does not have, with the nearest name.
    pub fn expect_also(&mut self, condition: Condition) -> Result<(), Invalid> {
        let last = self.steps.last().map(|step| step.name.value.clone()).unwrap_or_default();
        let text = condition.at_step(&last).to_string().into();
        let mut problems = Problems { file: EXPECT, found: Vec::new() };
        check_condition(&mut problems, self, &text);
        self.expect.push(text);
        problems.end()
    }

    /// Checks that each service that the scenario names is one of `services`; for a topology that another crate reads.
    ///
    /// # Errors
    /// Each service that is not there, with its place in `file` and the nearest name.
    pub fn check_services(&self, file: &str, services: &[&str]) -> Result<(), Invalid> {
        let mut problems = Problems { file, found: Vec::new() };
        check_services(&mut problems, self, services);
        problems.end()
    }
}
