//! Proof that the API server really calls the webhooks. They fail open, so that silence is no proof.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DynamicObject, PostParams};
use meshy_mesh::names;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::NAMESPACE;
use crate::addons::endpoints;
use crate::error::{Advise, Exit};
use crate::k8s::Kinds;
use crate::ui::Step;

/// How long the API server may take to learn of a new webhook configuration; it polls its own watch within a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether one webhook was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was.
    Called,
    /// It was not, or answered something else than its task asks for: what came back.
    Silent(String),
}

/// Makes the API server call the injector and both validators, without keeping anything.
///
/// # Errors
/// One of them is not called in time; the error says whether readiness, TLS or the network is in the way.
pub async fn webhooks_answer(kinds: &Kinds, deadline: Instant, step: &Step) -> anyhow::Result<()> {
    let until = deadline.min(Instant::now() + PATIENCE);
    loop {
        let Some((service, why)) = first_silent(kinds).await? else { return Ok(()) };
        step.waiting(&format!("{service}: {why}"));
        if Instant::now() >= until {
            let reason = diagnose(kinds, service).await;
            return Err(anyhow!("{reason}"))
                .context(format!("the API server does not call `{service}`: {why}"))
                .hint("`meshy check` shows each part; the API server's log has its own words for it")
                .id("webhook-silent")
                .exit(Exit::Timeout);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// The first webhook that is not called, with what came back instead.
///
/// # Errors
/// The cluster cannot be asked.
pub async fn first_silent(kinds: &Kinds) -> anyhow::Result<Option<(&'static str, String)>> {
    let asked = [
        ("linkerd-proxy-injector", injector(kinds).await?),
        ("linkerd-sp-validator", refused(kinds, broken_profile(), "linkerd-sp-validator").await?),
        ("linkerd-policy-validator", refused(kinds, broken_network(), "linkerd-policy-validator").await?),
    ];
    Ok(asked.into_iter().find_map(|(service, answer)| match answer {
        Answer::Called => None,
        Answer::Silent(why) => Some((service, why)),
    }))
}

/// Creates, without keeping it, a pod that asks for a proxy.
///
/// # Errors
/// The cluster refuses for a reason of its own.
pub async fn injector(kinds: &Kinds) -> anyhow::Result<Answer> {
    let pods: Api<Pod> = Api::namespaced(kinds.client().clone(), "default");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "meshy-proof-", "annotations": {names::INJECT: names::ENABLED}},
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{"name": "proof", "image": "proof", "ports": [{"containerPort": 9090}]}],
        },
    }))?;
    let answer = pods.create(&PostParams { dry_run: true, field_manager: None }, &pod).await;
    Ok(match answer {
        Ok(pod) if has_proxy(&pod) => Answer::Called,
        Ok(_) => Answer::Silent("an annotated pod came back without a proxy".to_owned()),
        // A pod security rule or a quota speaks of the proxy, so the injector did its part.
        Err(kube::Error::Api(status)) if status.message.contains(names::PROXY_CONTAINER) => Answer::Called,
        Err(kube::Error::Api(status)) => Answer::Silent(status.message.clone()),
        Err(error) => return Err(error).context("cannot try the injector"),
    })
}

/// Whether a pod has a proxy, as a native sidecar or as a container.
pub fn has_proxy(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let is_proxy = |c: &k8s_openapi::api::core::v1::Container| c.name == names::PROXY_CONTAINER;
    spec.containers.iter().any(is_proxy) || spec.init_containers.iter().flatten().any(is_proxy)
}

async fn refused(kinds: &Kinds, object: Value, webhook: &str) -> anyhow::Result<Answer> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let api = kinds.api(&object, "default").await?;
    match api.create(&PostParams { dry_run: true, field_manager: None }, &object).await {
        Ok(_) => Ok(Answer::Silent("a broken object was accepted".to_owned())),
        Err(kube::Error::Api(status)) if status.message.contains(webhook) => Ok(Answer::Called),
        Err(kube::Error::Api(status)) => Ok(Answer::Silent(status.message.clone())),
        Err(error) => Err(error).with_context(|| format!("cannot try {webhook}")),
    }
}

/// Fine by the schema, wrong for the validator: the time to live has no unit.
fn broken_profile() -> Value {
    json!({
        "apiVersion": names::PROFILE_API_VERSION, "kind": names::PROFILE_KIND,
        "metadata": {"name": "meshy-proof.default.svc.cluster.local"},
        "spec": {"routes": [], "retryBudget": {"retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "ten"}},
    })
}

/// Fine by the schema, wrong for the policy controller: this is no network.
fn broken_network() -> Value {
    json!({
        "apiVersion": "policy.linkerd.io/v1alpha1", "kind": "NetworkAuthentication",
        "metadata": {"name": "meshy-proof"},
        "spec": {"networks": [{"cidr": "no-network"}]},
    })
}

/// What is in the way, as far as it can be seen from here.
async fn diagnose(kinds: &Kinds, service: &str) -> String {
    let now = Instant::now() + Duration::from_secs(2);
    if endpoints::ready(kinds.client(), NAMESPACE, service, now).await.is_err() {
        return format!("readiness: service `{service}` has no ready endpoint");
    }
    if service == "linkerd-proxy-injector"
        && let Some(false) = bundle_matches(kinds).await
    {
        return "TLS: the webhook configuration trusts another authority than the one in the injector's Secret".to_owned();
    }
    "network: the endpoint is ready and its certificate fits, but the API server's call does not arrive (a node that does \
     not route to pods, or a network policy)"
        .to_owned()
}

async fn bundle_matches(kinds: &Kinds) -> Option<bool> {
    let hooks: Api<MutatingWebhookConfiguration> = Api::all(kinds.client().clone());
    let hook = hooks.get_opt("linkerd-proxy-injector-webhook-config").await.ok()??;
    let bundle = hook.webhooks?.into_iter().next()?.client_config.ca_bundle?.0;
    let secrets: Api<Secret> = Api::namespaced(kinds.client().clone(), NAMESPACE);
    let data = secrets.get_opt("linkerd-proxy-injector-k8s-tls").await.ok()??.data?;
    // meshy's Secrets carry their authority; in others the certificate is its own.
    Some(data.get("ca.crt").or_else(|| data.get("tls.crt"))?.0.trim_ascii() == bundle.trim_ascii())
}
