use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::*;
use crate::manifest;

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

/// The log of each container is its name.
struct Logs;

impl meshy_apiserver::PodBackend for Logs {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        options: meshy_apiserver::LogOptions,
    ) -> meshy_net::BoxFuture<
        'a,
        meshy_apiserver::Result<stream::BoxStream<'static, std::io::Result<bytes::Bytes>>>,
    > {
        let log = format!("log of {}\n", options.container.unwrap_or_default());
        Box::pin(async move { Ok(stream::iter([Ok(log.into())]).boxed()) })
    }

    fn connect<'a>(
        &'a self,
        _: &'a str,
        pod: &'a str,
        _: u16,
    ) -> meshy_net::BoxFuture<'a, meshy_apiserver::Result<meshy_net::BoxIo>> {
        Box::pin(async move { Err(meshy_apiserver::ApiError::not_found("pods", pod)) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_out_of_time_quotes_the_log_of_a_container_that_failed_and_not_its_back_off() {
    let options = meshy_apiserver::Options {
        pods: Some(std::sync::Arc::new(Logs)),
        ..meshy_apiserver::Options::default()
    };
    let client = kube::Client::new(meshy_apiserver::Server::new(options).service(), "default");
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template()}});
    let made = serde_json::from_value(object.clone()).unwrap();
    deployments.create(&PostParams::default(), &made).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let mut pod = template();
    pod["metadata"]["name"] = json!("a-1");
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let event = json!({"metadata": {"name": "back-off"}, "type": "Warning", "reason": "BackOff",
        "message": "Back-off restarting failed container c", "involvedObject": {"kind": "Pod", "name": "a-1"}});
    let events: Api<k8s_openapi::api::core::v1::Event> = Api::default_namespaced(client.clone());
    events.create(&PostParams::default(), &serde_json::from_value(event).unwrap()).await.unwrap();
    let quote = async |state: Value| {
        let status = json!({"status": {"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false,
            "restartCount": 1, "containerID": "containerd://1", "state": state}]}});
        pods.patch_status("a-1", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        let (kinds, objects) = (Kinds::new(client.clone()), manifest::from_value(object.clone()).unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        format!("{:#}", ready(&kinds, &objects, deadline, None).await.unwrap_err())
    };
    let error = quote(json!({"waiting": {"reason": "CrashLoopBackOff"}, "running": null})).await;
    assert!(error.contains("the log of pod `a-1`, container `c`, ends with: log of c"), "{error}");
    let error = quote(json!({"running": {}, "waiting": null})).await;
    assert!(error.contains("pod `a-1`: Back-off restarting failed container c"), "{error}");
}
