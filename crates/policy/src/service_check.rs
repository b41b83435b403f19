//! Whether a Service that the user names is there: checked before anything is made or sent for it.

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service, ServiceSpec};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use meshy_base::error::{Advise as _, AdviseError as _, Exit};
use meshy_kube::failure;

use crate::service_names;

/// The most names in a hint.
const MOST_NAMES: usize = 12;

/// Checks that a Service is there, and its port if one is given. Returns what may be unexpected: it has no ready endpoint. A user
/// without the right to read Services cannot know.
///
/// # Errors
/// There is no such Service or port, with the names that there are; the API fails.
pub async fn check_service(
    client: &kube::Client,
    (namespace, name): (&str, &str),
    port: Option<u16>,
) -> anyhow::Result<Option<String>> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let spec = match services.get_opt(name).await {
        Ok(Some(service)) => service.spec.unwrap_or_default(),
        Ok(None) => return Err(absent(client, namespace, name).await),
        Err(error) if failure::is_forbidden(&error) => return Ok(None),
        Err(error) => return Err(error).context("cannot read the service"),
    };
    if spec.type_.as_deref() == Some("ExternalName") {
        return Ok(None);
    }
    if let Some(port) = port {
        has_port((namespace, name), &spec, port)?;
    }
    // One without a selector has endpoints that something else writes.
    let Some(labels) = selector(&spec) else { return Ok(None) };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    // Only a note depends on them.
    let Ok(pods) = pods.list(&ListParams::default().labels(&labels)).await else { return Ok(None) };
    let is_ready = |pod: &Pod| pod.metadata.deletion_timestamp.is_none() && meshy_kube::is_pod_ready(pod);
    let note = || format!("service `{name}` in namespace `{namespace}` has no ready endpoint");
    Ok((!pods.items.iter().any(is_ready)).then(note))
}

/// The labels by which a service selects pods; none where it selects none.
pub(crate) fn selector(spec: &ServiceSpec) -> Option<String> {
    let labels = spec.selector.as_ref().filter(|labels| !labels.is_empty())?;
    let each: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Some(each.join(","))
}

/// Checks that a Service serves a port. Those of pods behind a headless Service are reached without it.
fn has_port((namespace, name): (&str, &str), spec: &ServiceSpec, port: u16) -> anyhow::Result<()> {
    let ports: Vec<i32> = spec.ports.iter().flatten().map(|port| port.port).collect();
    if spec.cluster_ip.as_deref() == Some("None") || ports.contains(&i32::from(port)) {
        return Ok(());
    }
    let ports: Vec<String> = ports.iter().map(i32::to_string).collect();
    Err(anyhow!("service `{name}` in namespace `{namespace}` has no port {port}"))
        .hint(format!("it has: {}", ports.join(", ")))
        .exit(Exit::Usage)
}

/// Returns the error for a Service that is not there, with the names that may have been meant.
pub(crate) async fn absent(client: &kube::Client, namespace: &str, name: &str) -> anyhow::Error {
    let error = anyhow!("there is no service `{name}` in namespace `{namespace}`");
    // The names are for the hint; without them the error is as true.
    let names = match service_names(client, None).await {
        Ok(all) => Ok(all),
        Err(_) => service_names(client, Some(namespace)).await,
    };
    let hint = match names {
        Err(_) => "`-n NAMESPACE` selects another namespace".to_owned(),
        Ok(all) => {
            let here = all.iter().filter(|(of, _)| of == namespace).map(|(_, name)| name.as_str());
            let there = all.iter().find(|(_, other)| other == name).map(|(namespace, _)| namespace.as_str());
            match hint(name, &here.collect::<Vec<_>>(), there) {
                Some(hint) => hint,
                None => without_services(client, namespace).await,
            }
        }
    };
    error.hint(hint).exit(Exit::Usage)
}

