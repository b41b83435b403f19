//! Proxies into workloads: annotation, restart, wait, proof.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use meshy_linkerd::inject::{self, Mode};
use meshy_linkerd::names;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::explain;
use super::workloads::{self, Selection};
use meshy_base::Report;
use meshy_base::error::{Advise, Exit};
use meshy_kube::{Apply, Kinds, Manager, Object, manifest, wait};
use meshy_lab::addons::ingress_nginx;
use meshy_lab::addons::linkerd::proof::has_proxy;

/// The annotation that makes a new template out of the same one, as `kubectl rollout restart` uses it.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// How long one proxy may take to report when its certificate ends.
const PER_PROXY: Duration = Duration::from_secs(3);

/// What was found out about one pod.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PodProof {
    /// Its name.
    pub pod: String,
    /// `sidecar`, `container` or none.
    pub proxy: Option<&'static str>,
    /// Whether pod and proxy are ready.
    pub ready: bool,
    /// When the proxy's certificate ends, in seconds since 1970, where the proxy reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_until_seconds: Option<u64>,
    /// Why there is no proxy, or what it lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// What became of one workload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    /// `deployment/NAME`.
    pub workload: String,
    /// Its namespace.
    pub namespace: String,
    /// What its template requests now.
    pub mode: String,
    /// Whether its pods were replaced.
    pub restarted: bool,
    /// Its pods.
    pub pods: Vec<PodProof>,
}

impl Outcome {
    /// Whether all pods have what was requested.
    pub(crate) fn holds(&self) -> bool {
        let meshed = self.mode != names::DISABLED;
        self.pods.iter().all(|p| p.ready && p.proxy.is_some() == meshed)
    }
}

/// Sets the mode of a workload, waits until its pods are new and proves that each has (or has not) a proxy.
///
/// # Errors
/// The API server refuses, or the new pods are not ready in time.
pub(crate) async fn set(
    kinds: &Kinds,
    workload: &Object,
    mode: Option<Mode>,
    report: &Report,
    deadline: Instant,
) -> anyhow::Result<Outcome> {
    let verb = if matches!(mode, Some(Mode::Enabled | Mode::Ingress)) { "Injecting" } else { "Uninjecting" };
    let work = async {
        let outcome = set_quietly(kinds, workload, mode, deadline).await?;
        let words = summary(&outcome);
        anyhow::Ok((outcome, words))
    };
    report.run(verb, manifest::describe(workload), work).await
}

async fn set_quietly(
    kinds: &Kinds,
    workload: &Object,
    mode: Option<Mode>,
    deadline: Instant,
) -> anyhow::Result<Outcome> {
    let value = serde_json::to_value(workload)?;
    if value.pointer("/spec/template/spec/hostNetwork") == Some(&Value::Bool(true))
        && matches!(mode, Some(Mode::Enabled | Mode::Ingress))
    {
        return Err(anyhow!("its pods use the node's network, where a proxy cannot redirect traffic"))
            .hint("remove `hostNetwork: true` from the template, or leave this workload out");
    }
    let asked = asked_for(kinds.client(), workload).await?;
    let wanted = mode.map_or(names::DISABLED, Mode::as_str);
    let before = pods_of(kinds.client(), workload).await?;
    // Pods of before the injector's time have the right annotation and no proxy: they are replaced too.
    let settled = asked == wanted && before.iter().all(|pod| has_proxy(pod) == (wanted != names::DISABLED));
    if !settled {
        restart(kinds, workload, mode, deadline).await?;
        if mode.is_none()
            && asked_for(kinds.client(), &again(kinds, workload).await?).await? != names::DISABLED
        {
            // The manifest or the namespace asks for a proxy; ours is then the word that overrules it.
            restart(kinds, workload, Some(Mode::Disabled), deadline).await?;
        }
        wait::ready(kinds, std::slice::from_ref(workload), deadline, None).await?;
    }
    let pods = prove(kinds.client(), workload).await?;
    Ok(Outcome {
        workload: title(workload),
        namespace: workload.namespace().unwrap_or_default(),
        mode: wanted.to_owned(),
        restarted: !settled,
        pods,
    })
}

