//! A port of this machine that leads to a pod, by the API server's port-forward.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use tokio::net::{TcpListener, TcpStream};

use meshy_base::Report;
use meshy_base::error::{Advise, Exit};
use meshy_kube::failure;

/// From a port of this machine to a pod.
#[derive(Clone)]
pub(crate) struct PodForward {
    /// How to talk to the cluster.
    pub(crate) client: Client,
    /// The namespace of the target.
    pub(crate) namespace: String,
    /// A pod's name, `deploy/NAME` or `svc/NAME`.
    pub(crate) target: String,
    /// The port of the target.
    pub(crate) remote: u16,
}

impl PodForward {
    /// Opens a free local port that leads there, and returns how to carry its connections: for as long as that is polled.
    ///
    /// # Errors
    /// There is no such target, or no ready pod.
    pub(crate) async fn open(
        self,
        report: Report,
    ) -> anyhow::Result<(SocketAddr, impl Future<Output = anyhow::Result<()>>)> {
        find(&self.client, &self.namespace, &self.target, self.remote).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
        let address = listener.local_addr().context("cannot read the local port")?;
        Ok((address, async move { self.serve(listener, &report).await }))
    }

    /// Carries the connections of a listener until an error.
    pub(crate) async fn serve(&self, listener: TcpListener, report: &Report) -> anyhow::Result<()> {
        loop {
            let (socket, _) = listener.accept().await.context("cannot accept a connection")?;
            let (forward, report) = (self.clone(), report.clone());
            tokio::spawn(async move {
                if let Err(error) =
                    carry(&forward.client, &forward.namespace, &forward.target, forward.remote, socket).await
                {
                    report.warn(format!("lost a connection: {}", failure::plain(&error)));
                }
            });
        }
    }
}

async fn carry(
    client: &Client,
    namespace: &str,
    target: &str,
    remote: u16,
    socket: TcpStream,
) -> anyhow::Result<()> {
    let (pod, port) = find(client, namespace, target, remote).await?;
    meshy_kube::port_forward::carry(client, (namespace, &pod, port), socket).await
}

/// A ready pod of the target, and the pod's port.
pub(crate) async fn find(
    client: &Client,
    namespace: &str,
    target: &str,
    remote: u16,
) -> anyhow::Result<(String, u16)> {
    let (kind, name) = target.split_once('/').unwrap_or(("pod", target));
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let absent = || format!("cannot find {kind} `{name}` in namespace `{namespace}`");
    let (labels, port) = match kind {
        "pod" | "pods" | "po" => return Ok((name.to_owned(), remote)),
        "deploy" | "deployment" | "deployments" => {
            let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
            let found = api.get(name).await.with_context(absent)?;
            (found.spec.and_then(|s| s.selector.match_labels), IntOrString::Int(remote.into()))
        }
        "svc" | "service" | "services" => {
            let api: Api<Service> = Api::namespaced(client.clone(), namespace);
            let spec = api.get(name).await.with_context(absent)?.spec.unwrap_or_default();
            let port = spec.ports.iter().flatten().find(|p| p.port == i32::from(remote));
            let port = port.with_context(|| format!("service `{name}` has no port {remote}"))?;
            let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
            (spec.selector, target)
        }
        _ => {
            return Err(anyhow!("cannot forward a port to `{kind}/{name}`"))
                .hint("name a pod, deploy/NAME or svc/NAME")
                .exit(Exit::Usage);
        }
    };
    let labels = labels.with_context(|| format!("{kind} `{name}` selects no pods"))?;
    let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let list =
        pods.list(&ListParams::default().labels(&labels.join(","))).await.context("cannot list pods")?;
    let serves = |pod: &Pod| pod.metadata.deletion_timestamp.is_none() && meshy_kube::is_pod_ready(pod);
    let ready = list.items.into_iter().find(serves);
    let pod = ready.with_context(|| format!("{kind} `{name}` has no ready pod"))?;
    let port = match port {
        IntOrString::Int(port) => u16::try_from(port).context("the port is out of range")?,
        IntOrString::String(named) => {
            let containers = pod.spec.iter().flat_map(|s| &s.containers);
            let mut ports = containers.flat_map(|c| c.ports.iter().flatten());
            let found = ports.find(|p| p.name.as_deref() == Some(&named));
            let found = found.with_context(|| format!("pod `{}` has no port `{named}`", pod.name_any()))?;
            u16::try_from(found.container_port).context("the port is out of range")?
        }
    };
    Ok((pod.name_any(), port))
}
