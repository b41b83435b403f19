//! `meshy deploy --delete`: removes what was deployed from the cluster.

use crate::context::Context;
use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use meshy_base::error::Exit;
use meshy_kube::{Kinds, Object, delete, is_from_meshy, manifest};
use meshy_lab::deploy::Bundle;
use meshy_lab::lab;

/// Deletes the objects of bundles and waits until they are gone. A namespace is only deleted if meshy created it and nothing runs
/// in it anymore.
///
/// # Errors
/// The API fails; an object does not go.
pub(super) async fn run(context: &Context, bundles: Vec<Bundle>) -> anyhow::Result<Exit> {
    let names: Vec<String> = bundles.iter().map(|bundle| bundle.name.clone()).collect();
    let objects: Vec<Object> = bundles.into_iter().flat_map(|bundle| bundle.objects).collect();
    if context.dry_run {
        for object in &objects {
            context.report.say(format!("would delete {}", manifest::describe(object)));
        }
        return Ok(Exit::Done);
    }
    let client = context.client_for_change("delete from").await?;
    let kinds = Kinds::new(client.clone());
    let _lock = if context.context.is_none() { Some(lab::lock(context).await?) } else { None };
    let step = context.report.step("Deleting", names.join(", "));
    let deleted = async {
        let (namespaces, others): (Vec<Object>, Vec<Object>) =
            objects.into_iter().partition(|object| manifest::kind(object) == "Namespace");
        let mut deleted = delete::delete(&kinds, others, context.deadline).await?;
        let mut free = Vec::new();
        for namespace in namespaces {
            match kept(&client, &namespace.name_any()).await? {
                None => free.push(namespace),
                Some(reason) => {
                    context.report.say(format!("kept {}: {reason}", manifest::describe(&namespace)));
                }
            }
        }
        deleted.extend(delete::delete(&kinds, free, context.deadline).await?);
        anyhow::Ok(deleted)
    };
    let deleted = step.ended(deleted.await, |all| format!("{} objects", all.len()))?;
    context.data(&deleted, |all| all.join("\n"))?;
    Ok(Exit::Done)
}

/// Returns why a namespace is not deleted.
async fn kept(client: &kube::Client, name: &str) -> anyhow::Result<Option<&'static str>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let Some(namespace) = namespaces.get_opt(name).await.context("cannot read namespaces")? else {
        return Ok(None);
    };
    if !is_from_meshy(&namespace) {
        return Ok(Some("meshy did not create it"));
    }
    let any = ListParams::default().limit(1);
    let pods = Api::<Pod>::namespaced(client.clone(), name).list(&any).await.context("cannot list pods")?;
    let services = Api::<Service>::namespaced(client.clone(), name).list(&any).await;
    let services = services.context("cannot list services")?;
    Ok((!pods.items.is_empty() || !services.items.is_empty()).then_some("it contains other objects"))
}
