//! The objects of a cluster that lint looks at.

use anyhow::{Context as _, anyhow};
use futures::TryStreamExt as _;
use futures::stream::FuturesOrdered;
use kube::Client;
use kube::api::{Api, ListParams, TypeMeta};
use meshy_base::Report;
use meshy_base::error::{Advise as _, Exit};
use meshy_linkerd::lint::{self, Finding, Level, World};
use serde_json::{Value, json};

use meshy_kube::{Kinds, Object};

/// Kinds that are evaluated.
const JUDGED: &[(&str, &str)] = &[
    ("linkerd.io/v1alpha2", "ServiceProfile"),
    ("v1", "Service"),
    ("v1", "Namespace"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1", "GRPCRoute"),
    ("networking.k8s.io/v1", "Ingress"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
];
/// Kinds that are looked up.
const KNOWN: &[(&str, &str)] = &[("v1", "Pod")];

/// Namespaces whose contents are others' business: the cluster's own.
const LEFT_OUT: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "local-path-storage", "linkerd"];

/// All that lint needs of a cluster.
///
/// # Errors
/// The API server does not respond as it should. A kind that it does not serve has no objects.
pub(crate) async fn world(client: &Client) -> anyhow::Result<World> {
    let kinds = Kinds::new(client.clone());
    let all = JUDGED.iter().map(|kind| (kind, true)).chain(KNOWN.iter().map(|kind| (kind, false)));
    let lists = all.map(|((version, kind), evaluated)| {
        let kinds = &kinds;
        async move { anyhow::Ok((list(kinds, version, kind).await?, evaluated)) }
    });
    let lists: Vec<(Vec<Value>, bool)> = lists.collect::<FuturesOrdered<_>>().try_collect().await?;
    let mut world = World::new();
    world.mark_complete();
    for (objects, evaluated) in lists {
        for object in objects {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            if evaluated && !LEFT_OUT.contains(&namespace) {
                world.add_target(object, None);
            } else {
                world.add_reference(object);
            }
        }
    }
    Ok(world)
}

async fn list(kinds: &Kinds, version: &str, kind: &str) -> anyhow::Result<Vec<Value>> {
    let Some((resource, _)) = kinds.served(version, kind).await? else { return Ok(Vec::new()) };
    let api: Api<Object> = Api::all_with(kinds.client().clone(), &resource);
    let objects = api.list(&ListParams::default()).await.with_context(|| format!("cannot list {kind}s"))?;
    let typed = |mut object: Object| {
        object.types = Some(TypeMeta { api_version: version.to_owned(), kind: kind.to_owned() });
        json!(object)
    };
    Ok(objects.items.into_iter().map(typed).collect())
}

/// Lints policies before they are applied and reports all findings. `refusal` is the error: which policies have mistakes, and that
/// they were not applied.
///
/// # Errors
/// Lint found an error, and `force` is not set.
pub(crate) fn evaluate(report: &Report, world: &World, force: bool, refusal: &str) -> anyhow::Result<()> {
    let findings = lint::lint(world);
    if findings.is_empty() {
        return Ok(());
    }
    report.say(words(&findings).trim_end());
    if force || findings.iter().all(|finding| finding.level != Level::Error) {
        return Ok(());
    }
    Err(anyhow!("{refusal}")).hint("`--force` applies it anyway").id("policy-refused").exit(Exit::Lint)
}

/// Findings as text for people: where, what, why, what to do.
pub(crate) fn words(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let place = &finding.place;
        let level = if finding.level == Level::Error { "error" } else { "warning" };
        let file = place.file.as_ref().map(|f| format!("{f}: ")).unwrap_or_default();
        let namespace = place.namespace.as_ref().map(|n| format!(" in `{n}`")).unwrap_or_default();
        text += &format!(
            "{level}[{}]: {file}{} `{}`{namespace}, {}\n",
            finding.id, place.kind, place.name, place.field
        );
        text += &format!("  {}\n  why: {}\n  do:  {}\n", finding.what, finding.why, finding.todo);
    }
    text
}
