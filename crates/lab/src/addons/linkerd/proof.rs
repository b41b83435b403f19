//! Proof that the API server really calls the webhooks. They fail open, so that silence is not a proof.

use meshy_kube::failure;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use meshy_linkerd::names;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::NAMESPACE;
use crate::addons::{certificates, endpoints};
use meshy_base::Step;
use meshy_base::error::{Advise, Exit};
use meshy_kube::Kinds;

/// How long the API server may take to learn of a new webhook configuration; it polls its own watch within a second or two.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Whether one webhook was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookResponse {
    /// It was.
    Called,
    /// It was not, or its response is not the expected one: the response.
    Silent(String),
}

/// Makes the API server call the injector and both validators, without keeping anything.
///
/// # Errors
/// One of them is not called in time; the error has the cause: readiness, TLS or the network.
pub async fn webhooks_respond(kinds: &Kinds, deadline: Instant, step: &Step) -> anyhow::Result<()> {
    let until = deadline.min(Instant::now() + TIMEOUT);
    loop {
        let Some((service, why)) = first_silent(kinds).await? else { return Ok(()) };
        step.waiting(&format!("{service}: {why}"));
        if Instant::now() >= until {
            let reason = diagnose(kinds, service).await;
            return Err(anyhow!("{reason}"))
                .context(format!("the API server does not call `{service}`: {why}"))
                .hint("`meshy check` shows each part; the API server's log has its error")
                .id("webhook-not-called")
                .exit(Exit::Timeout);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// The first webhook that is not called, with what came back instead.
///
/// # Errors
/// The cluster cannot be read.
pub async fn first_silent(kinds: &Kinds) -> anyhow::Result<Option<(&'static str, String)>> {
    let asked = [
        ("linkerd-proxy-injector", injector(kinds).await?),
        ("linkerd-sp-validator", refused(kinds, broken_profile(), "linkerd-sp-validator").await?),
        ("linkerd-policy-validator", refused(kinds, broken_network(), "linkerd-policy-validator").await?),
    ];
    Ok(asked.into_iter().find_map(|(service, answer)| match answer {
        WebhookResponse::Called => None,
        WebhookResponse::Silent(why) => Some((service, why)),
    }))
}

/// Creates, without keeping it, a pod that requests a proxy.
///
/// # Errors
/// The cluster refuses for a separate reason.
pub async fn injector(kinds: &Kinds) -> anyhow::Result<WebhookResponse> {
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
        Ok(pod) if has_proxy(&pod) => WebhookResponse::Called,
        Ok(_) => {
            WebhookResponse::Silent("the API server returned an annotated pod without a proxy".to_owned())
        }
        // A pod security rule or a quota speaks of the proxy, so the injector did its part.
        Err(kube::Error::Api(status)) if status.message.contains(names::PROXY_CONTAINER) => {
            WebhookResponse::Called
        }
        Err(kube::Error::Api(status)) => WebhookResponse::Silent(status.message.clone()),
        Err(error) => return Err(error).context("cannot try the injector"),
    })
}

/// Whether a pod has a proxy, as a native sidecar or as a container.
pub fn has_proxy(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let is_proxy = |c: &k8s_openapi::api::core::v1::Container| c.name == names::PROXY_CONTAINER;
    spec.containers.iter().any(is_proxy) || spec.init_containers.iter().flatten().any(is_proxy)
}

async fn refused(kinds: &Kinds, object: Value, webhook: &str) -> anyhow::Result<WebhookResponse> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let api = kinds.api(&object, "default").await?;
    match api.create(&PostParams { dry_run: true, field_manager: None }, &object).await {
        Ok(_) => Ok(WebhookResponse::Silent("an invalid object was accepted".to_owned())),
        Err(kube::Error::Api(status)) if status.message.contains(webhook) => Ok(WebhookResponse::Called),
        Err(kube::Error::Api(status)) => Ok(WebhookResponse::Silent(status.message.clone())),
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

/// Fine by the schema, wrong for the policy controller: this is not a network.
fn broken_network() -> Value {
    json!({
        "apiVersion": "policy.linkerd.io/v1alpha1", "kind": "NetworkAuthentication",
        "metadata": {"name": "meshy-proof"},
        "spec": {"networks": [{"cidr": "no-network"}]},
    })
}

/// What is in the way, as far as it can be seen from here: readiness of the program, its certificate, else the way to it.
pub async fn diagnose(kinds: &Kinds, service: &str) -> String {
    let now = Instant::now() + Duration::from_secs(2);
    if let Err(error) = endpoints::ready(kinds.client(), NAMESPACE, service, now).await {
        return format!("readiness: {}", failure::plain(&error));
    }
    let secrets: Api<Secret> = Api::namespaced(kinds.client().clone(), NAMESPACE);
    let name = format!("{service}-k8s-tls");
    let read = futures::try_join!(bundle(kinds.client(), service), secrets.get_opt(&name));
    let (bundle, secret) = match read {
        Ok(read) => read,
        Err(error) => return format!("its certificate cannot be read: {}", failure::words(&error)),
    };
    match tls_fault(bundle.as_deref(), secret.and_then(|s| s.data).unwrap_or_default(), SystemTime::now()) {
        Some(fault) => format!("TLS: {fault}"),
        None => "network: the endpoint is ready and its certificate fits, but the API server's call does not arrive (a node \
                 that does not route to pods, or a network policy)"
            .to_owned(),
    }
}

/// The authority that the API server trusts when it calls the service; none where there is no such configuration.
async fn bundle(client: &Client, service: &str) -> kube::Result<Option<Vec<u8>>> {
    let name = format!("{service}-webhook-config");
    let found = if service == "linkerd-proxy-injector" {
        let hooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
        let first = hooks.get_opt(&name).await?.and_then(|hook| hook.webhooks?.into_iter().next());
        first.map(|hook| hook.client_config)
    } else {
        let hooks: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        let first = hooks.get_opt(&name).await?.and_then(|hook| hook.webhooks?.into_iter().next());
        first.map(|hook| hook.client_config)
    };
    Ok(found.and_then(|config| config.ca_bundle).map(|bundle| bundle.0))
}

/// What is wrong between the authority that is trusted and the certificate in a webhook's Secret.
fn tls_fault(bundle: Option<&[u8]>, secret: BTreeMap<String, ByteString>, now: SystemTime) -> Option<String> {
    let Some(bundle) = bundle else {
        return Some("there is no webhook configuration that names an authority".to_owned());
    };
    let text = |key: &str| secret.get(key).map(|v| String::from_utf8_lossy(&v.0).into_owned());
    let Some(certificate) = text("tls.crt") else { return Some("its Secret has no certificate".to_owned()) };
    match certificates::describe(&certificate) {
        Err(error) => return Some(format!("its certificate cannot be read: {error:#}")),
        Ok(about) if about.days_left(now) < 0 => {
            return Some(format!("its certificate is expired (since {} days)", -about.days_left(now)));
        }
        Ok(_) => {}
    }
    // meshy's Secrets carry their authority; in others the certificate is its own.
    let authority = text("ca.crt").unwrap_or(certificate);
    (authority.trim().as_bytes() != bundle.trim_ascii())
        .then(|| "the webhook configuration trusts another authority than the one in its Secret".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addons::certificates::Serving;

    #[test]
    fn a_stranger_an_expired_and_an_absent_certificate_are_distinguished() {
        let serving = Serving::make("linkerd-sp-validator", NAMESPACE).unwrap();
        let secret = || {
            let entry = |key: &str, text: &str| (key.to_owned(), ByteString(text.as_bytes().to_vec()));
            BTreeMap::from([entry("tls.crt", &serving.certificate), entry("ca.crt", &serving.authority)])
        };
        let now = SystemTime::now();
        let trusted = Some(serving.authority.as_bytes());
        assert_eq!(tls_fault(trusted, secret(), now), None);
        let fault = |bundle: Option<&[u8]>, secret, now| tls_fault(bundle, secret, now).unwrap();
        assert!(fault(Some(b"other"), secret(), now).contains("another authority"));
        let later = now + Duration::from_secs(400 * 24 * 3600);
        assert!(fault(trusted, secret(), later).contains("expired"));
        assert!(fault(trusted, BTreeMap::new(), now).contains("no certificate"));
        assert!(fault(None, secret(), now).contains("no webhook configuration"));
    }
}
