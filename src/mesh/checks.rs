//! Health as a table: one loop runs them all.

use std::time::SystemTime;

use anyhow::Context as _;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use serde::Serialize;

use meshy_lab::addons::expiry::WARN_DAYS;
use meshy_lab::addons::linkerd::existing::{self, Found};
use meshy_lab::addons::linkerd::{NAMESPACE, gateway, identity, proof};
use meshy_lab::addons::{certificates, ingress_nginx};

use meshy_kube::Kinds;
use meshy_kube::failure::{self, SharedError};

mod pods;
pub(crate) mod supported;

use super::readiness::{BUILT_IN, Readiness};

/// How one check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and something is worth knowing.
    Warning,
    /// Something is wrong.
    Failed,
    /// There is nothing to check here.
    Skipped,
}

/// The result of one check.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// What part of the whole: `cluster`, `certificates`.
    pub group: &'static str,
    /// What was looked at.
    pub check: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen.
    pub saw: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a check gives: verdict, what was seen, what to do.
type Finding = (Verdict, String, Option<&'static str>);
type Check = for<'a> fn(&'a Inputs) -> BoxFuture<'a, Finding>;

/// What checks look at.
#[derive(Clone)]
struct Inputs {
    client: Client,
    kinds: Kinds,
    /// Whether the control plane is part of the cluster, or why that is not known.
    built_in: Result<bool, SharedError>,
    /// The version of Linkerd, if there is one whose settings can be read.
    linkerd: Option<String>,
}

/// All checks in the order of the table. One that needs an earlier one reports that: nothing is left out silently.
const CHECKS: &[(&str, &str, Check)] = &[
    ("cluster", "nodes", |s| Box::pin(nodes(s))),
    ("cluster", "registry", |s| Box::pin(registry(s))),
    ("ingress", "controller", |s| Box::pin(ingress(s))),
    ("control plane", "workloads", |s| Box::pin(control_plane(s))),
    ("control plane", "Gateway API", |s| Box::pin(gateway_api(s))),
    ("control plane", "webhooks", |s| Box::pin(webhooks(s))),
    ("certificates", "trust anchor", |s| Box::pin(trust_anchors(s))),
    ("certificates", "issuer", |s| Box::pin(issuer(s))),
    ("certificates", "webhooks", |s| Box::pin(serving(s))),
    ("data plane", "proxies", |s| Box::pin(data_plane(s, pods::proxies))),
    ("data plane", "meshed pods", |s| Box::pin(data_plane(s, pods::ready))),
];

/// Runs all checks.
///
/// # Errors
/// The API server does not respond as it should, so that nothing can be checked.
pub(crate) async fn run(client: &Client) -> anyhow::Result<Vec<Outcome>> {
    let info = client.apiserver_version().await.context("cannot read the API server's version")?;
    let answers = (Verdict::Ok, format!("responds, {}", info.git_version), None);
    let mut all = vec![outcome("cluster", "API server", answers)];
    let kinds = Kinds::new(client.clone());
    let found = existing::find(client).await;
    let built_in = built_in(client).await.map_err(SharedError::from);
    let linkerd = found.as_ref().ok().and_then(version_of).map(str::to_owned);
    let inputs = Inputs { client: client.clone(), kinds, built_in, linkerd };
    let checks = CHECKS.iter().map(|(group, check, run)| {
        let inputs = &inputs;
        async move { outcome(group, check, run(inputs).await) }
    });
    all.extend(futures::future::join_all(checks).await);
    let versions = match found {
        Ok(found) => version_check(&info, &found),
        Err(error) => not_readable(failure::plain(&error)),
    };
    all.push(outcome("versions", "supported versions", versions));
    Ok(all)
}

/// The table's row when nothing can be checked.
pub(crate) fn unread_api(error: &anyhow::Error) -> Outcome {
    outcome("cluster", "API server", (Verdict::Failed, failure::plain(error), None))
}

/// Whether the control plane is part of the cluster itself, which its Deployments then have as an annotation.
///
/// # Errors
/// The API server does not respond as it should, or forbids to look.
pub(crate) async fn built_in(client: &Client) -> anyhow::Result<bool> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let injector = deployments.get_opt("linkerd-proxy-injector").await;
    let injector = injector.context("cannot look for the control plane")?;
    Ok(injector.is_some_and(|d| d.annotations().contains_key(BUILT_IN)))
}

fn outcome(group: &'static str, check: &'static str, (verdict, saw, hint): Finding) -> Outcome {
    Outcome { group, check, verdict, saw, hint: hint.map(str::to_owned) }
}

fn not_readable(why: impl std::fmt::Display) -> Finding {
    (Verdict::Failed, format!("cannot be read: {why}"), None)
}

fn unread(error: &kube::Error) -> Finding {
    not_readable(failure::words(error))
}

