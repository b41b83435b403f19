//! Which workloads a user means.

use anyhow::{Context as _, anyhow};
use futures::TryStreamExt as _;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use meshy_base::error::{Advise, AdviseError, Exit};
use meshy_kube::{Kinds, Object};

/// Kinds that restart their pods when their template changes, with the short names that kubectl taught everybody.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("apps/v1", "Deployment", &["deploy", "deployment", "deployments"]),
    ("apps/v1", "StatefulSet", &["sts", "statefulset", "statefulsets"]),
    ("apps/v1", "DaemonSet", &["ds", "daemonset", "daemonsets"]),
];

/// There is no such workload.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoWorkload(String);

/// Which workloads are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// `KIND/NAME`, or a bare name of a Deployment.
    pub names: Vec<String>,
    /// The namespace.
    pub namespace: String,
    /// All in the namespace.
    pub all: bool,
    /// Those with these labels.
    pub selector: Option<String>,
}

/// The selected workloads, in the requested order.
///
/// # Errors
/// A name is none of the namespace's (with the nearest one), a kind is unknown, or nothing is there.
pub(crate) async fn find(client: &Client, selection: &Selection) -> anyhow::Result<Vec<Object>> {
    if selection.all || selection.selector.is_some() {
        let found = list(client, &selection.namespace, selection.selector.as_deref()).await?;
        if found.is_empty() {
            let by = selection.selector.as_ref().map(|s| format!(" with labels `{s}`")).unwrap_or_default();
            let namespace = &selection.namespace;
            return Err(NoWorkload(format!("there is no workload{by} in namespace `{namespace}`")).into());
        }
        return Ok(found);
    }
    let kinds = Kinds::new(client.clone());
    let mut found = Vec::new();
    for wanted in &selection.names {
        let (version, kind, name) = parse(wanted)?;
        let (resource, _) = kinds.resource(version, kind).await?;
        let api: Api<Object> = Api::namespaced_with(client.clone(), &selection.namespace, &resource);
        let there = api.get_opt(name).await.with_context(|| format!("cannot look for {wanted}"))?;
        match there {
            Some(object) => found.push(typed(object, version, kind)),
            None => return Err(absent(&api, kind, name, &selection.namespace).await),
        }
    }
    Ok(found)
}

async fn list(client: &Client, namespace: &str, selector: Option<&str>) -> anyhow::Result<Vec<Object>> {
    let kinds = Kinds::new(client.clone());
    let params = selector.map_or_else(ListParams::default, |s| ListParams::default().labels(s));
    let lists = KINDS.iter().map(|(version, kind, _)| {
        let (kinds, params) = (&kinds, &params);
        async move {
            // A small cluster may serve Deployments only.
            let Some((resource, _)) = kinds.served(version, kind).await? else { return Ok(Vec::new()) };
            let api: Api<Object> = Api::namespaced_with(kinds.client().clone(), namespace, &resource);
            let list =
                api.list(params).await.with_context(|| format!("cannot list {kind}s in `{namespace}`"))?;
            anyhow::Ok(list.items.into_iter().map(|o| typed(o, version, kind)).collect::<Vec<_>>())
        }
    });
    let lists: Vec<Vec<Object>> = lists.collect::<futures::stream::FuturesOrdered<_>>().try_collect().await?;
    Ok(lists.into_iter().flatten().collect())
}

fn parse(wanted: &str) -> anyhow::Result<(&'static str, &'static str, &str)> {
    let (kind, name) = wanted.split_once('/').unwrap_or(("deploy", wanted));
    let kind_in_small = kind.to_lowercase();
    let found = KINDS.iter().find(|(_, _, short)| short.contains(&kind_in_small.as_str()));
    let Some((version, kind, _)) = found else {
        return Err(anyhow!("`{kind}` is not a kind of workload that can be restarted"))
            .hint("write deploy/NAME, sts/NAME or ds/NAME")
            .exit(Exit::Usage);
    };
    if name.is_empty() {
        return Err(anyhow!("`{wanted}` names no workload")).exit(Exit::Usage);
    }
    Ok((version, kind, name))
}

async fn absent(api: &Api<Object>, kind: &str, name: &str, namespace: &str) -> anyhow::Error {
    let kind = kind.to_lowercase();
    // The names are for the hint; without them the error is as true.
    let names = api.list_metadata(&ListParams::default()).await;
    let names = names.map(|there| there.iter().map(ResourceExt::name_any).collect::<Vec<String>>());
    let near = names.iter().flatten().min_by_key(|other| strsim::levenshtein(other, name));
    let hint = match (near, &names) {
        (Some(near), _) if strsim::levenshtein(near, name) <= 4 => format!("did you mean `{near}`?"),
        (Some(_), Ok(names)) => format!("there are: {}", names.join(", ")),
        (_, Ok(_)) => {
            format!("namespace `{namespace}` has no {kind}; `-n NAMESPACE` selects another namespace")
        }
        (_, Err(_)) => "`-n NAMESPACE` selects another namespace".to_owned(),
    };
    let error = NoWorkload(format!("there is no {kind} `{name}` in namespace `{namespace}`"));
    anyhow::Error::from(error).hint(hint).exit(Exit::Usage)
}

/// Lists leave out what each item is.
fn typed(mut object: Object, api_version: &str, kind: &str) -> Object {
    object.types = Some(kube::api::TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() });
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_is_a_deployment_and_kinds_have_their_short_names() {
        assert_eq!(parse("web").unwrap(), ("apps/v1", "Deployment", "web"));
        assert_eq!(parse("sts/db").unwrap(), ("apps/v1", "StatefulSet", "db"));
        assert!(parse("pod/x").unwrap_err().to_string().contains("`pod`"));
        assert!(parse("deploy/").is_err());
    }
}
