//! The retry policy of a service as the cluster has it, and the profile that meshy ships.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service as CoreService;
use kube::ResourceExt as _;
use kube::api::Api;
use meshy_linkerd::names;
use meshy_linkerd::policy::Retry;
use meshy_linkerd::profile::{Budget, ServiceProfile, Spec};
use serde_json::json;

use super::change::profile_place;
use meshy_kube::{Object, manifest};
use meshy_lab::files;
use meshy_metrics::routes::Service;
use meshy_predict::edge::Policy;

/// The file of the profile that `meshy sp apply` applies without arguments.
pub const SHIPPED: &str = "bounced-service-sp.yaml";

/// The name of a service's profile.
pub fn profile_name(service: &Service) -> String {
    names::service_fqdn(&service.name, &service.namespace)
}

/// The policy that proxies follow for a service; a profile with routes goes before annotations.
///
/// # Errors
/// The API's; a cluster without ServiceProfiles has none.
pub async fn of(client: &kube::Client, service: &Service) -> anyhow::Result<Policy> {
    let place = profile_place(&profile_name(service), &service.namespace);
    if let Some(profile) = place.read(client).await? {
        let profile = ServiceProfile::read_leniently(&json!(profile));
        let profile = profile.with_context(|| format!("cannot understand the {}", place.describe()))?;
        if let Some(policy) = of_spec(&profile.spec) {
            return Ok(policy);
        }
    }
    let services: Api<CoreService> = Api::namespaced(client.clone(), &service.namespace);
    let object = services.get_opt(&service.name).await.context("cannot read services")?;
    let annotations = object.map(|object| object.annotations().clone()).unwrap_or_default();
    // Annotations that cannot be read are dropped as a whole by the policy controller.
    let retry = Retry::from_annotations(&annotations).ok().flatten();
    Ok(match retry.filter(|retry| !retry.statuses.is_empty()) {
        Some(retry) => Policy::Limit { limit: retry.limit.into() },
        None => Policy::None,
    })
}

/// The policy of a profile; none where it has no route, so that the annotations decide.
pub fn of_spec(spec: &Spec) -> Option<Policy> {
    if spec.routes.is_empty() {
        return None;
    }
    if !spec.routes.iter().any(|route| route.is_retryable) {
        return Some(Policy::None);
    }
    let budget = spec.retry_budget.clone().unwrap_or_default();
    // A ttl that cannot be read counts as none: the proxy drops the budget.
    let ttl = budget.ttl().unwrap_or_default();
    Some(Policy::Budget {
        retry_ratio: budget.retry_ratio,
        min_retries_per_second: budget.min_retries_per_second,
        ttl_seconds: ttl.as_secs_f64(),
    })
}

/// The profile that meshy ships.
///
/// # Errors
/// None for the file that is shipped.
pub fn shipped() -> anyhow::Result<Object> {
    let text = files::profile(SHIPPED).context("the shipped profile is absent")?;
    manifest::parse(text)?.pop().context("the shipped profile is empty")
}

/// The profile that meshy ships, with another retry budget.
///
/// # Errors
/// As [`shipped`].
pub fn shipped_with_budget(
    retry_ratio: f64,
    min_retries_per_second: u32,
    ttl_seconds: f64,
) -> anyhow::Result<Object> {
    let mut profile = shipped()?;
    let ttl = format!("{}ms", (ttl_seconds * 1000.0).round());
    profile.data["spec"]["retryBudget"] = json!(Budget { retry_ratio, min_retries_per_second, ttl });
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(value: serde_json::Value) -> Spec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_shipped_profile_is_the_policy_that_predict_takes_by_default() {
        let profile = ServiceProfile::from_value(&json!(shipped().unwrap())).unwrap();
        assert_eq!(of_spec(&profile.spec), Some(Policy::DEFAULT_BUDGET));
        let changed = ServiceProfile::from_value(&json!(shipped_with_budget(0.5, 3, 2.5).unwrap())).unwrap();
        let budget = Policy::Budget { retry_ratio: 0.5, min_retries_per_second: 3, ttl_seconds: 2.5 };
        assert_eq!(of_spec(&changed.spec), Some(budget));
    }

    #[test]
    fn a_profile_without_a_retryable_route_retries_nothing() {
        let route = json!({"routes": [{"name": "a", "condition": {}}]});
        assert_eq!(of_spec(&spec(route)), Some(Policy::None));
        assert_eq!(of_spec(&spec(json!({}))), None);
    }
}
