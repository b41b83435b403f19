//! Why a pod has no proxy.

use anyhow::Context as _;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use meshy_linkerd::names;

use meshy_kube::failure;
use meshy_lab::addons::linkerd::proof::has_proxy;

/// How the injector is registered with the API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Injector {
    /// The cluster has one built in.
    #[default]
    BuiltIn,
    /// There is no webhook configuration.
    Absent,
    /// This user may not read webhook configurations.
    Forbidden,
    /// Its webhook configuration was created then, in seconds since 1970.
    Since(Option<i64>),
}

/// What is known of a pod's namespace and injector.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodContext {
    /// The value of the namespace's annotation.
    pub namespace_asks: Option<String>,
    /// Whether the namespace is left out by the webhook's selector.
    pub namespace_left_out: bool,
    /// How the injector is registered.
    pub injector: Injector,
    /// Warnings of the pod's events, newest last.
    pub warnings: Vec<String>,
}

/// Says why a pod has no proxy, or what its proxy lacks; one sentence or several.
///
/// # Errors
/// The cluster cannot be read.
pub(crate) async fn pod(client: &Client, pod: &Pod) -> anyhow::Result<Vec<String>> {
    Ok(reasons(pod, &read(client, pod).await?))
}

async fn read(client: &Client, pod: &Pod) -> anyhow::Result<PodContext> {
    let name = pod.namespace().unwrap_or_else(|| "default".to_owned());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = namespaces.get_opt(&name).await.context("cannot read the namespace")?;
    let hook = injector(client).await.context("cannot read the injector's webhook")?;
    let events: Api<Event> = Api::namespaced(client.clone(), &name);
    let about = ListParams::default().fields(&format!("involvedObject.name={}", pod.name_any()));
    let events = match events.list(&about).await {
        Ok(list) => list.items,
        // Without them the status has to do.
        Err(error) if failure::is_forbidden(&error) => Vec::new(),
        Err(error) => return Err(error).context("cannot list the events of the pod"),
    };
    let warnings = events.into_iter().filter(|e| e.type_.as_deref() == Some("Warning"));
    Ok(PodContext {
        namespace_asks: namespace.as_ref().and_then(|n| n.annotations().get(names::INJECT).cloned()),
        namespace_left_out: namespace.as_ref().is_some_and(|n| {
            n.labels().get("config.linkerd.io/admission-webhooks").map(String::as_str)
                == Some(names::DISABLED)
                || matches!(n.name_any().as_str(), "kube-system" | "cert-manager")
        }),
        injector: hook,
        warnings: warnings.filter_map(|e| e.message).collect(),
    })
}

/// How the injector is registered. A cluster with a built-in injector does not serve webhook configurations.
async fn injector(client: &Client) -> anyhow::Result<Injector> {
    let hooks: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let named = ListParams::default().fields("metadata.name=linkerd-proxy-injector-webhook-config");
    match hooks.list(&named).await {
        Ok(list) => Ok(match list.items.first() {
            Some(hook) => Injector::Since(hook.creation_timestamp().map(|t| t.0.as_second())),
            None => Injector::Absent,
        }),
        // A list is not found only where the kind is not served.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Injector::BuiltIn),
        Err(error) if failure::is_forbidden(&error) => Ok(Injector::Forbidden),
        Err(error) => Err(error.into()),
    }
}

