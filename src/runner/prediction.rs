//! The prediction of a step on a topology: the same simulation as `meshy predict --topology`.

use std::collections::BTreeMap;

use meshy_experiment::event::Prediction;
use meshy_experiment::interval::Interval;
use meshy_experiment::scenario::{Step, TriggerKind};
use meshy_kube::{Object, manifest};
use meshy_linkerd::names;
use meshy_linkerd::policy::{Annotations, Retry as AnnotatedRetry, Timeouts};
use meshy_predict::model::{EdgePolicy, Errors, Fault, FaultKind, Load, Policies, Retry, RetryBudget};
use meshy_predict::recovery::Observation;
use meshy_predict::{Model, Options, predict};
use meshy_topology::Topology;

use super::changes::InForce;

/// Simulated runs of each step: enough for a class, and a second of work for a storm.
const RUNS: usize = 5;

/// After so many seconds without recovery a run counts as metastable.
const OBSERVED: usize = 45;

/// Predicts a step. Where it cannot be simulated, the prediction has the reason.
pub(super) fn step(topology: &Topology, step: &Step, objects: &InForce) -> Prediction {
    let name = step.name.value.clone();
    let unknown = |text: String| Prediction { step: name.clone(), text: Some(text), ..Prediction::default() };
    let Some(load) = &step.load else { return unknown("no load is sent".to_owned()) };
    if let Some(object) = objects.objects().find(|object| !is_simulated(object)) {
        return unknown(format!("the effect of the {} is not simulated", manifest::describe(object)));
    }
    let policies = Policies { services: policies(objects), ..Policies::default() };
    let mut model = match Model::from_topology(topology, &policies) {
        Ok(model) => model,
        Err(error) => return unknown(error.to_string()),
    };
    let position = |name: &str| model.services.iter().position(|service| service.name == name);
    let Some(entry) = position(&load.target.value) else {
        return unknown("the target of the load is not a service of the topology".to_owned());
    };
    let errors: Vec<(usize, Errors)> = step
        .faults
        .iter()
        .filter(|fault| fault.at.is_none() && fault.lasts.is_none() && fault.pods.is_none())
        .filter_map(|fault| {
            let share = fault.errors?.0;
            let errors = match fault.blocks {
                Some(_) => Errors::Blocks((share * 10.0).round() as u8),
                None => Errors::Share(share),
            };
            Some((position(&fault.service.value)?, errors))
        })
        .collect();
    if errors.len() != step.faults.len() {
        return unknown("only errors of all pods during a whole step are simulated".to_owned());
    }
    let trigger = step.trigger.as_ref().and_then(|trigger| {
        let service = position(&trigger.service.value)?;
        let (kind, lasts) = match trigger.what {
            TriggerKind::Down(lasts) => (FaultKind::Down { service }, lasts),
            TriggerKind::Slow(factor, lasts) => (FaultKind::Slow { service, factor: factor.0 }, lasts),
            TriggerKind::Load(factor, lasts) => (FaultKind::Load { factor: factor.0 }, lasts),
        };
        Some(Fault { kind, at: trigger.at.0, lasts: lasts.0 })
    });
    model.entry = entry;
    model.load = Load::even(load.rate.value.0, load.duration.0);
    model.goodput_bound = load.deadline.map_or(model.goodput_bound, |deadline| deadline.0);
    for (service, errors) in errors {
        model.services[service].errors = errors;
    }
    let end = trigger.map(|trigger| trigger.ends().as_secs_f64().ceil() as usize);
    model.faults = trigger.into_iter().collect();
    let seconds = load.duration.0.as_secs() as usize;
    let observation = end.map(|end| match seconds >= end + OBSERVED {
        true => Observation::Recovery(end..seconds),
        false => Observation::Short { trigger_end: end, observed: end + 5..(end + 10).min(seconds) },
    });
    let options = Options { runs: RUNS, observation, ..Options::default() };
    match predict(&model, &options) {
        Ok(predicted) => event(step, &predicted),
        Err(error) => unknown(error.to_string()),
    }
}

fn event(step: &Step, predicted: &meshy_predict::Prediction) -> Prediction {
    let interval = |of: &meshy_predict::Interval| Interval { mean: of.mean, low: of.low, high: of.high };
    let mut edges = predicted.edges.iter().filter(|edge| Some(edge.to.as_str()) == step.watched());
    let edge = edges.next();
    let alone = edges.next().is_none();
    let class = predicted.classes.as_ref().map(|classes| {
        let word =
            if classes.metastable_count > classes.recovered_count { "metastable" } else { "recovered" };
        word.to_owned()
    });
    Prediction {
        step: step.name.value.clone(),
        success: Some(interval(&predicted.success_ratio)),
        amplification: edge.filter(|_| alone).map(|edge| interval(&edge.amplification)),
        class,
        text: Some(format!("{} simulated runs", predicted.simulations_count)),
    }
}

/// Whether the simulation has the policy: that of a Service without a breaker, a profile, or a route that sends all requests to the
/// service it belongs to.
fn is_simulated(object: &Object) -> bool {
    match manifest::kind(object) {
        "Service" => {
            let annotations = object.metadata.annotations.iter().flatten();
            !annotations.into_iter().any(|(name, _)| name.contains("failure-accrual"))
        }
        names::PROFILE_KIND => true,
        "HTTPRoute" => {
            let rules = object.data["spec"]["rules"].as_array().map_or(&[][..], Vec::as_slice);
            let [rule] = rules else { return false };
            let backends = rule["backendRefs"].as_array().map_or(&[][..], Vec::as_slice);
            let parent = parent(object);
            parent.is_some() && backends.iter().all(|backend| backend["name"].as_str() == parent)
        }
        _ => false,
    }
}

