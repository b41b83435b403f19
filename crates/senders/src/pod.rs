//! The pods of senders: their manifest, and those that a run left behind.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, ResourceExt as _};
use meshy_kube::{MANAGED_BY, MESHY};
use meshy_load::protocol::{ROLE, SENDER};
use serde_json::{Value, json};

use crate::identity::Identity;

/// The port on which senders are controlled.
pub(crate) const ADMIN_PORT: u16 = 9091;

/// The label with the name of the application, and its value.
const NAME: (&str, &str) = ("app.kubernetes.io/name", "meshy-sender");

/// The label with the run of a sender.
const RUN: &str = "meshy.dev/sender-run";

/// How much longer than its load a pod may run.
const MARGIN: Duration = Duration::from_secs(600);

/// Where senders run, and as whom.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Their namespace.
    pub namespace: String,
    /// How many.
    pub count: u32,
    /// The test service's image.
    pub image: String,
    /// As whom they call.
    pub identity: Identity,
    /// How long their load lasts. A pod that runs much longer is stopped by the cluster, in case this program was killed.
    pub length: Duration,
}

/// Whether these are the labels of a sender.
pub fn is_sender(labels: &std::collections::BTreeMap<String, String>) -> bool {
    labels.get(NAME.0).is_some_and(|name| name == NAME.1)
}

/// Returns the name of a sender.
pub(crate) fn name(run: &str, index: u32) -> String {
    format!("meshy-sender-{run}-{index}")
}

/// Returns the pod of a sender.
pub(crate) fn manifest(placement: &Placement, run: &str, index: u32) -> Value {
    let mut labels = json!({ MANAGED_BY: MESHY, NAME.0: NAME.1 });
    labels[RUN] = run.into();
    let spread = json!({
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": { "matchLabels": { RUN: run } },
    });
    let deadline = (placement.length + MARGIN).as_secs();
    let mut spec = json!({
        "restartPolicy": "Never",
        "activeDeadlineSeconds": deadline,
        "terminationGracePeriodSeconds": 5,
        "topologySpreadConstraints": [spread],
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": "sender",
            "image": placement.image,
            "env": [{ "name": ROLE, "value": SENDER }],
            "ports": [{ "name": "admin", "containerPort": ADMIN_PORT }],
            "readinessProbe": { "httpGet": { "path": "/health", "port": ADMIN_PORT }, "periodSeconds": 1 },
            // Without a limit of the CPU: a sender that is throttled starts its requests late.
            "resources": {
                "requests": { "cpu": "50m", "memory": "32Mi" },
                "limits": { "memory": "256Mi" },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
        }],
    });
    if let Some(account) = &placement.identity.service_account {
        spec["serviceAccountName"] = account.as_str().into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name(run, index),
            "namespace": placement.namespace,
            "labels": labels,
            "annotations": placement.identity.annotations,
        },
        "spec": spec,
    })
}

/// Returns the senders that runs have left behind, as namespace and name; `namespace` limits where to look.
///
/// # Errors
/// The API fails.
pub async fn leftovers(client: &Client, namespace: Option<&str>) -> anyhow::Result<Vec<(String, String)>> {
    let api: Api<Pod> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let labels = format!("{MANAGED_BY}={MESHY},{}={}", NAME.0, NAME.1);
    let pods = api.list(&ListParams::default().labels(&labels)).await.context("cannot list senders")?;
    Ok(pods.items.iter().map(|pod| (pod.namespace().unwrap_or_default(), pod.name_any())).collect())
}

/// Deletes the senders that runs have left behind; returns their names. A sender of a run that goes on is deleted as well.
///
/// # Errors
/// The API fails.
pub async fn cleanup(client: &Client, namespace: Option<&str>) -> anyhow::Result<Vec<String>> {
    let found = leftovers(client, namespace).await?;
    let each = found.into_iter().map(|(namespace, name)| async move {
        delete(client, &namespace, &name).await?;
        anyhow::Ok(format!("pod `{name}` in namespace `{namespace}`"))
    });
    futures::future::try_join_all(each).await
}

/// Deletes a sender; one that is gone already is fine.
pub(crate) async fn delete(client: &Client, namespace: &str, name: &str) -> anyhow::Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    match api.delete(name, &DeleteParams::default().grace_period(0)).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        deleted => deleted.map(drop).with_context(|| format!("cannot delete pod `{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_carries_the_labels_by_which_it_is_removed_and_the_identity_of_a_workload() {
        let placement = Placement {
            namespace: "shop".to_owned(),
            count: 2,
            image: "localhost:5000/minimal-service:v1".to_owned(),
            identity: Identity { service_account: Some("web".to_owned()), ..Identity::meshed(true) },
            length: Duration::from_secs(60),
        };
        let value = manifest(&placement, "r1", 1);
        assert_eq!(value["metadata"]["name"], "meshy-sender-r1-1");
        assert_eq!(value["metadata"]["labels"][MANAGED_BY], MESHY);
        assert_eq!(value["metadata"]["labels"][RUN], "r1");
        assert_eq!(value["metadata"]["annotations"]["linkerd.io/inject"], "enabled");
        assert_eq!(value["spec"]["serviceAccountName"], "web");
        assert_eq!(value["spec"]["activeDeadlineSeconds"], 660);
        // What the API would not accept is not a pod.
        let pod: Pod = serde_json::from_value(value).unwrap();
        assert_eq!(pod.spec.unwrap().containers[0].env.as_ref().unwrap()[0].value.as_deref(), Some("sender"));
    }
}