/// The decision, apart from the asking.
pub(crate) fn reasons(pod: &Pod, around: &PodContext) -> Vec<String> {
    let mut why = Vec::new();
    if has_proxy(pod) {
        why.extend(waiting(pod));
        why.extend(around.warnings.last().cloned());
        if why.is_empty() {
            why.push("it has a proxy, and nothing is wrong with it".to_owned());
        }
        return why;
    }
    let own = pod.annotations().get(names::INJECT).map(String::as_str);
    match (own.or(around.namespace_asks.as_deref()), own) {
        (None, _) => {
            why.push(format!(
                "annotation missing: neither the pod nor its namespace has `{}`",
                names::INJECT
            ));
        }
        (Some(names::ENABLED | names::INGRESS), _) => {}
        (Some(names::DISABLED), Some(_)) => why.push(format!("the pod has `{}: disabled`", names::INJECT)),
        (Some(names::DISABLED), None) => why.push(format!("the namespace has `{}: disabled`", names::INJECT)),
        (Some(other), _) => {
            why.push(format!("`{}: {other}` is not enabled, ingress or disabled", names::INJECT));
        }
    }
    if pod.spec.as_ref().and_then(|s| s.host_network) == Some(true) {
        why.push("host network: a proxy cannot redirect the node's traffic".to_owned());
    }
    if around.namespace_left_out {
        why.push("the injector excludes this namespace".to_owned());
    }
    if pod.spec.as_ref().and_then(|s| s.automount_service_account_token) == Some(false) && why.is_empty() {
        why.push("`automountServiceAccountToken: false`: older injectors exclude such pods".to_owned());
    }
    if !why.is_empty() {
        return why;
    }
    let born = pod.creation_timestamp().map(|t| t.0.as_second());
    match (around.injector, born) {
        (Injector::Absent, _) => why.push("there is no injector: `meshy up` installs Linkerd".to_owned()),
        (Injector::Forbidden, _) => why.push(
            "it requests a proxy and has none; whether the injector is registered is not known: you may not read webhook \
             configurations"
                .to_owned(),
        ),
        (Injector::Since(Some(since)), Some(born)) if born < since => {
            why.push("created before the injector: restart its workload with `meshy inject`".to_owned());
        }
        _ => why.push(
            "webhook failing: it requests a proxy, and the injector was not called, or its response was not used (the \
             webhook fails open); `meshy check` calls it"
                .to_owned(),
        ),
    }
    why
}

/// What containers wait for, images first of all.
pub(super) fn waiting(pod: &Pod) -> Vec<String> {
    let Some(status) = &pod.status else { return Vec::new() };
    let init = status.init_container_statuses.iter().flatten();
    let all = init.chain(status.container_statuses.iter().flatten());
    all.filter_map(|c| {
        let waiting = c.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        // The usual state of whatever comes after an init container.
        if reason == "PodInitializing" {
            return None;
        }
        let message = waiting.message.as_ref().map(|m| format!(": {m}")).unwrap_or_default();
        Some(format!("container `{}` waits with {reason}{message}", c.name))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod_with(annotation: Option<&str>, spec: Value) -> Pod {
        let annotations = annotation.map(|a| json!({"linkerd.io/inject": a}));
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "default", "annotations": annotations,
                         "creationTimestamp": "2026-08-21T10:00:00Z"},
            "spec": spec,
        }))
        .unwrap()
    }

    fn why(annotation: Option<&str>, around: PodContext) -> String {
        reasons(&pod_with(annotation, json!({"containers": []})), &around).join("; ")
    }

    fn registered(since: &str) -> PodContext {
        let since = since.parse::<jiff::Timestamp>().unwrap().as_second();
        PodContext { injector: Injector::Since(Some(since)), ..PodContext::default() }
    }

    #[test]
    fn each_reason_is_distinguished() {
        let around = || registered("2026-08-21T09:00:00Z");
        assert!(why(None, around()).starts_with("annotation missing"));
        assert!(why(Some("disabled"), around()).starts_with("the pod has"));
        assert!(why(Some("true"), around()).contains("is not enabled, ingress or disabled"));
        let disabled = PodContext { namespace_asks: Some("disabled".to_owned()), ..around() };
        assert!(why(None, disabled).starts_with("the namespace has"));
        let left_out = PodContext { namespace_left_out: true, ..around() };
        assert!(why(Some("enabled"), left_out).contains("excludes this namespace"));
        assert!(why(Some("enabled"), registered("2026-08-21T11:00:00Z")).starts_with("created before"));
        assert!(why(Some("enabled"), around()).starts_with("webhook failing"));
        let none = PodContext { injector: Injector::Absent, ..PodContext::default() };
        assert!(why(Some("enabled"), none).starts_with("there is no injector"));
        let host = pod_with(Some("enabled"), json!({"containers": [], "hostNetwork": true}));
        assert!(reasons(&host, &around())[0].starts_with("host network"));
    }

    #[test]
    fn a_proxy_whose_image_cannot_be_pulled_says_so() {
        let mut pod = pod_with(Some("enabled"), json!({"containers": [{"name": "linkerd-proxy"}]}));
        pod.status = serde_json::from_value(json!({"containerStatuses": [{
            "name": "linkerd-proxy", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such host"}},
        }]}))
        .unwrap();
        let why = reasons(&pod, &PodContext::default());
        assert_eq!(why, ["container `linkerd-proxy` waits with ImagePullBackOff: no such host"]);
    }
}
