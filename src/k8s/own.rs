//! What meshy applied to a cluster, told by its label; for `down` on a cluster that others made.

use futures::{StreamExt as _, stream};
use kube::api::{Api, ListParams};
use kube::core::TypeMeta;
use kube::discovery::{Discovery, verbs};
use kube::{Client, ResourceExt as _};
use tokio::time::Instant;

use super::{Kinds, MANAGED_BY, MESHY, Object, delete, manifest};

/// How many kinds are asked for at once.
const AT_ONCE: usize = 8;

/// Kinds that a controller makes with the labels of a Service and without naming it as their owner. They go with the
/// Service; deleted before it they come back at once, so that nobody would ever see them gone.
const COPIES: &[&str] = &["Endpoints", "EndpointSlice"];

/// What carries the label, and which labelled definitions and namespaces stay because others use them (with the reason).
///
/// # Errors
/// The cluster does not say which kinds it serves.
pub async fn list(kinds: &Kinds) -> anyhow::Result<(Vec<Object>, Vec<String>)> {
    let client = kinds.client();
    let discovery = Discovery::new(client.clone()).run().await?;
    let all = discovery.groups().flat_map(|g| g.recommended_resources());
    let listable = all.filter(|(resource, can)| {
        !COPIES.contains(&resource.kind.as_str())
            && can.supports_operation(verbs::LIST)
            && can.supports_operation(verbs::DELETE)
    });
    let marked = ListParams::default().labels(&format!("{MANAGED_BY}={MESHY}"));
    let found: Vec<Vec<Object>> = stream::iter(listable.collect::<Vec<_>>())
        .map(|(resource, _)| {
            let marked = &marked;
            async move {
                let api: Api<Object> = Api::all_with(client.clone(), &resource);
                // A kind that cannot be listed (an aggregated API that is down) must not keep the rest.
                let list = api.list(marked).await.map(|l| l.items).unwrap_or_default();
                let types =
                    TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() };
                list.into_iter().map(|o| Object { types: Some(types.clone()), ..o }).collect()
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    // What an object of ours owns (a Deployment's ReplicaSets carry its labels) goes with it.
    let own = found.into_iter().flatten().filter(|o| o.owner_references().is_empty());
    let (mut ours, mut kept) = (Vec::new(), Vec::new());
    for object in own {
        match used_by_others(kinds, &object).await {
            None => ours.push(object),
            Some(why) => kept.push(format!("{}: {why}", manifest::describe(&object))),
        }
    }
    Ok((ours, kept))
}

/// Removes what carries the label; gives what was removed, and what was kept and why.
///
/// # Errors
/// As [`list`]; something cannot be deleted.
pub async fn remove(client: &Client, deadline: Instant) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let kinds = Kinds::new(client.clone());
    let (ours, kept) = list(&kinds).await?;
    Ok((delete::delete(&kinds, ours, deadline).await?, kept))
}

/// A definition goes only when no object of its kind is somebody else's, a namespace only when nobody else has pods in it.
async fn used_by_others(kinds: &Kinds, object: &Object) -> Option<String> {
    let (api_version, kind, namespace) = match manifest::kind(object) {
        "CustomResourceDefinition" => {
            let spec = &object.data["spec"];
            let version =
                spec["versions"].as_array()?.iter().find(|v| v["storage"] == true)?["name"].as_str()?;
            let group = spec["group"].as_str()?;
            (format!("{group}/{version}"), spec["names"]["kind"].as_str()?.to_owned(), None)
        }
        "Namespace" => ("v1".to_owned(), "Pod".to_owned(), Some(object.name_any())),
        _ => return None,
    };
    let (resource, _) = kinds.resource(&api_version, &kind).await.ok()?;
    let client = kinds.client().clone();
    let api: Api<Object> = match &namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let others = api.list(&ListParams::default().labels(&format!("{MANAGED_BY}!={MESHY}"))).await.ok()?;
    // Pods get their labels from a template, which manifests leave unlabelled; those are ours by their owner's label.
    let foreign =
        others.items.iter().filter(|o| namespace.is_none() || o.owner_references().is_empty()).count();
    (foreign > 0).then(|| format!("{foreign} objects of others use it"))
}
