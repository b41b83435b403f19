//! Measurements for `bench/embedded`: the time to the first response, the time to 500 ready pods, the memory of a pod.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt as _};
use meshy_embedded::{Cluster, Options};
use meshy_embedded::{Fabric, PodNetwork};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const PODS: u32 = 500;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    measure_services_alone().await?;
    let start = Instant::now();
    let cluster = Cluster::start(Options::ephemeral("bench")).await?;
    let started = start.elapsed();
    let client = cluster.client();
    for overlay in ["minimal-service", "bounced-service"] {
        deploy(&client, overlay).await?;
    }
    wait_until_served(cluster.ingress_addr(), "minimal-service").await;
    print_time("API and ingress listen after", started);
    print_time("first 200 of two meshed services through the ingress after", start.elapsed());

    apply(&client, many(0)).await?;
    let (before, revision) = (resident()?, revision(&client).await?);
    let start = Instant::now();
    apply(&client, many(PODS)).await?;
    let deployments: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &deployments());
    let all = |found: Option<&DynamicObject>| {
        found.is_some_and(|found| found.data["status"]["readyReplicas"] == json!(PODS))
    };
    await_condition(deployments, "many", all).await?;
    print_time(&format!("{PODS} pods are Running and Ready after"), start.elapsed());

    // The memory of all revisions of the objects: the log of the API keeps the last 4096.
    let grown = resident()?.saturating_sub(before);
    let revisions = self::revision(&client).await? - revision;
    let held_before = resident()?;
    let pods: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &core("Pod"));
    let kept = pods.list(&ListParams::default().labels("app=many")).await?.items;
    let copies: Vec<Value> = kept.iter().map(serde_json::to_value).collect::<serde_json::Result<_>>()?;
    let again = copies.clone();
    let object = resident()?.saturating_sub(held_before) / (2 * u64::from(PODS));
    print(&format!(
        "memory grows by {} KiB per pod, including API objects and their log",
        grown / u64::from(PODS)
    ));
    print(&format!(
        "{} revisions per pod, the last of which takes {object} KiB",
        revisions / u64::from(PODS)
    ));
    drop((copies, again));
    cluster.stop().await?;
    Ok(())
}

/// Measures the test service and its network without the objects of the API.
async fn measure_services_alone() -> Result<()> {
    let fabric = Fabric::new();
    let before = resident()?;
    let mut services = JoinSet::new();
    for number in 0..PODS {
        let network = PodNetwork::join(&fabric, "default", &format!("service-{number}"))?;
        let config = minimal_service::Config::from_env([])?;
        services.spawn(minimal_service::run(
            config,
            Arc::new(network),
            Arc::new(|_| {}),
            std::future::pending(),
        ));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    print(&format!("a service and its network take {} KiB", (resident()? - before) / u64::from(PODS)));
    services.shutdown().await;
    Ok(())
}

fn many(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "many", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "many" } },
            "template": {
                "metadata": { "labels": { "app": "many" } },
                "spec": { "containers": [{ "name": "service", "image": "minimal-service" }] },
            },
        },
    })
}

async fn deploy(client: &Client, overlay: &str) -> Result<()> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test-services/overlays").join(overlay);
    for object in meshy_kustomize::build(&meshy_kustomize::Disk, &tree)?.objects {
        apply(client, object).await?;
    }
    Ok(())
}

async fn apply(client: &Client, object: Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().ok_or("an object without a kind")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    api.patch(&object.name_any(), &PatchParams::apply("bench").force(), &Patch::Apply(&object)).await?;
    Ok(())
}

async fn wait_until_served(ingress: SocketAddr, host: &str) {
    let request = format!("GET /health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    loop {
        let served = async {
            let mut stream = TcpStream::connect(ingress).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut response = String::new();
            stream.read_to_string(&mut response).await?;
            std::io::Result::Ok(response.starts_with("HTTP/1.1 200"))
        };
        if served.await.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn revision(client: &Client) -> Result<u64> {
    let pods: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &core("Pod"));
    let list = pods.list(&ListParams::default().limit(1)).await?;
    Ok(list.metadata.resource_version.unwrap_or_default().parse()?)
}

fn core(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind))
}

fn deployments() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"))
}

/// Returns the resident memory of this process in KiB.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

fn print_time(what: &str, time: Duration) {
    print(&format!("{what} {} ms", time.as_millis()));
}

#[expect(clippy::print_stdout, reason = "the output of an example")]
fn print(line: &str) {
    println!("{line}");
}
