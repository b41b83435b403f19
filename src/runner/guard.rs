//! What protects a cluster that meshy did not create: consent, `--allow-storm`, and a cap on attempts per second.

use anyhow::anyhow;
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::scenario::Scenario;
use meshy_kube::{Object, manifest};
use meshy_lab::{Env, cluster};
use meshy_linkerd::names;

use crate::run_cluster::RunCluster;

/// Attempts per second on a cluster that meshy did not create, unless `--max-attempts` sets another cap.
const MOST_ATTEMPTS: f64 = 2000.0;

/// More attempts per request than this need `--allow-storm`.
const MOST_AMPLIFICATION: f64 = 3.0;

/// What the user allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Faults and retry storms on a cluster that meshy did not create.
    pub allow_storm: bool,
    /// The cap on attempts per second.
    pub max_attempts: Option<f64>,
}

impl Limits {
    /// Returns the cap on attempts per second; none by default on clusters that meshy created.
    pub(super) fn cap(&self, run_cluster: &RunCluster) -> Option<f64> {
        self.max_attempts.or(run_cluster.foreign.as_ref().map(|_| MOST_ATTEMPTS))
    }
}

/// Checks a scenario before anything is changed; `steps` are the policies of each step and variant.
///
/// # Errors
/// The user does not consent, did not allow a storm, or a load is above the cap.
pub(super) fn check<'a>(
    env: &Env,
    run_cluster: &RunCluster,
    scenario: &Scenario,
    steps: impl Iterator<Item = Vec<&'a Object>>,
    limits: &Limits,
) -> anyhow::Result<()> {
    if let Some(cap) = limits.cap(run_cluster) {
        let loads = scenario.steps.iter().filter_map(|step| Some((step, step.load.as_ref()?.rate.value.0)));
        if let Some((step, rate)) = loads.into_iter().find(|(_, rate)| *rate > cap) {
            let name = &step.name.value;
            return Err(anyhow!("step `{name}` sends {rate} requests/s, and {cap} attempts/s are allowed"))
                .hint("`--max-attempts` allows more")
                .exit(Exit::Usage);
        }
    }
    let Some(context) = &run_cluster.foreign else { return Ok(()) };
    let faults = scenario.steps.iter().any(|step| !step.faults.is_empty() || step.trigger.is_some());
    let amplification = steps.map(|objects| worst_amplification(&objects)).fold(1.0, f64::max);
    if (faults || amplification > MOST_AMPLIFICATION) && !limits.allow_storm {
        let what = match faults {
            true => "has faults".to_owned(),
            false => format!("may cause {amplification:.0} attempts per request"),
        };
        return Err(anyhow!(
            "the scenario {what}, and meshy did not create the cluster of context `{context}`"
        ))
        .hint("`--allow-storm` allows it, for a cluster on which no other users depend")
        .id("consent")
        .exit(Exit::Usage);
    }
    cluster::consent(env, "run an experiment on", context)
}

/// Returns the most attempts that one request can cause at the last service: the product over all services with retries.
/// A budget allows its share of the requests; its minimum per second is little at a load that can be a storm.
fn worst_amplification(objects: &[&Object]) -> f64 {
    objects.iter().map(|object| attempts(object)).product()
}

fn attempts(object: &Object) -> f64 {
    let annotations = object.metadata.annotations.as_ref();
    let annotation = |key: &str| annotations.and_then(|all| all.get(key));
    match manifest::kind(object) {
        names::PROFILE_KIND => {
            let routes = object.data["spec"]["routes"].as_array();
            let retries = routes.into_iter().flatten().any(|route| route["isRetryable"] == true);
            let ratio = object.data["spec"]["retryBudget"]["retryRatio"].as_f64().unwrap_or(0.2);
            if retries { 1.0 + ratio } else { 1.0 }
        }
        _ if annotation(names::RETRY_HTTP).or(annotation(names::RETRY_GRPC)).is_some() => {
            1.0 + annotation(names::RETRY_LIMIT).and_then(|limit| limit.parse().ok()).unwrap_or(1.0)
        }
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn retries_on_consecutive_edges_multiply() {
        let object = |value| manifest::from_value(value).unwrap().remove(0);
        let annotated = |name: &str| {
            object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations":
                {"retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "2"}}}))
        };
        let profile = object(json!({"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
            "metadata": {"name": "c"}, "spec": {"routes": [{"isRetryable": true}],
            "retryBudget": {"retryRatio": 0.5}}}));
        let (a, b) = (annotated("a"), annotated("b"));
        assert_eq!(worst_amplification(&[&a, &b, &profile]), 13.5);
        let grpc =
            object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "d", "annotations":
            {"retry.linkerd.io/grpc": "unavailable", "retry.linkerd.io/limit": "3"}}}));
        assert_eq!(worst_amplification(&[&grpc]), 4.0);
        assert_eq!(worst_amplification(&[]), 1.0);
    }
}
