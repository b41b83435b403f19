//! The points of a sweep on a topology as a scenario: a step for each, with the policies of its edges.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::anyhow;
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::scenario::policies::PolicyFile;
use meshy_experiment::scenario::{Scenario, Settings};
use meshy_linkerd::names;
use meshy_predict::Model;
use meshy_predict::model::{EdgePolicy, RetryBudget};
use meshy_topology::{Protocol, Topology};
use serde_json::{Value, json};

use crate::runner::{Graph, Limits, Plan};

/// Where the scenario comes from, for errors.
const PLACE: &str = "meshy sweep";

/// Returns the name of the step of a point, counted from 0.
pub(super) fn step(point: usize) -> String {
    format!("point-{}", point + 1)
}

/// Returns the scenario that measures these points: titles and models, which differ in load and policies.
///
/// # Errors
/// A policy cannot be expressed by the objects of Linkerd.
pub(super) fn plan(topology: &Topology, points: &[(String, Model)], limits: Limits) -> anyhow::Result<Plan> {
    let mut policies = BTreeMap::new();
    let mut steps = Vec::new();
    for (number, (title, model)) in points.iter().enumerate() {
        let (name, file) = (step(number), format!("{}.yaml", step(number)));
        let text = objects(topology, model)?;
        let used: Vec<&String> = (!text.is_empty()).then_some(&file).into_iter().collect();
        let seconds = model.load.duration.as_secs_f64();
        steps.push(json!({
            "name": name,
            "title": title,
            "policies": used,
            "load": {
                "target": model.services[model.entry].name,
                "rate": format!("{}/s", model.load.rate),
                "duration": format!("{seconds}s"),
            },
        }));
        if !text.is_empty() {
            policies
                .insert(file.clone(), PolicyFile { place: format!("{PLACE}, {title}"), name: file, text });
        }
    }
    let scenario = json!({
        "apiVersion": "meshy/v1alpha1",
        "kind": "Scenario",
        "metadata": { "name": "sweep", "title": format!("Policies on the edges of topology {}", topology.name) },
        "topology": topology.name,
        "steps": steps,
    });
    Ok(Plan {
        scenario: Scenario::parse(PLACE, &scenario.to_string(), &Settings::default())?,
        file: PLACE.to_owned(),
        policies,
        graph: Graph::Topology(topology.clone()),
        limits,
        paused: false,
        tags: Vec::new(),
    })
}

/// Returns the objects of the policies, one document for each service that is called; empty without any policy.
fn objects(topology: &Topology, model: &Model) -> anyhow::Result<String> {
    let mut done = BTreeSet::new();
    let mut documents = Vec::new();
    for edge in model.edges.iter().filter(|edge| edge.policy != EdgePolicy::default()) {
        let name = &model.services[edge.to].name;
        if done.insert(name) {
            let is_grpc =
                topology.services.iter().any(|one| one.name == *name && one.protocol == Protocol::Grpc);
            documents.extend(object(name, &edge.policy, is_grpc)?);
        }
    }
    Ok(documents.iter().map(|document| format!("{document}\n")).collect::<Vec<_>>().join("---\n"))
}

/// Returns the object that is the policy of the edges to a service; none for no policy.
fn object(name: &str, policy: &EdgePolicy, is_grpc: bool) -> anyhow::Result<Option<Value>> {
    let retry = policy.retry.as_ref().filter(|retry| retry.limit != Some(0) || retry.budget.is_some());
    if is_grpc && retry.is_some() {
        return Err(anyhow!("retries of service `{name}`, which speaks gRPC, cannot be measured by a sweep"))
            .hint("without `--measured` they are predicted; a scenario with a GRPCRoute measures them")
            .exit(Exit::Usage);
    }
    if let Some(budget) = retry.and_then(|retry| retry.budget) {
        let other = retry.is_some_and(|retry| retry.limit.is_some() || retry.retry_timeout.is_some());
        if other || policy.response_timeout.is_some() {
            return Err(anyhow!("a retry budget cannot be measured together with a limit, a retry or response timeout"))
                .hint("a ServiceProfile has a budget and a request timeout; the others are annotations, which it replaces")
                .exit(Exit::Usage);
        }
        return Ok(Some(profile(name, &budget, policy.timeout)));
    }
    let mut annotations = BTreeMap::new();
    if let Some(retry) = retry {
        annotations.insert(names::RETRY_HTTP, "5xx".to_owned());
        annotations.extend(retry.limit.map(|limit| (names::RETRY_LIMIT, limit.to_string())));
        annotations.extend(retry.retry_timeout.map(|time| (names::RETRY_TIMEOUT, written(time))));
    }
    annotations.extend(policy.timeout.map(|time| (names::TIMEOUT_REQUEST, written(time))));
    annotations.extend(policy.response_timeout.map(|time| (names::TIMEOUT_RESPONSE, written(time))));
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": annotations}});
    Ok((!annotations.is_empty()).then_some(service))
}

