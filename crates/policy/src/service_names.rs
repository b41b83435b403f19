//! The names of the Services of a cluster.

use std::collections::BTreeSet;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams};

/// Returns namespace and name of the services of a namespace, or of all.
///
/// # Errors
/// The API fails.
pub async fn service_names(
    client: &kube::Client,
    namespace: Option<&str>,
) -> anyhow::Result<BTreeSet<(String, String)>> {
    let services: Api<Service> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let list = services.list_metadata(&ListParams::default()).await.context("cannot list services")?;
    let name = |metadata: kube::api::ObjectMeta| {
        (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default())
    };
    Ok(list.items.into_iter().map(|service| name(service.metadata)).collect())
}