async fn nodes(s: &Inputs) -> Finding {
    let nodes: Api<Node> = Api::all(s.client.clone());
    let list = match nodes.list(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(error) => return unread(&error),
    };
    let count = list.iter().filter(|node| meshy_kube::is_node_ready(node)).count();
    let saw = format!("{count} of {} ready", list.len());
    if count == list.len() && count > 0 {
        (Verdict::Ok, saw, None)
    } else {
        (
            Verdict::Failed,
            saw,
            Some("`meshy status` shows which; after a restart of the engine `meshy up` repairs them"),
        )
    }
}

async fn registry(s: &Inputs) -> Finding {
    let maps: Api<ConfigMap> = Api::namespaced(s.client.clone(), "kube-public");
    match maps.get_opt("local-registry-hosting").await {
        Ok(Some(map)) => {
            let text = map.data.and_then(|d| d.into_values().next()).unwrap_or_default();
            let host = text.lines().find_map(|l| l.trim().strip_prefix("host:")).unwrap_or("?").trim();
            (Verdict::Ok, format!("announced as {}", host.trim_matches('"')), None)
        }
        Ok(None) => (Verdict::Skipped, "none is announced in kube-public".to_owned(), None),
        Err(error) => unread(&error),
    }
}

async fn ingress(s: &Inputs) -> Finding {
    let deployments: Api<Deployment> = Api::namespaced(s.client.clone(), ingress_nginx::NAMESPACE);
    match deployments.get_opt(ingress_nginx::CONTROLLER).await {
        Ok(Some(deployment)) => {
            let hint = "`meshy up` waits for it and shows what is missing";
            replicas(s, ingress_nginx::NAMESPACE, &[deployment], hint).await
        }
        Ok(None) => (Verdict::Skipped, "no ingress-nginx here".to_owned(), None),
        Err(error) => unread(&error),
    }
}

async fn control_plane(s: &Inputs) -> Finding {
    let deployments: Api<Deployment> = Api::namespaced(s.client.clone(), NAMESPACE);
    let list = match deployments.list(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(error) => return unread(&error),
    };
    if list.is_empty() {
        return (Verdict::Failed, "no Linkerd here".to_owned(), Some("`meshy up` installs it"));
    }
    let hint = "`kubectl -n linkerd get pods` shows which; `meshy up --images` what they need";
    let (verdict, saw, hint) = replicas(s, NAMESPACE, &list, hint).await;
    (
        verdict,
        if matches!(s.built_in, Ok(true)) { format!("{saw}, built into this cluster") } else { saw },
        hint,
    )
}

async fn replicas(s: &Inputs, namespace: &str, deployments: &[Deployment], hint: &'static str) -> Finding {
    let pods: Api<Pod> = Api::namespaced(s.client.clone(), namespace);
    let pods = match pods.list(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(error) => return unread(&error),
    };
    let missing: Vec<String> = deployments
        .iter()
        .map(|deployment| (deployment.name_any(), Readiness::of(deployment, &pods)))
        .filter(|(_, readiness)| !readiness.is_complete())
        .map(|(name, readiness)| readiness.why.map_or(name.clone(), |why| format!("{name} ({why})")))
        .collect();
    if missing.is_empty() {
        (Verdict::Ok, format!("{} ready", deployments.len()), None)
    } else {
        (Verdict::Failed, format!("not ready: {}", missing.join(", ")), Some(hint))
    }
}

async fn gateway_api(s: &Inputs) -> Finding {
    match &s.built_in {
        Ok(true) => return (Verdict::Ok, "built in".to_owned(), None),
        Ok(false) => {}
        Err(why) => return not_readable(why),
    }
    let tested = supported::gateway(s.linkerd.as_deref());
    match gateway::find(&s.client, tested).await {
        Ok(gateway::Definitions::Absent) => (
            Verdict::Warning,
            "no HTTPRoute".to_owned(),
            Some("`meshy up` installs it; `retry` and `split` need it"),
        ),
        Ok(gateway::Definitions::Ours) => (Verdict::Ok, "v1.2.1, meshy's subset".to_owned(), None),
        Ok(gateway::Definitions::Foreign(version, gateway::Fit::Inside)) => (Verdict::Ok, version, None),
        Ok(gateway::Definitions::Foreign(version, gateway::Fit::Above)) => (
            Verdict::Warning,
            tested.above(&version),
            Some("`meshy lint` reports routes with fields that Linkerd does not read"),
        ),
        Err(error) => {
            (Verdict::Failed, failure::plain(&error), Some("Linkerd ignores routes that it cannot read"))
        }
    }
}