/// Applies the mode (or takes it back) together with a new stamp, so that pods are replaced.
///
/// # Errors
/// The API server refuses.
pub(crate) async fn restart(
    kinds: &Kinds,
    workload: &Object,
    mode: Option<Mode>,
    deadline: Instant,
) -> anyhow::Result<()> {
    let mut annotations = json!({ RESTARTED_AT: stamp() });
    if let Some(mode) = mode {
        annotations[names::INJECT] = json!(mode.as_str());
    }
    let types = workload.types.clone().unwrap_or_default();
    let change = json!({
        "apiVersion": types.api_version, "kind": types.kind,
        "metadata": {"name": workload.name_any(), "namespace": workload.namespace()},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
    });
    // Only this manager's fields are named; all the rest of the workload stays whose it is.
    let apply = Apply::new(kinds, Manager::Inject, deadline).force(true);
    apply.run(vec![serde_json::from_value(change)?]).await?;
    Ok(())
}

/// Restarts a workload and leaves what its template requests unchanged.
///
/// # Errors
/// The API server refuses, or its pods are not ready in time.
pub(crate) async fn restart_as_it_is(
    kinds: &Kinds,
    workload: &Object,
    deadline: Instant,
) -> anyhow::Result<()> {
    let now = again(kinds, workload).await?;
    let ours = owned_mode(&now);
    restart(kinds, workload, ours, deadline).await?;
    wait::ready(kinds, std::slice::from_ref(workload), deadline, None).await
}

/// The mode that this manager set before; applying without it would take it away.
fn owned_mode(workload: &Object) -> Option<Mode> {
    let owner =
        workload.managed_fields().iter().find(|f| f.manager.as_deref() == Some(Manager::Inject.name()))?;
    let fields = owner.fields_v1.as_ref()?.0.to_string();
    fields.contains(&format!("f:{}", names::INJECT)).then_some(())?;
    inject::requested(&json!(workload))?.parse().ok()
}

async fn again(kinds: &Kinds, workload: &Object) -> anyhow::Result<Object> {
    let api = kinds.api(workload, "default").await?;
    let mut object = api.get(&workload.name_any()).await.context("cannot read the workload again")?;
    object.types = workload.types.clone();
    Ok(object)
}

/// What holds for the workload's new pods: its template's word, else its namespace's.
async fn asked_for(client: &Client, workload: &Object) -> anyhow::Result<String> {
    if let Some(own) = inject::requested(&json!(workload)) {
        return Ok(own.to_owned());
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let name = workload.namespace().unwrap_or_else(|| "default".to_owned());
    let namespace = namespaces.get_opt(&name).await.context("cannot read the namespace")?;
    let asked = namespace.and_then(|n| n.annotations().get(names::INJECT).cloned());
    Ok(asked.unwrap_or_else(|| names::DISABLED.to_owned()))
}

/// The pods of a workload that are not on their way out.
///
/// # Errors
/// The cluster cannot be read.
pub(crate) async fn pods_of(client: &Client, workload: &Object) -> anyhow::Result<Vec<Pod>> {
    let selector = workload.data.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let labels: Vec<String> = selector
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect();
    let namespace = workload.namespace().unwrap_or_else(|| "default".to_owned());
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let list =
        pods.list(&ListParams::default().labels(&labels.join(","))).await.context("cannot list the pods")?;
    let done = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed"))
    };
    Ok(list.items.into_iter().filter(|pod| !done(pod)).collect())
}

/// Looks at each pod of a workload: proxy, readiness, certificate.
///
/// # Errors
/// The cluster cannot be read.
pub(crate) async fn prove(client: &Client, workload: &Object) -> anyhow::Result<Vec<PodProof>> {
    let pods = pods_of(client, workload).await?;
    let scrapes =
        meshy_metrics::scrape_pods(client, pods.iter().map(meshy_metrics::Pod::of).collect(), PER_PROXY)
            .await;
    let mut proofs = Vec::new();
    for pod in &pods {
        let proxy = proxy_kind(pod);
        let scraped =
            scrapes.pods.iter().find(|s| s.pod.name == pod.name_any()).and_then(|s| s.scrape.as_ref().ok());
        let why_not = match proxy {
            None => Some(explain::pod(client, pod).await?.join("; ")),
            Some(_) => None,
        };
        proofs.push(PodProof {
            pod: pod.name_any(),
            proxy,
            // A meshed pod is ready only when its proxy has its certificate.
            ready: meshy_kube::is_pod_ready(pod),
            certificate_until_seconds: scraped.and_then(certificate_end),
            why_not,
        });
    }
    Ok(proofs)
}