/// What may have been meant: a similar name, the same one in another namespace, else one of these.
fn hint(name: &str, here: &[&str], there: Option<&str>) -> Option<String> {
    if let Some(near) = nearest(name, here) {
        return Some(format!("did you mean `{near}`?"));
    }
    if let Some(namespace) = there {
        return Some(format!("there is a service `{name}` in namespace `{namespace}`"));
    }
    let more = if here.len() > MOST_NAMES { ", …" } else { "" };
    let names = here[..here.len().min(MOST_NAMES)].join(", ");
    (!here.is_empty()).then(|| format!("there are: {names}{more}"))
}

async fn without_services(client: &kube::Client, namespace: &str) -> String {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let Ok(all) = namespaces.list_metadata(&ListParams::default()).await else {
        return format!("namespace `{namespace}` has no services; `-n NAMESPACE` selects another namespace");
    };
    let all: Vec<String> = all.iter().map(|one| one.name_any()).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    if all.contains(&namespace) {
        return format!("namespace `{namespace}` has no services; `-n NAMESPACE` selects another namespace");
    }
    let near = nearest(namespace, &all).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("there is no namespace `{namespace}`{near}")
}

/// Returns the name that a typing error can have changed into this one.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let distance = |other: &&str| strsim::damerau_levenshtein(name, other);
    let near = names.iter().copied().min_by_key(distance)?;
    (distance(&near) <= name.chars().count() / 3).then_some(near)
}

#[cfg(test)]
mod tests {
    use kube::api::{Patch, PatchParams, PostParams};
    use meshy_base::error::{exit_of, hints};
    use serde_json::json;

    use super::*;

    /// A cluster with these Services, by name and namespace; each has port 8080.
    async fn cluster(services: &[(&str, &str)]) -> kube::Client {
        let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
        let client = kube::Client::new(server.service(), "default");
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for (name, namespace) in services {
            let object = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
            // The second Service of a namespace finds it.
            let _ = namespaces.create(&PostParams::default(), &object).await;
            let object = json!({"metadata": {"name": name},
                "spec": {"selector": {"app": name}, "ports": [{"port": 8080}]}});
            let api: Api<Service> = Api::namespaced(client.clone(), namespace);
            api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        }
        client
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_is_bad_input_with_the_names_that_may_be_meant() {
        let client = cluster(&[("web", "shop"), ("cart", "shop"), ("price", "store")]).await;
        for (namespace, name, expected) in [
            ("shop", "wbe", "did you mean `web`?"),
            ("shop", "price", "there is a service `price` in namespace `store`"),
            ("shop", "tax", "there are: cart, web"),
            ("stores", "tax", "there is no namespace `stores`; did you mean `store`?"),
            ("warehouse", "tax", "there is no namespace `warehouse`"),
            (
                "kube-public",
                "tax",
                "namespace `kube-public` has no services; `-n NAMESPACE` selects another namespace",
            ),
        ] {
            let error = check_service(&client, (namespace, name), None).await.unwrap_err();
            assert_eq!(error.to_string(), format!("there is no service `{name}` in namespace `{namespace}`"));
            assert_eq!((hints(&error), exit_of(&error)), (vec![expected], Exit::Usage));
        }
    }

    #[tokio::test]
    async fn a_port_that_a_service_does_not_have_is_bad_input_and_no_ready_endpoint_is_a_note() {
        let client = cluster(&[("web", "shop")]).await;
        let note = check_service(&client, ("shop", "web"), Some(8080)).await.unwrap();
        assert_eq!(note.as_deref(), Some("service `web` in namespace `shop` has no ready endpoint"));
        let error = check_service(&client, ("shop", "web"), Some(80)).await.unwrap_err();
        assert_eq!(error.to_string(), "service `web` in namespace `shop` has no port 80");
        assert_eq!((hints(&error), exit_of(&error)), (vec!["it has: 8080"], Exit::Usage));
        let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
        let pod = json!({"metadata": {"name": "web-1", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        for (ready, is_noted) in [("False", true), ("True", false)] {
            let status = json!({"status": {"conditions": [{"type": "Ready", "status": ready}]}});
            pods.patch_status("web-1", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
            let note = check_service(&client, ("shop", "web"), None).await.unwrap();
            assert_eq!(note.is_some(), is_noted, "{note:?}");
        }
    }
}