async fn webhooks(s: &Inputs) -> Finding {
    if let Err(why) = &s.built_in {
        return not_readable(why);
    }
    if matches!(s.built_in, Ok(true)) {
        return match proof::injector(&s.kinds).await {
            Ok(proof::WebhookResponse::Called) => {
                (Verdict::Ok, "the built-in injector responds".to_owned(), None)
            }
            Ok(proof::WebhookResponse::Silent(why)) => (Verdict::Failed, why, None),
            Err(error) => not_readable(failure::plain(&error)),
        };
    }
    match proof::first_silent(&s.kinds).await {
        Ok(None) => (Verdict::Ok, "injector and validators are called".to_owned(), None),
        Ok(Some((service, why))) => (
            Verdict::Failed,
            format!("{service} is not called: {why}; {}", proof::diagnose(&s.kinds, service).await),
            Some(
                "until it is called, pods start without a proxy; check its pod and the log of the API server",
            ),
        ),
        Err(error) => not_readable(failure::plain(&error)),
    }
}

async fn trust_anchors(s: &Inputs) -> Finding {
    let maps: Api<ConfigMap> = Api::namespaced(s.client.clone(), NAMESPACE);
    match maps.get_opt(identity::TRUST_ROOTS).await {
        Ok(Some(map)) => {
            expiry(map.data.and_then(|d| d.get("ca-bundle.crt").cloned()).unwrap_or_default().as_str())
        }
        Ok(None) => absent(s),
        Err(error) => unread(&error),
    }
}

async fn issuer(s: &Inputs) -> Finding {
    match secret(s, identity::ISSUER_SECRET, "crt.pem").await {
        Ok(Some(pem)) => expiry(&pem),
        Ok(None) => absent(s),
        Err(error) => unread(&error),
    }
}

async fn serving(s: &Inputs) -> Finding {
    let mut worst: Option<Finding> = None;
    for (_, service) in meshy_lab::addons::linkerd::WEBHOOKS {
        let seen = match secret(s, &format!("{service}-k8s-tls"), "tls.crt").await {
            Ok(Some(pem)) => expiry(&pem),
            Ok(None) => absent(s),
            Err(error) => unread(&error),
        };
        if worst.as_ref().is_none_or(|w| rank(seen.0) > rank(w.0)) {
            worst = Some(seen);
        }
    }
    worst.unwrap_or((Verdict::Skipped, String::new(), None))
}

const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Skipped => 0,
        Verdict::Ok => 1,
        Verdict::Warning => 2,
        Verdict::Failed => 3,
    }
}

fn absent(s: &Inputs) -> Finding {
    match &s.built_in {
        Ok(true) => (Verdict::Skipped, "the cluster keeps its own".to_owned(), None),
        Ok(false) => (Verdict::Failed, "it is not there".to_owned(), Some("`meshy up` makes it")),
        Err(why) => not_readable(why),
    }
}

async fn secret(s: &Inputs, name: &str, key: &str) -> Result<Option<String>, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(s.client.clone(), NAMESPACE);
    let data = secrets.get_opt(name).await?.and_then(|secret| secret.data);
    Ok(data.and_then(|d| d.get(key).and_then(|v| String::from_utf8(v.0.clone()).ok())))
}

/// A verdict on certificates by what is left of them; the one that ends first counts.
pub(crate) fn expiry(pem: &str) -> (Verdict, String, Option<&'static str>) {
    let now = SystemTime::now();
    let all = match certificates::describe_all(pem) {
        Ok(all) => all,
        Err(error) => return (Verdict::Failed, format!("cannot be read: {}", failure::plain(&error)), None),
    };
    let days = all.iter().map(|about| about.days_left(now)).min().unwrap_or_default();
    let hint = Some(
        "exchange it: linkerd.io's page on rotating the control plane's certificates describes how; `meshy down` and `up` make new ones",
    );
    match days {
        ..=-1 => (Verdict::Failed, format!("expired {} days ago", -days), hint),
        0..WARN_DAYS => (Verdict::Warning, format!("{days} days left"), hint),
        _ => (Verdict::Ok, format!("{days} days left"), None),
    }
}

/// Evaluates the pods that have a proxy, without the control plane's own.
async fn data_plane(s: &Inputs, evaluate: fn(&[Pod]) -> Finding) -> Finding {
    let pods: Api<Pod> = Api::all(s.client.clone());
    let mut meshed = match pods.list(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(error) => return unread(&error),
    };
    meshed.retain(|pod| {
        let pod = meshy_metrics::Pod::of(pod);
        pod.scrapable() && !pod.leaving && !pod.labels.contains_key(meshy_linkerd::names::COMPONENT_LABEL)
    });
    if meshed.is_empty() {
        let hint = "`meshy inject` meshes the ingress controller";
        return (Verdict::Skipped, "no meshed pod".to_owned(), Some(hint));
    }
    evaluate(&meshed)
}

fn version_of(found: &Found) -> Option<&str> {
    match found {
        Found::Nothing => None,
        Found::Ours { version } | Found::Foreign { version } => Some(version),
    }
}

fn version_check(info: &Info, found: &Found) -> Finding {
    let kubernetes = format!("{}.{}", info.major, info.minor.trim_end_matches('+'));
    supported::evaluate(&kubernetes, version_of(found))
}