/// The name of the metric depends on the proxy's version.
const CERTIFICATE_END: [&str; 2] =
    ["control_identity_cert_expiration_timestamp_seconds", "identity_cert_expiration_timestamp_seconds"];

fn certificate_end(scrape: &meshy_metrics::Scrape) -> Option<u64> {
    let ends = CERTIFICATE_END.iter().flat_map(|name| scrape.of(name));
    let end = ends.map(|(_, value)| value).find(|end| *end > 0.0)?;
    Some(end as u64)
}

fn proxy_kind(pod: &Pod) -> Option<&'static str> {
    let spec = pod.spec.as_ref()?;
    let named = |c: &k8s_openapi::api::core::v1::Container| c.name == names::PROXY_CONTAINER;
    if spec.init_containers.iter().flatten().any(named) {
        return Some("sidecar");
    }
    spec.containers.iter().any(named).then_some("container")
}

fn summary(outcome: &Outcome) -> String {
    let all = outcome.pods.len();
    let (what, fits): (_, fn(&PodProof) -> bool) = match outcome.mode == Mode::Disabled.as_str() {
        true => ("without a proxy", |p| p.proxy.is_none() && p.ready),
        false => ("meshed", |p| p.proxy.is_some() && p.ready),
    };
    let count = outcome.pods.iter().filter(|p| fits(p)).count();
    let already = if outcome.restarted { "" } else { ", unchanged" };
    format!("{}: {count}/{all} {what} and ready{already}", outcome.mode)
}

/// `deployment/NAME`.
pub(crate) fn title(workload: &Object) -> String {
    format!("{}/{}", manifest::kind(workload).to_lowercase(), workload.name_any())
}

/// A stamp that differs from run to run; RFC 3339, as kubectl writes it.
fn stamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    jiff::Timestamp::from_millisecond(now.as_millis() as i64).map(|t| t.to_string()).unwrap_or_default()
}

/// The error for workloads whose pods are not as requested.
///
/// # Errors
/// Always, when one outcome does not hold.
pub(crate) fn evaluate(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let failing = outcomes.iter().find(|o| !o.holds());
    let Some(outcome) = failing else { return Ok(()) };
    let pod =
        outcome.pods.iter().find(|p| !p.ready || p.proxy.is_some() != (outcome.mode != names::DISABLED));
    let name = pod.map_or("?", |p| p.pod.as_str());
    let why = pod.and_then(|p| p.why_not.clone()).unwrap_or_else(|| "it is not ready".to_owned());
    Err(anyhow!("pod `{name}`: {why}"))
        .context(format!("{} is not as requested ({})", outcome.workload, outcome.mode))
        .hint(format!("`meshy inject --explain {name} -n {}` shows the cause", outcome.namespace))
        .id("pod-unmeshed")
        .exit(Exit::Failed)
}

/// Gives the ingress controller a proxy, so that it is a client that policies apply to.
///
/// # Errors
/// There is no ingress controller; as [`set`].
pub(crate) async fn mesh_ingress(kinds: &Kinds, report: &Report, deadline: Instant) -> anyhow::Result<()> {
    let selection = Selection {
        names: vec![format!("deploy/{}", ingress_nginx::CONTROLLER)],
        namespace: ingress_nginx::NAMESPACE.to_owned(),
        ..Selection::default()
    };
    let found =
        workloads::find(kinds.client(), &selection).await.context("cannot mesh the ingress controller")?;
    for workload in &found {
        set(kinds, workload, Some(Mode::Ingress), report, deadline).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshy_metrics::text;

    #[test]
    fn the_end_of_a_certificate_is_read_from_a_real_proxys_metrics() {
        let dump = text::parse(include_str!("../../tests/fixtures/proxy-server.prom")).unwrap();
        assert_eq!(certificate_end(&dump), Some(1_795_434_588));
        let window = dump.since(Some(&dump));
        assert_eq!(certificate_end(&window), Some(1_795_434_588), "a time is not a count that increases");
        let older = text::parse("identity_cert_expiration_timestamp_seconds 1700000000\n").unwrap();
        assert_eq!(certificate_end(&older), Some(1_700_000_000));
        let none = text::parse("control_identity_cert_expiration_timestamp_seconds 0\n").unwrap();
        assert_eq!(certificate_end(&none), None, "the proxy has no certificate yet");
    }
}
