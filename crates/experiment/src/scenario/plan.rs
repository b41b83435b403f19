//! What the runner has to change: between two steps, and during one.

use std::time::Duration;

use super::{Fault, Step, TriggerKind, Variant};

/// What changes before a step starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Policy files to remove.
    pub remove: Vec<String>,
    /// Policy files to apply.
    pub apply: Vec<String>,
    /// Services whose faults end: back to the values of the manifest.
    pub reset: Vec<String>,
    /// Faults to set before the load starts.
    pub faults: Vec<Fault>,
}

/// Something that happens during a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A fault starts.
    Start(Fault),
    /// The faults of a service end: back to those of the whole step, which are listed.
    End {
        /// The service.
        service: String,
        /// Its faults that last for the whole step.
        keep: Vec<Fault>,
    },
    /// The rate of the load is multiplied by this factor from now on; 1 ends a surge.
    Rate(f64),
}

impl Changes {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns what changes from `before` (nothing at the start of the run) to `after`.
    pub fn between(before: Option<&Step>, after: &Step, variant: Option<&Variant>) -> Self {
        let old = before.map(|step| policies(step, variant)).unwrap_or_default();
        let new = policies(after, variant);
        let lasting: Vec<Fault> = whole(after).cloned().collect();
        let set_before: Vec<&Fault> = before.into_iter().flat_map(|step| &step.faults).collect();
        let mut reset: Vec<String> = Vec::new();
        for fault in &set_before {
            let service = &fault.service.value;
            // The same faults continue undisturbed; others replace them, from the manifest's state on.
            let same = whole_of(before, service)
                == lasting.iter().filter(|f| f.service.value == *service).collect::<Vec<_>>();
            if !same && !reset.contains(service) {
                reset.push(service.clone());
            }
        }
        let changed = |fault: &&Fault| {
            let service = &fault.service.value;
            reset.contains(service) || !set_before.iter().any(|old| old == fault)
        };
        Self {
            remove: old.iter().filter(|name| !new.contains(name)).cloned().collect(),
            apply: new.iter().filter(|name| !old.contains(name)).cloned().collect(),
            faults: lasting.iter().filter(changed).cloned().collect(),
            reset,
        }
    }
}

impl Step {
    /// Returns what happens during the step, by the time after its start; the order of the file where times are equal.
    pub fn actions(&self) -> Vec<(Duration, Action)> {
        let mut actions = Vec::new();
        let trigger = self.trigger.iter().filter_map(super::Trigger::fault);
        for fault in self.faults.iter().filter(|fault| !is_whole(fault)).cloned().chain(trigger) {
            let start = fault.at.unwrap_or_default().0;
            if let Some(lasts) = fault.lasts {
                let service = fault.service.value.clone();
                let keep = whole(self).filter(|other| other.service.value == service).cloned().collect();
                actions.push((start + lasts.0, Action::End { service, keep }));
            }
            actions.push((start, Action::Start(fault)));
        }
        if let Some(trigger) = &self.trigger
            && let TriggerKind::Load(factor, lasts) = trigger.what
        {
            actions.push((trigger.at.0, Action::Rate(factor.0)));
            actions.push((trigger.at.0 + lasts.0, Action::Rate(1.0)));
        }
        actions.sort_by_key(|(at, _)| *at);
        actions
    }
}

/// Returns the names of the policy files in force: those of the variant, then those of the step.
pub fn policies(step: &Step, variant: Option<&Variant>) -> Vec<String> {
    let all = variant.into_iter().flat_map(|variant| &variant.policies).chain(&step.policies);
    all.map(|name| name.value.clone()).collect()
}

/// Whether a fault lasts from the start of the step to its end.
fn is_whole(fault: &Fault) -> bool {
    fault.at.is_none_or(|at| at.0.is_zero()) && fault.lasts.is_none()
}

fn whole(step: &Step) -> impl Iterator<Item = &Fault> {
    step.faults.iter().filter(|fault| is_whole(fault))
}

fn whole_of<'a>(step: Option<&'a Step>, service: &str) -> Vec<&'a Fault> {
    step.into_iter().flat_map(whole).filter(|fault| fault.service.value == service).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Trigger;
    use crate::units::Ratio;

    fn step(policies: &[&str], faults: Vec<Fault>) -> Step {
        let policies = policies.iter().map(|name| (*name).to_owned().into()).collect();
        Step { policies, faults, ..Step::default() }
    }

    fn errors(service: &str, share: f64) -> Fault {
        Fault { service: service.to_owned().into(), errors: Some(Ratio(share)), ..Fault::default() }
    }

    #[test]
    fn only_differences_between_steps_are_changed() {
        let first = step(&["a.yaml", "b.yaml"], vec![errors("x", 0.7), errors("y", 0.1)]);
        let second = step(&["b.yaml", "c.yaml"], vec![errors("x", 0.7), errors("y", 0.2)]);
        let start = Changes::between(None, &first, None);
        assert_eq!((start.apply.len(), start.faults.len(), start.reset.len()), (2, 2, 0));
        let changes = Changes::between(Some(&first), &second, None);
        assert_eq!((changes.remove, changes.apply), (vec!["a.yaml".to_owned()], vec!["c.yaml".to_owned()]));
        assert_eq!((changes.reset, changes.faults), (vec!["y".to_owned()], vec![errors("y", 0.2)]));
        let last = Changes::between(Some(&second), &step(&[], vec![]), None);
        assert_eq!((last.remove.len(), last.reset), (2, vec!["x".to_owned(), "y".to_owned()]));
    }

    #[test]
    fn the_policies_of_a_variant_stay_in_force() {
        let name = "v".to_owned().into();
        let variant = Variant { name, title: None, policies: vec!["v.yaml".to_owned().into()], why: None };
        let (first, second) = (step(&[], vec![]), step(&["a.yaml"], vec![]));
        assert_eq!(Changes::between(None, &first, Some(&variant)).apply, ["v.yaml"]);
        let changes = Changes::between(Some(&first), &second, Some(&variant));
        assert_eq!((changes.remove.len(), changes.apply), (0, vec!["a.yaml".to_owned()]));
    }

    #[test]
    fn timed_faults_and_triggers_start_and_end_within_the_step() {
        let seconds = |text: &str| Some(text.parse().unwrap());
        let timed = Fault { at: seconds("2s"), lasts: seconds("3s"), ..errors("x", 1.0) };
        let mut step = step(&[], vec![errors("x", 0.1), timed.clone()]);
        let (service, at) = ("z".to_owned().into(), "4s".parse().unwrap());
        step.trigger = Some(Trigger { service, what: "load=2x:1s".parse().unwrap(), at, observe: None });
        let actions = step.actions();
        let times: Vec<u64> = actions.iter().map(|(at, _)| at.as_secs()).collect();
        assert_eq!(times, [2, 4, 5, 5]);
        assert_eq!((&actions[0].1, &actions[1].1), (&Action::Start(timed), &Action::Rate(2.0)));
        let end = Action::End { service: "x".to_owned(), keep: vec![errors("x", 0.1)] };
        assert!(actions[2..].iter().any(|(_, action)| *action == end), "{actions:?}");
        assert!(actions[2..].iter().any(|(_, action)| *action == Action::Rate(1.0)));
    }
}
