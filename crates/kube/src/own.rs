//! What meshy applied to a cluster, found by its label; for `down` on a cluster that meshy did not create.

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Api, ApiResource, ListParams};
use kube::core::TypeMeta;
use kube::discovery::{Discovery, verbs};
use kube::{Client, ResourceExt as _};
use tokio::time::Instant;

use super::{Kinds, MANAGED_BY, MESHY, Object, delete, manifest};
use crate::failure;

/// How many kinds are listed at once.
const AT_ONCE: usize = 8;

const METHOD_NOT_ALLOWED: u16 = 405;

/// What runs in a namespace.
const WORKLOADS: [(&str, &str); 7] = [
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
];

/// Kinds that a controller makes with the labels of a Service and without naming it as their owner. They go with the
/// Service; deleted before it they come back at once, so that no process would ever see them gone.
const COPIES: &[&str] = &["Endpoints", "EndpointSlice"];

/// What carries the label, and which labelled definitions and namespaces stay because others use them (with the reason).
///
/// # Errors
/// The API server does not respond as it should; what it forbids to list is among what stays.
pub async fn list(kinds: &Kinds) -> anyhow::Result<(Vec<Object>, Vec<String>)> {
    let client = kinds.client();
    let discovery =
        Discovery::new(client.clone()).run().await.context("cannot read which kinds are served")?;
    let all = discovery.groups().flat_map(|g| g.recommended_resources());
    let listable = all.filter(|(resource, can)| {
        !COPIES.contains(&resource.kind.as_str())
            && can.supports_operation(verbs::LIST)
            && can.supports_operation(verbs::DELETE)
    });
    let marked = ListParams::default().labels(&format!("{MANAGED_BY}={MESHY}"));
    let found: Vec<Marked> = stream::iter(listable.collect::<Vec<_>>())
        .map(|(resource, _)| of_kind(client, resource, &marked))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let (mut ours, mut kept, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for of_kind in found {
        match of_kind {
            // What an object of ours owns (a Deployment's ReplicaSets carry its labels) goes with it.
            Marked::Objects(objects) => {
                own.extend(objects.into_iter().filter(|o| o.owner_references().is_empty()));
            }
            Marked::NotListed(why) => kept.push(why),
        }
    }
    for object in own {
        match used_by_others(kinds, &object).await? {
            None => ours.push(object),
            Some(why) => kept.push(format!("{}: {why}", manifest::describe(&object))),
        }
    }
    Ok((ours, kept))
}

/// The labelled objects of one kind.
enum Marked {
    Objects(Vec<Object>),
    /// The user may not list the kind, so has applied none of it; a text for what stays.
    NotListed(String),
}

/// Lists the labelled objects of a kind.
async fn of_kind(client: &Client, resource: ApiResource, marked: &ListParams) -> anyhow::Result<Marked> {
    let api: Api<Object> = Api::all_with(client.clone(), &resource);
    let (kind, api_version) = (&resource.kind, &resource.api_version);
    let list = match api.list(marked).await {
        Ok(list) => list.items,
        Err(kube::Error::Api(status)) if status.is_forbidden() || status.code == METHOD_NOT_ALLOWED => {
            let why = failure::words_of(&status);
            return Ok(Marked::NotListed(format!("all `{kind}` of `{api_version}`: {why}")));
        }
        // A definition that was deleted since discovery.
        Err(kube::Error::Api(status)) if status.is_not_found() => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot list `{kind}` of `{api_version}`")),
    };
    let types = TypeMeta { api_version: api_version.clone(), kind: kind.clone() };
    Ok(Marked::Objects(list.into_iter().map(|o| Object { types: Some(types.clone()), ..o }).collect()))
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

/// A definition goes only when no object of its kind is another tool's, a namespace only when no other process runs something
/// in it. What cannot be seen counts as used.
async fn used_by_others(kinds: &Kinds, object: &Object) -> anyhow::Result<Option<String>> {
    let mut foreign = 0;
    for (api_version, kind, namespace) in users(object) {
        let Some((resource, _)) = kinds.served(&api_version, &kind).await? else { continue };
        let client = kinds.client().clone();
        let api: Api<Object> = match &namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let others = match api.list(&ListParams::default().labels(&format!("{MANAGED_BY}!={MESHY}"))).await {
            Ok(others) => others.items,
            Err(error) if failure::is_forbidden(&error) => {
                return Ok(Some(format!("cannot see who uses it: {}", failure::words(&error))));
            }
            Err(error) => {
                let what = manifest::describe(object);
                return Err(error).with_context(|| format!("cannot see who uses {what}"));
            }
        };
        // In a namespace, what a workload owns gets its labels from a template, which manifests leave unlabelled: the
        // workload itself counts.
        foreign += others.iter().filter(|o| namespace.is_none() || o.owner_references().is_empty()).count();
    }
    Ok((foreign > 0).then(|| format!("{foreign} objects of other owners use it")))
}

/// Version, kind and namespace of the objects that use a definition or a namespace.
fn users(object: &Object) -> Vec<(String, String, Option<String>)> {
    match manifest::kind(object) {
        "CustomResourceDefinition" => {
            let spec = &object.data["spec"];
            let versions = spec["versions"].as_array().into_iter().flatten();
            let stored = versions.filter(|v| v["storage"] == true).find_map(|v| v["name"].as_str());
            let (group, kind) = (spec["group"].as_str(), spec["names"]["kind"].as_str());
            let (Some(stored), Some(group), Some(kind)) = (stored, group, kind) else { return Vec::new() };
            vec![(format!("{group}/{stored}"), kind.to_owned(), None)]
        }
        "Namespace" => {
            let each = WORKLOADS
                .iter()
                .map(|(version, kind)| ((*version).to_owned(), (*kind).to_owned(), Some(object.name_any())));
            each.collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn kinds() -> Kinds {
        // No controllers: what is written is all there is.
        let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
        Kinds::new(Client::new(server.service(), "default"))
    }

    async fn create(kinds: &Kinds, object: Value) {
        let object = manifest::from_value(object).unwrap().remove(0);
        let api = kinds.api(&object, "default").await.unwrap();
        api.create(&kube::api::PostParams::default(), &object).await.unwrap();
    }

    fn deployment(name: &str, labels: Value) -> Value {
        let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": "shop", "labels": labels},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": template}})
    }

    #[tokio::test]
    async fn a_namespace_with_a_workload_of_others_stays() {
        let kinds = kinds();
        let ours = json!({MANAGED_BY: MESHY});
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": ours}});
        create(&kinds, namespace).await;
        create(&kinds, deployment("ours", ours)).await;
        let (found, kept) = list(&kinds).await.unwrap();
        let found: Vec<String> = found.iter().map(manifest::describe).collect();
        assert_eq!((found.len(), kept), (2, Vec::new()), "{found:?}");

        create(&kinds, deployment("theirs", json!({}))).await;
        let (found, kept) = list(&kinds).await.unwrap();
        let found: Vec<String> = found.iter().map(manifest::describe).collect();
        assert_eq!(found, ["deployment `ours` in `shop`"]);
        assert_eq!(kept, ["namespace `shop`: 1 objects of other owners use it"]);
    }
}
