//! Pods that the kubelet keeps waiting between two tries, up to five minutes. The wait belongs to the pod: a pod that takes its
//! place is tried at once, for example when the image has arrived in the registry since.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};

use super::apply::Applied;
use super::failure;
use super::{Kinds, Object, manifest};

/// The reasons of a waiting container that stand for a back-off, or lead to one.
const BACK_OFF: [&str; 3] = ["ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff"];

/// Deletes the pods of workloads that were there before and whose containers are in a back-off; their controllers replace them.
/// Returns the names of the pods.
///
/// # Errors
/// The pods cannot be listed or deleted; without the right to do so they are left alone.
pub async fn replace(kinds: &Kinds, applied: &[Applied]) -> anyhow::Result<Vec<String>> {
    let mut replaced = Vec::new();
    for workload in applied.iter().filter(|one| !one.created).map(|one| &one.object) {
        let Some(labels) = selector(workload) else { continue };
        let namespace = workload.namespace().unwrap_or_else(|| "default".to_owned());
        let pods: Api<Pod> = Api::namespaced(kinds.client().clone(), &namespace);
        let list = match pods.list(&ListParams::default().labels(&labels)).await {
            Ok(list) => list.items,
            Err(error) if failure::is_forbidden(&error) => continue,
            Err(error) => return Err(error).context("cannot list pods"),
        };
        for pod in list.iter().filter(|pod| is_stuck(pod)) {
            let name = pod.name_any();
            match pods.delete(&name, &DeleteParams::default()).await {
                Ok(_) => replaced.push(name),
                Err(kube::Error::Api(status)) if status.is_not_found() || status.is_forbidden() => {}
                Err(error) => return Err(error).with_context(|| format!("cannot delete pod `{name}`")),
            }
        }
    }
    Ok(replaced)
}

/// The labels of a workload's pods; none for other kinds, and for pods that nothing would replace.
fn selector(workload: &Object) -> Option<String> {
    if !matches!(manifest::kind(workload), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") {
        return None;
    }
    let labels = workload.data["spec"]["selector"]["matchLabels"].as_object()?;
    let each = labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    Some(each.collect::<Vec<_>>().join(",")).filter(|labels| !labels.is_empty())
}

fn is_stuck(pod: &Pod) -> bool {
    let status = pod.status.iter();
    let mut containers = status.flat_map(|status| {
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
    });
    pod.metadata.deletion_timestamp.is_none()
        && containers.any(|container| {
            let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
            waiting
                .and_then(|waiting| waiting.reason.as_deref())
                .is_some_and(|reason| BACK_OFF.contains(&reason))
        })
}

#[cfg(test)]
mod tests {
    use kube::api::{Patch, PatchParams, PostParams};
    use serde_json::{Value, json};

    use super::*;

    async fn pod(pods: &Api<Pod>, name: &str, app: &str, state: Value) {
        let object = json!({"metadata": {"name": name, "labels": {"app": app}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let status = json!({"status": {"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": state}]}});
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    #[tokio::test]
    async fn pods_in_a_back_off_are_replaced_when_their_workload_is_applied_again() {
        let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
        let kinds = Kinds::new(kube::Client::new(server.service(), "default"));
        let pods: Api<Pod> = Api::default_namespaced(kinds.client().clone());
        let waits = |reason: &str| json!({"waiting": {"reason": reason}});
        pod(&pods, "pulls", "a", waits("ImagePullBackOff")).await;
        pod(&pods, "restarts", "a", waits("CrashLoopBackOff")).await;
        pod(&pods, "starts", "a", waits("ContainerCreating")).await;
        pod(&pods, "runs", "a", json!({"running": {}})).await;
        pod(&pods, "foreign", "b", waits("ImagePullBackOff")).await;
        let deployment = |created| Applied {
            object: serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"app": "a"}}}}))
            .unwrap(),
            created,
            changed: false,
            left_out: Vec::new(),
        };
        assert_eq!(replace(&kinds, &[deployment(true)]).await.unwrap(), Vec::<String>::new());
        assert_eq!(replace(&kinds, &[deployment(false)]).await.unwrap(), ["pulls", "restarts"]);
        let left = pods.list(&ListParams::default()).await.unwrap();
        let left: Vec<String> = left
            .items
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .map(|p| p.name_any())
            .collect();
        assert_eq!(left, ["foreign", "runs", "starts"]);
    }
}
