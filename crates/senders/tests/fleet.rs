//! Senders on the embedded cluster.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use meshy_embedded::{Cluster, Options};
use meshy_kube::{Apply, Kinds, Manager, manifest, wait};
use meshy_load::protocol::Part;
use meshy_load::{Outcome, TargetSpec};
use meshy_senders::{Fleet, Identity, Load, Placement, cleanup, leftovers};
use meshy_topology::{ManifestOptions, Topology};
use tokio::sync::watch;
use tokio::time::Instant;

const IMAGE: &str = "localhost:5000/minimal-service:v1.0.0";

/// A cluster with service `app` in namespace `shop`.
async fn cluster() -> Cluster {
    let cluster = Cluster::start(Options { api_addr: None, ..Options::ephemeral("senders") }).await.unwrap();
    let kinds = Kinds::new(cluster.client());
    let topology: Topology = serde_json::from_value(serde_json::json!({
        "apiVersion": "meshy/v1alpha1", "kind": "Topology", "metadata": { "name": "app" },
        "services": [{ "name": "app", "entrypoint": true }],
    }))
    .unwrap();
    let options = ManifestOptions { namespace: "shop".to_owned(), image: IMAGE.to_owned(), inject: true };
    let objects = meshy_topology::manifests(&topology, &options);
    let objects = objects.into_iter().flat_map(|value| manifest::from_value(value).unwrap()).collect();
    let applied = Apply::new(&kinds, Manager::Manifests, deadline()).run(objects).await.unwrap();
    let objects: Vec<_> = applied.into_iter().map(|applied| applied.object).collect();
    wait::ready(&kinds, &objects, deadline(), None).await.unwrap();
    cluster
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

/// A load that is not stopped.
fn running() -> watch::Receiver<bool> {
    watch::channel(false).1
}

fn placement(count: u32) -> Placement {
    Placement {
        namespace: "shop".to_owned(),
        count,
        image: IMAGE.to_owned(),
        identity: Identity::meshed(true),
        length: Duration::from_secs(10),
    }
}

fn load(rate: f64, seconds: u64) -> Load {
    Load {
        targets: vec![TargetSpec { url: "http://app.shop:8080/".to_owned(), ..TargetSpec::default() }],
        parts: vec![Part { after_ms: 0, duration_ms: seconds * 1_000, rate }],
        connections: 32,
        timeout: Duration::from_secs(20),
    }
}

async fn pods(cluster: &Cluster) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(cluster.client(), "shop");
    api.list(&ListParams::default().labels("app.kubernetes.io/name=meshy-sender")).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meshed_senders_send_each_scheduled_request_once_and_leave_nothing_behind() {
    let cluster = cluster().await;
    let fleet =
        Fleet::start(&cluster.client(), &placement(4), "r1", deadline(), running()).await.unwrap().unwrap();
    for pod in pods(&cluster).await {
        let init = pod.spec.unwrap().init_containers.unwrap_or_default();
        assert!(init.iter().any(|container| container.name == "linkerd-proxy"), "a sender has no proxy");
    }
    let (_go, stop) = watch::channel(false);
    let mut seconds = 0;
    let sent = fleet.send(&load(200.0, 3), stop, |_, _| seconds += 1).await.unwrap();
    fleet.end().await.unwrap();
    assert_eq!((sent.scheduled(), sent.is_incomplete(), sent.interrupted), (600, false, false));
    assert!(sent.senders.iter().all(|sender| sender.requests_count == 150), "{:?}", sent.senders);
    assert_eq!(sent.report.outcomes()[&Outcome::Answer(200)].count(), 600, "{:?}", sent.summary());
    assert!(sent.start_skew.is_some() && seconds > 0);
    assert!(leftovers(&cluster.client(), None).await.unwrap().is_empty());
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_dies_makes_the_result_incomplete_with_what_is_known() {
    let cluster = cluster().await;
    let client = cluster.client();
    let fleet = Fleet::start(&client, &placement(2), "r2", deadline(), running()).await.unwrap().unwrap();
    let (_go, stop) = watch::channel(false);
    let (kill, killed) = watch::channel(false);
    let load = load(40.0, 8);
    let sending = fleet.send(&load, stop, |_, report| {
        if report.requests() > 20 {
            kill.send_replace(true);
        }
    });
    let killing = async {
        let mut killed = killed;
        killed.wait_for(|killed| *killed).await.unwrap();
        let api: Api<Pod> = Api::namespaced(client.clone(), "shop");
        api.delete("meshy-sender-r2-1", &DeleteParams::default().grace_period(0)).await.unwrap();
    };
    let (sent, ()) = tokio::join!(sending, killing);
    let sent = sent.unwrap();
    assert!(sent.is_incomplete());
    let [first, second] = &sent.senders[..] else { panic!("two senders: {:?}", sent.senders) };
    assert_eq!((first.requests_count, &first.lost), (160, &None));
    assert!(second.requests_count > 0 && second.requests_count < 160, "{second:?}");
    assert!(second.lost.as_deref().unwrap().contains("pod"), "{second:?}");
    assert_eq!(sent.report.requests(), first.requests_count + second.requests_count);
    cleanup(&client, Some("shop")).await.unwrap();
    assert!(leftovers(&client, None).await.unwrap().is_empty());
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_whose_proxy_is_an_ordinary_container_send_each_request_once() {
    let cluster = cluster().await;
    let mut identity = Identity::meshed(true);
    let annotation = "config.beta.linkerd.io/proxy-enable-native-sidecar";
    identity.annotations.insert(annotation.to_owned(), "false".to_owned());
    let placement = Placement { identity, ..placement(2) };
    let fleet =
        Fleet::start(&cluster.client(), &placement, "r4", deadline(), running()).await.unwrap().unwrap();
    for pod in pods(&cluster).await {
        let names: Vec<String> = pod.spec.unwrap().containers.into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["linkerd-proxy", "sender"]);
    }
    let (_go, stop) = watch::channel(false);
    let sent = fleet.send(&load(100.0, 2), stop, |_, _| {}).await.unwrap();
    fleet.end().await.unwrap();
    assert_eq!((sent.scheduled(), sent.is_incomplete()), (200, false));
    assert_eq!(sent.report.outcomes()[&Outcome::Answer(200)].count(), 200, "{:?}", sent.summary());
    assert!(leftovers(&cluster.client(), None).await.unwrap().is_empty());
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_whose_image_can_never_be_pulled_end_the_start_before_the_deadline() {
    let cluster = cluster().await;
    let placement = Placement { image: "localhost:5000/absent:v1".to_owned(), ..placement(2) };
    let started = Fleet::start(&cluster.client(), &placement, "r3", deadline(), running()).await;
    let error = format!("{:#}", started.err().expect("no sender can start"));
    assert!(error.starts_with("the senders did not start: pod `meshy-sender-r3-"), "{error}");
    assert!(error.contains("cannot get image `localhost:5000/absent:v1`"), "{error}");
    assert!(leftovers(&cluster.client(), None).await.unwrap().is_empty());
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_identity_of_a_deployment_is_that_of_its_pods() {
    let cluster = cluster().await;
    let identity = Identity::of_workload(&cluster.client(), "shop", "deploy/app").await.unwrap();
    assert_eq!(identity.service_account.as_deref(), Some("app"));
    for wrong in ["deploy/other", "app", "job/app"] {
        assert!(Identity::of_workload(&cluster.client(), "shop", wrong).await.is_err(), "{wrong}");
    }
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_that_are_stopped_while_they_start_are_deleted() {
    let cluster = cluster().await;
    let placement = Placement { image: "localhost:5000/absent:v1".to_owned(), ..placement(2) };
    let (stop, stopped) = watch::channel(false);
    let client = cluster.client();
    let start = Fleet::start(&client, &placement, "r5", deadline(), stopped);
    let stop_at_the_first_pod = async {
        while pods(&cluster).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.send_replace(true);
    };
    let (started, ()) = tokio::join!(start, stop_at_the_first_pod);
    assert!(started.unwrap().is_none(), "the wait for senders that cannot become ready goes on");
    let left = pods(&cluster).await;
    assert!(left.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()), "{left:?}");
    cluster.stop().await.unwrap();
}
