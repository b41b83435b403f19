//! Waits for workloads, without controllers and without a node: what is written is what is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::manifest;

#[tokio::test(start_paused = true)]
async fn many_deployments_of_a_namespace_share_one_watch_of_them_and_one_of_their_pods() {
    let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
    let (lists, api) = (Arc::new(AtomicUsize::new(0)), server.service());
    let counted = lists.clone();
    let client = kube::Client::new(
        tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            let is_list = path.ends_with("/deployments") || path.ends_with("/pods");
            if request.method() == http::Method::GET && is_list && !query.contains("watch=") {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            api.clone().oneshot(request)
        }),
        "default",
    );
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let mut objects = Vec::new();
    for name in (0..20).map(|number| format!("a{number}")) {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
        deployments
            .create(&PostParams::default(), &serde_json::from_value(object.clone()).unwrap())
            .await
            .unwrap();
        let full = json!({"status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": 1, "availableReplicas": 1}});
        deployments.patch_status(&name, &PatchParams::default(), &Patch::Merge(full)).await.unwrap();
        let mut pod = object["spec"]["template"].clone();
        pod["metadata"]["name"] = json!(name);
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        objects.extend(manifest::from_value(object).unwrap());
    }
    let tell = async |name: &str| {
        let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    };
    let kinds = Kinds::new(client.clone());
    for name in (1..20).map(|number| format!("a{number}")) {
        tell(&name).await;
    }
    let wait = || ready(&kinds, &objects, Instant::now() + Duration::from_secs(60), None);
    let error = format!("{:#}", wait().await.unwrap_err());
    assert!(error.contains("deployment `a0`: 0 of 1 pods Ready"), "{error}");
    assert!(!error.contains("deployment `a1`"), "{error}");
    // The last ones find out what a pod that is not ready says.
    assert!(lists.load(Ordering::Relaxed) <= 2 + 1, "{lists:?}");
    let (done, ()) = tokio::join!(wait(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tell("a0").await;
    });
    done.unwrap();
    let gone = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        deployments.delete("a0", &kube::api::DeleteParams::default()).await.unwrap();
    };
    deployments
        .patch_status("a0", &PatchParams::default(), &Patch::Merge(json!({"status": {"readyReplicas": 0}})))
        .await
        .unwrap();
    let (done, ()) = tokio::join!(wait(), gone);
    let error = format!("{:#}", done.unwrap_err());
    assert!(error.contains("deployment `a0` is gone"), "{error}");
}

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_counts_pods_from_before_is_waited_for_until_they_are_ready() {
    // No controllers and no node: what is written is what is read.
    let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
    let client = kube::Client::new(server.service(), "default");
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template()}});
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let made = serde_json::from_value(object.clone()).unwrap();
    deployments.create(&PostParams::default(), &made).await.unwrap();
    let full = json!({"status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
        "availableReplicas": 1}});
    deployments.patch_status("a", &PatchParams::default(), &Patch::Merge(full)).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let mut pod = template();
    pod["metadata"]["name"] = json!("a-1");
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let tell = async |ready: &str| {
        let status = json!({"status": {"conditions": [{"type": "Ready", "status": ready}]}});
        pods.patch_status("a-1", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    };

    let (kinds, objects) = (Kinds::new(client.clone()), manifest::from_value(object).unwrap());
    let wait = || ready(&kinds, &objects, Instant::now() + Duration::from_secs(60), None);
    tell("False").await;
    let error = format!("{:#}", wait().await.unwrap_err());
    assert!(error.contains("0 of 1 pods Ready: pod `a-1` is not ready"), "{error}");
    tell("True").await;
    wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_single_pod_that_cannot_start_ends_the_wait_before_the_deadline() {
    let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
    let client = kube::Client::new(server.service(), "default");
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let waits = |reason: &str| {
        json!({"containerStatuses": [{"name": "c", "image": "r/x:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": "r/x:1: not found"}}}]})
    };
    let fails = json!({"phase": "Failed", "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"terminated": {"exitCode": 3}}}]});
    let pulls = vec![waits("ErrImagePull"), waits("ImagePullBackOff"), waits("ErrImagePull")];
    for (name, statuses, cause) in [
        ("pulls", pulls, "pod `pulls` cannot get image `r/x:1`: r/x:1: not found"),
        ("fails", vec![fails], "pod `fails`: container `c` does not start again: it exited with 3"),
    ] {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "r/x:1"}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(object.clone()).unwrap()).await.unwrap();
        let (kinds, objects) = (Kinds::new(client.clone()), manifest::from_value(object).unwrap());
        let change = async {
            for status in statuses {
                // Long enough on the paused clock for each status to be seen, and far from the deadline.
                sleep(Duration::from_secs(1)).await;
                let status = Patch::Merge(json!({ "status": status }));
                pods.patch_status(name, &PatchParams::default(), &status).await.unwrap();
            }
        };
        let deadline = Instant::now() + Duration::from_secs(600);
        let (ended, ()) = tokio::join!(ready(&kinds, &objects, deadline, None), change);
        let error = format!("{:#}", ended.unwrap_err());
        assert!(error.contains(&format!("pod `{name}` cannot become ready: {cause}")), "{error}");
    }
}
