//! The retry policy of a service as the cluster has it, and the profile that meshy ships.

use anyhow::Context as _;
use meshy_linkerd::profile::{Budget, Spec};
use meshy_linkerd::{effective, names};
use serde_json::json;

use super::about::About;
use meshy_kube::{Kinds, Object, manifest};
use meshy_lab::files;
use meshy_metrics::routes::Service;
use meshy_predict::edge::Policy;

/// The file of the profile that `meshy sp apply` applies without arguments.
pub const SHIPPED: &str = "bounced-service-sp.yaml";

/// The name of a service's profile.
pub fn profile_name(service: &Service) -> String {
    names::service_fqdn(&service.name, &service.namespace)
}

/// The policy that proxies follow for a `GET /` to a service: a profile with routes goes before all others, the annotations of
/// a route before those of the Service.
///
/// # Errors
/// The API's; a kind that the cluster does not serve has no objects.
pub async fn of(client: &kube::Client, service: &Service) -> anyhow::Result<Policy> {
    let about = About::read(&Kinds::new(client.clone()), service, None).await?;
    if let Some(policy) = about.profile.as_ref().and_then(|profile| of_spec(&profile.spec)) {
        return Ok(policy);
    }
    // Annotations that cannot be read are dropped as a whole by the policy controller.
    let retry = effective::retry_of(&about.annotations, &about.routes, "/");
    Ok(retry.map_or(Policy::None, |retry| Policy::Limit { limit: retry.limit.into() }))
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
    use meshy_linkerd::profile::ServiceProfile;

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
