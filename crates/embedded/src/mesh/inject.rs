//! The injector: adds the proxy to pods that ask for it, as they are created.

use std::sync::{Arc, OnceLock};

use meshy_apiserver::{Admission, AdmissionRequest, Operation};
use meshy_mesh::names;
use meshy_net::BoxFuture;
use serde_json::{Value, json};

use super::identity::Authority;
use crate::api::{Api, EVENT_NORMAL, NAMESPACES};
use crate::node::images::{built_in_image, proxy_image};
use crate::object::{annotation, list, text};

/// What the injector says of itself where Linkerd's says its version.
const CREATED_BY: &str = concat!("meshy/embedded-injector ", env!("CARGO_PKG_VERSION"));

/// The hook in the path of pods' creation.
pub(crate) struct Injector {
    pub(crate) authority: Arc<Authority>,
    /// Set once the API is there; nothing is injected before.
    pub(crate) api: OnceLock<Api>,
}

impl Admission for Injector {
    fn mutate<'a>(
        &'a self,
        review: &'a AdmissionRequest,
        pod: &'a mut Value,
    ) -> BoxFuture<'a, meshy_apiserver::Result<()>> {
        Box::pin(async move {
            if review.operation != Operation::Create
                || review.resource != "pods"
                || !review.subresource.is_empty()
            {
                return Ok(());
            }
            let Some(api) = self.api.get() else { return Ok(()) };
            let Some(mode) = wanted(api, &review.namespace, pod) else { return Ok(()) };
            let deployment = api.owning_deployment(&review.namespace, pod);
            inject(
                pod,
                &review.namespace,
                &mode,
                deployment.as_ref().map(|found| crate::object::name(found)),
                &self.authority,
            );
            if let Some(deployment) = deployment
                && !review.dry_run
            {
                let words = "Linkerd sidecar proxy injected";
                api.event(
                    &deployment,
                    "Deployment",
                    "apps/v1",
                    EVENT_NORMAL,
                    "Injected",
                    words,
                    "linkerd-proxy-injector",
                )
                .await;
            }
            Ok(())
        })
    }
}

/// The mode asked for by the pod, else by its namespace; none when it gets no proxy.
fn wanted(api: &Api, namespace: &str, pod: &Value) -> Option<String> {
    let has_proxy = ["/spec/containers", "/spec/initContainers"]
        .iter()
        .flat_map(|place| list(pod, place))
        .any(|container| text(container, "/name") == names::PROXY_CONTAINER);
    // The network of the node cannot be redirected for one pod.
    if has_proxy || pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true)) {
        return None;
    }
    let mode = match annotation(pod, names::INJECT) {
        Some(mode) => mode.to_owned(),
        None => annotation(&*api.get(NAMESPACES, "", namespace)?, names::INJECT)?.to_owned(),
    };
    matches!(mode.as_str(), names::ENABLED | names::INGRESS).then_some(mode)
}

fn inject(pod: &mut Value, namespace: &str, mode: &str, deployment: Option<&str>, authority: &Authority) {
    let annotations = &mut pod["metadata"]["annotations"];
    annotations[names::INJECT] = json!(mode);
    annotations[names::CREATED_BY] = json!(CREATED_BY);
    annotations[names::PROXY_VERSION] = json!(concat!("meshy-", env!("CARGO_PKG_VERSION")));
    annotations[names::TRUST_ROOT_SHA] = json!(authority.root_sha256());
    let labels = &mut pod["metadata"]["labels"];
    labels[names::CONTROL_PLANE_NS_LABEL] = json!(names::CONTROL_PLANE_NAMESPACE);
    labels[names::WORKLOAD_NS_LABEL] = json!(namespace);
    if let Some(deployment) = deployment {
        labels[format!("{}deployment", names::PROXY_OWNER_PREFIX)] = json!(deployment);
    }
    let mut init = vec![init_container(), proxy_container()];
    init.extend(list(pod, "/spec/initContainers").iter().cloned());
    pod["spec"]["initContainers"] = json!(init);
    let mut volumes = list(pod, "/spec/volumes").to_vec();
    volumes.extend(self::volumes());
    pod["spec"]["volumes"] = json!(volumes);
}

fn init_container() -> Value {
    json!({
        "name": names::INIT_CONTAINER,
        "image": built_in_image("proxy-init"),
        "imagePullPolicy": "IfNotPresent",
        "args": ["--firewall-bin-path", "none", "--incoming-proxy-port", names::INBOUND_PORT.to_string(),
            "--outgoing-proxy-port", names::OUTBOUND_PORT.to_string(), "--proxy-uid", "2102"],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] },
            "privileged": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 65534,
        },
        "volumeMounts": [{ "name": "linkerd-proxy-init-xtables-lock", "mountPath": "/run" }],
    })
}

fn proxy_container() -> Value {
    let probe = |path: &str| json!({ "path": path, "port": names::ADMIN_PORT });
    json!({
        "name": names::PROXY_CONTAINER,
        "image": proxy_image(),
        "imagePullPolicy": "IfNotPresent",
        // What makes it a native sidecar: it starts before the application and ends after it.
        "restartPolicy": "Always",
        "ports": [
            { "name": "linkerd-proxy", "containerPort": names::INBOUND_PORT },
            { "name": "linkerd-admin", "containerPort": names::ADMIN_PORT },
        ],
        "startupProbe": { "httpGet": probe("/ready"), "periodSeconds": 1, "failureThreshold": 120 },
        // Without Linkerd's delay of 2 s: the startup probe has asked already, and the proxy starts in microseconds.
        "readinessProbe": { "httpGet": probe("/ready"), "timeoutSeconds": 1 },
        "livenessProbe": { "httpGet": probe("/live"), "initialDelaySeconds": 10, "timeoutSeconds": 1 },
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
            "runAsUser": 2102, "seccompProfile": { "type": "RuntimeDefault" },
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            { "name": "linkerd-identity-end-entity", "mountPath": "/var/run/linkerd/identity/end-entity" },
            { "name": "linkerd-identity-token", "mountPath": "/var/run/secrets/tokens" },
        ],
    })
}

fn volumes() -> [Value; 3] {
    [
        json!({ "name": "linkerd-proxy-init-xtables-lock", "emptyDir": {} }),
        json!({ "name": "linkerd-identity-end-entity", "emptyDir": { "medium": "Memory" } }),
        json!({ "name": "linkerd-identity-token", "projected": { "sources": [{ "serviceAccountToken": {
            "audience": "identity.l5d.io", "expirationSeconds": 86_400, "path": "linkerd-identity-token",
        } }] } }),
    ]
}
