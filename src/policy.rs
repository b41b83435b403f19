//! The retry policy that a cluster holds for a service, and switching the lesson's profile on and off.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service as Object;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use meshy_mesh::names;
use serde_json::{Value, json};

use crate::cli::duration;
use crate::metrics::routes::Service;
use crate::predict::Policy;

/// The seed's profile, as `meshy sp apply` applies it without arguments.
const PROFILE: &str = include_str!("../linkerd/service-profiles/bounced-service-sp.yaml");

/// The name of a service's profile.
pub fn profile_name(service: &Service) -> String {
    names::service_fqdn(&service.name, &service.namespace)
}

fn profiles(client: &kube::Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("linkerd.io", "v1alpha2", "ServiceProfile");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

async fn profile(client: &kube::Client, service: &Service) -> anyhow::Result<Option<DynamicObject>> {
    let there = profiles(client, &service.namespace).get_opt(&profile_name(service)).await;
    there.context("cannot read service profiles")
}

async fn annotations(client: &kube::Client, service: &Service) -> anyhow::Result<BTreeMap<String, String>> {
    let services: Api<Object> = Api::namespaced(client.clone(), &service.namespace);
    let object = services.get_opt(&service.name).await.context("cannot read services")?;
    Ok(object.and_then(|object| object.metadata.annotations).unwrap_or_default())
}

/// The policy that proxies follow for a service; a profile with routes goes before annotations.
///
/// # Errors
/// The API's; a cluster without ServiceProfiles has none.
pub async fn of(client: &kube::Client, service: &Service) -> anyhow::Result<Policy> {
    if let Some(policy) =
        profile(client, service).await?.as_ref().and_then(|profile| of_profile(&profile.data))
    {
        return Ok(policy);
    }
    let annotations = annotations(client, service).await?;
    if !annotations.contains_key(names::RETRY_HTTP) {
        return Ok(Policy::None);
    }
    // A limit of 0 counts as unset, and unset is 1.
    let limit = annotations.get(names::RETRY_LIMIT).and_then(|limit| limit.parse().ok());
    Ok(Policy::Limit { limit: limit.filter(|limit| *limit > 0).unwrap_or(1) })
}

/// The policy that a profile asks for; none where it has no route, so that the annotations decide.
pub fn of_profile(profile: &Value) -> Option<Policy> {
    let spec = &profile["spec"];
    let routes = spec["routes"].as_array().filter(|routes| !routes.is_empty())?;
    if !routes.iter().any(|route| route["isRetryable"] == true) {
        return Some(Policy::None);
    }
    let Policy::Budget { retry_ratio, min_retries_per_second, ttl_seconds } = Policy::SEED else {
        return None;
    };
    let budget = &spec["retryBudget"];
    let ttl = budget["ttl"].as_str().and_then(|ttl| duration(ttl).ok());
    Some(Policy::Budget {
        retry_ratio: budget["retryRatio"].as_f64().unwrap_or(retry_ratio),
        min_retries_per_second: budget["minRetriesPerSecond"]
            .as_u64()
            .map_or(min_retries_per_second, |min| u32::try_from(min).unwrap_or(u32::MAX)),
        ttl_seconds: ttl.map_or(ttl_seconds, |ttl| ttl.as_secs_f64()),
    })
}

/// Applies the seed's profile.
///
/// # Errors
/// The API's.
pub async fn apply_profile(client: &kube::Client, service: &Service) -> anyhow::Result<()> {
    apply(client, service, shipped()?).await
}

/// Applies the seed's profile with another budget. A budget that is made anew is a full one.
///
/// # Errors
/// The API's.
pub async fn apply_budget(
    client: &kube::Client,
    service: &Service,
    (retry_ratio, min_retries_per_second, ttl_seconds): (f64, u32, f64),
) -> anyhow::Result<()> {
    let mut profile = shipped()?;
    profile["spec"]["retryBudget"] = json!({
        "retryRatio": retry_ratio, "minRetriesPerSecond": min_retries_per_second,
        "ttl": format!("{}ms", (ttl_seconds * 1000.0).round()),
    });
    apply(client, service, profile).await
}

/// Sets the annotations for at most so many retries of a request, or takes them off.
///
/// # Errors
/// The API's.
pub async fn annotate_limit(
    client: &kube::Client,
    service: &Service,
    limit: Option<u32>,
) -> anyhow::Result<()> {
    let http = limit.map(|_| "5xx");
    let limit = limit.map(|limit| limit.to_string());
    annotate(client, service, &json!({names::RETRY_HTTP: http, names::RETRY_LIMIT: limit})).await
}

/// What a policy is made of, so that an experiment can put it back.
#[derive(Debug)]
pub struct Was {
    profile: Option<Value>,
    annotations: Value,
}

/// The profile and the retry annotations as they are now.
///
/// # Errors
/// The API's.
pub async fn remember(client: &kube::Client, service: &Service) -> anyhow::Result<Was> {
    let profile = profile(client, service).await?.map(|mut profile| {
        // What the API server adds cannot be applied again.
        profile.metadata.managed_fields = None;
        profile.metadata.resource_version = None;
        profile.metadata.uid = None;
        json!(profile)
    });
    let own = annotations(client, service).await?;
    let annotations = json!({names::RETRY_HTTP: own.get(names::RETRY_HTTP), names::RETRY_LIMIT: own.get(names::RETRY_LIMIT)});
    Ok(Was { profile, annotations })
}

/// Puts back what was remembered.
///
/// # Errors
/// The API's.
pub async fn restore(client: &kube::Client, service: &Service, was: Was) -> anyhow::Result<()> {
    annotate(client, service, &was.annotations).await?;
    match was.profile {
        Some(profile) => apply(client, service, profile).await,
        None => delete_profile(client, service).await,
    }
}

fn shipped() -> anyhow::Result<Value> {
    serde_yaml::from_str(PROFILE).context("cannot read the shipped profile")
}

async fn annotate(client: &kube::Client, service: &Service, annotations: &Value) -> anyhow::Result<()> {
    let services: Api<Object> = Api::namespaced(client.clone(), &service.namespace);
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    services
        .patch(&service.name, &PatchParams::default(), &patch)
        .await
        .with_context(|| format!("cannot annotate service `{}`", service.name))?;
    Ok(())
}

async fn apply(client: &kube::Client, service: &Service, profile: Value) -> anyhow::Result<()> {
    let params = PatchParams::apply("meshy").force();
    profiles(client, &service.namespace)
        .patch(&profile_name(service), &params, &Patch::Apply(profile))
        .await
        .context("cannot apply the service profile")?;
    Ok(())
}

/// Deletes the service's profile; an absent one is deleted already.
///
/// # Errors
/// The API's.
pub async fn delete_profile(client: &kube::Client, service: &Service) -> anyhow::Result<()> {
    match profiles(client, &service.namespace).delete(&profile_name(service), &DeleteParams::default()).await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error).context("cannot delete the service profile"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_profile_is_the_policy_that_predict_takes_by_default() {
        let profile: Value = serde_yaml::from_str(PROFILE).unwrap();
        assert_eq!(of_profile(&profile), Some(Policy::SEED));
    }

    #[test]
    fn a_profile_without_a_retryable_route_retries_nothing() {
        assert_eq!(of_profile(&json!({"spec": {"routes": [{"name": "a"}]}})), Some(Policy::None));
        assert_eq!(of_profile(&json!({"spec": {}})), None);
    }
}