/// The service that a route belongs to.
fn parent(route: &Object) -> Option<&str> {
    route.data["spec"]["parentRefs"].as_array()?.first()?["name"].as_str()
}

/// The policies of the services, by their names.
fn policies(objects: &InForce) -> BTreeMap<String, EdgePolicy> {
    let mut policies: BTreeMap<String, EdgePolicy> = BTreeMap::new();
    for object in objects.objects() {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let name = parent(object).unwrap_or(name);
        let service = name.split('.').next().unwrap_or_default().to_owned();
        let policy = policies.entry(service).or_default();
        if manifest::kind(object) == names::PROFILE_KIND {
            profile(object, policy);
        } else {
            annotations(object, policy);
        }
    }
    policies
}

fn profile(object: &Object, policy: &mut EdgePolicy) {
    let spec = &object.data["spec"];
    let routes = spec["routes"].as_array().cloned().unwrap_or_default();
    let duration = |text: &str| meshy_linkerd::duration::go(text).ok();
    if routes.iter().any(|route| route["isRetryable"] == true) {
        let default = RetryBudget::default();
        let budget = &spec["retryBudget"];
        policy.retry = Some(Retry::budget(RetryBudget {
            ratio: budget["retryRatio"].as_f64().unwrap_or(default.ratio),
            min_per_second: budget["minRetriesPerSecond"]
                .as_u64()
                .and_then(|min| u32::try_from(min).ok())
                .unwrap_or(default.min_per_second),
            ttl: budget["ttl"].as_str().and_then(duration).unwrap_or(default.ttl),
        }));
    }
    policy.timeout = routes.iter().find_map(|route| duration(route["timeout"].as_str()?)).or(policy.timeout);
}

fn annotations(object: &Object, policy: &mut EdgePolicy) {
    let all: Annotations = object.metadata.annotations.clone().unwrap_or_default().into_iter().collect();
    // An invalid annotation is ignored by the policy controller, too.
    if let Ok(Some(retry)) = AnnotatedRetry::from_annotations(&all) {
        policy.retry = Some(Retry { retry_timeout: retry.timeout, ..Retry::limit(u32::from(retry.limit)) });
    }
    if let Ok(timeouts) = Timeouts::from_annotations(&all) {
        policy.timeout = timeouts.request.or(policy.timeout);
        policy.response_timeout = timeouts.response.or(policy.response_timeout);
    }
}

#[cfg(test)]
mod tests {
    use meshy_experiment::scenario::{Settings, shipped};

    use super::*;

    #[test]
    fn a_step_is_predicted_only_where_the_simulation_has_its_policies_and_faults() {
        let predicted = |lesson: &str, step: &str| {
            let found = shipped::find(&format!("lesson/{lesson}")).unwrap();
            let scenario = found.parse(&Settings { fast: true, ..Settings::default() }).unwrap();
            let near = meshy_experiment::scenario::policies::near_shipped(&found);
            let files = scenario.policy_files(found.path, near).unwrap();
            let topology = serde_json::from_value(scenario.topology.clone().unwrap().0).unwrap();
            let step = scenario.steps.iter().find(|one| one.name.value == step).unwrap();
            let objects = InForce::of(&files, step, None, lesson).unwrap();
            super::step(&topology, step, &objects).success.map(|success| success.mean)
        };
        assert_eq!(predicted("fault-injection", "healthy"), Some(1.0));
        assert_eq!(predicted("retry-budget", "outage-with-limit"), Some(0.0));
        for (lesson, step) in [
            ("fault-injection", "injected"),
            ("canary", "canary"),
            ("breaker", "no-breaker"),
            ("breaker", "one-replica"),
            ("breaker-unified", "unified"),
        ] {
            assert_eq!(predicted(lesson, step), None, "{lesson}: {step}");
        }
    }

    #[test]
    fn the_shipped_storm_is_predicted_as_its_expectations_say() {
        let found = shipped::find("storm").unwrap();
        let scenario = found.parse(&Settings { fast: true, ..Settings::default() }).unwrap();
        let near = meshy_experiment::scenario::policies::near_shipped(&found);
        let files = scenario.policy_files(found.path, near).unwrap();
        let name = scenario.topology.as_ref().and_then(|topology| topology.name()).unwrap();
        assert_eq!(name, "chain-4-small");
        let topology = Topology::load(name).unwrap();
        let class = |variant: &str| {
            let variant = scenario.variants.iter().find(|one| one.name.value == variant);
            let objects = InForce::of(&files, &scenario.steps[0], variant, "storm").unwrap();
            super::step(&topology, &scenario.steps[0], &objects)
        };
        let (storm, budget) = (class("retries-everywhere"), class("budget"));
        assert_eq!(
            (storm.class.as_deref(), budget.class.as_deref()),
            (Some("metastable"), Some("recovered"))
        );
        let amplification = |one: &Prediction| one.amplification.unwrap().mean;
        assert!(amplification(&storm) > amplification(&budget), "{storm:?} {budget:?}");
    }
}