fn profile(name: &str, budget: &RetryBudget, timeout: Option<Duration>) -> Value {
    let mut route = json!({"name": "all", "condition": {"pathRegex": "/.*"}, "isRetryable": true});
    if let Some(timeout) = timeout {
        route["timeout"] = written(timeout).into();
    }
    json!({
        "apiVersion": names::PROFILE_API_VERSION,
        "kind": names::PROFILE_KIND,
        "metadata": {"name": names::service_fqdn(name, "${namespace}")},
        "spec": {
            "routes": [route],
            "retryBudget": {
                "retryRatio": budget.ratio,
                "minRetriesPerSecond": budget.min_per_second,
                "ttl": written(budget.ttl),
            },
        },
    })
}

/// Returns a duration as Linkerd reads it, in whole milliseconds and at least one.
fn written(time: Duration) -> String {
    format!("{}ms", time.as_millis().max(1))
}

#[cfg(test)]
mod tests {
    use meshy_predict::model::{Load, Policies, Retry};

    use super::*;

    fn model(policy: &EdgePolicy) -> (Topology, Model) {
        let topology = Topology::load("chain-3").unwrap();
        let services = topology.services.iter().map(|one| (one.name.clone(), policy.clone())).collect();
        let policies = Policies { services, ..Policies::default() };
        let model = Model::from_topology(&topology, &policies).unwrap();
        (topology, Model { load: Load::even(5.0, Duration::from_millis(1500)), ..model })
    }

    #[test]
    fn each_service_that_is_called_has_the_policy_of_its_edges() {
        let retry = Retry { retry_timeout: Some(Duration::from_millis(50)), ..Retry::limit(2) };
        let policy = EdgePolicy {
            retry: Some(retry),
            timeout: Some(Duration::from_secs(1)),
            response_timeout: Some(Duration::from_millis(400)),
            breaker: None,
        };
        let (topology, model) = model(&policy);
        let plan = plan(&topology, &[("a".to_owned(), model)], Limits::default()).unwrap();
        let load = plan.scenario.steps[0].load.clone().unwrap();
        assert_eq!((load.target.value.as_str(), load.rate.value.0), ("front", 5.0));
        assert_eq!(load.duration.0, Duration::from_millis(1500));
        let objects = plan.policies["point-1.yaml"].objects("sweep").unwrap();
        let names: Vec<&str> = objects.iter().filter_map(|one| one["metadata"]["name"].as_str()).collect();
        assert_eq!(names, ["cart", "price"]);
        assert_eq!(
            objects[0]["metadata"]["annotations"],
            json!({
                "retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "2", "retry.linkerd.io/timeout": "50ms",
                "timeout.linkerd.io/request": "1000ms", "timeout.linkerd.io/response": "400ms",
            })
        );
    }

    #[test]
    fn a_budget_is_a_profile_and_no_policy_is_no_object() {
        let budget = Retry::budget(RetryBudget::default());
        let timeout = Some(Duration::from_millis(200));
        let policy = EdgePolicy { retry: Some(budget), timeout, ..EdgePolicy::default() };
        let (topology, with_budget) = model(&policy);
        let limit_0 = EdgePolicy { retry: Some(Retry::limit(0)), ..EdgePolicy::default() };
        let points = [("a".to_owned(), with_budget), ("b".to_owned(), model(&limit_0).1)];
        let plan = plan(&topology, &points, Limits::default()).unwrap();
        let objects = plan.policies["point-1.yaml"].objects("sweep").unwrap();
        assert_eq!(objects[1]["metadata"]["name"], "price.sweep.svc.cluster.local");
        assert_eq!(objects[1]["spec"]["routes"][0]["timeout"], "200ms");
        assert_eq!(objects[1]["spec"]["retryBudget"]["ttl"], "10000ms");
        assert_eq!(plan.policies.len(), 1);
        assert!(plan.scenario.steps[1].policies.is_empty());
    }

    #[test]
    fn a_budget_with_a_response_timeout_has_no_object() {
        let retry = Some(Retry::budget(RetryBudget::default()));
        let response_timeout = Some(Duration::from_secs(1));
        let (topology, model) = model(&EdgePolicy { retry, response_timeout, ..EdgePolicy::default() });
        let error = plan(&topology, &[("a".to_owned(), model)], Limits::default()).unwrap_err();
        assert!(error.to_string().contains("a retry budget cannot be measured together"), "{error}");
    }
}
