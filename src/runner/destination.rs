//! Where the load of a step is sent: through the ingress, by a port-forward, or to a URL.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow};
use meshy_base::Report;
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::scenario::{Load, StatusFrom, Via};
use meshy_kube::failure;
use meshy_load::Target;
use tokio_util::task::AbortOnDropHandle;

use super::ground::{Place, Served};
use crate::forward::PodForward;
use crate::run_cluster::RunCluster;

/// A request of a load, and the port-forward that it needs.
pub(super) struct Destination {
    /// The request.
    pub(super) target: Target,
    /// The port-forward lives as long as this.
    _forward: Option<AbortOnDropHandle<()>>,
}

impl Destination {
    /// Finds the way to the target of a load.
    ///
    /// # Errors
    /// There is no such service, or no way to it.
    pub(super) async fn of(
        run_cluster: &RunCluster,
        place: &Place,
        load: &Load,
        report: &Report,
    ) -> anyhow::Result<Self> {
        let name = load.target.value.as_str();
        if name.contains("://") {
            let target = Target::of_url(name)
                .await
                .hint("a URL is http://HOST[:PORT]/PATH, or grpc://HOST[:PORT]/SERVICE/METHOD")?;
            return Ok(Self { target: complete(target, load)?, _forward: None });
        }
        let found = place.services.iter().find(|served| served.name == name);
        let grpc = found.is_some_and(|served| served.grpc);
        let entry = place.entries.iter().find(|entry| entry.service == name);
        // nginx accepts gRPC with TLS only.
        let entry = entry.filter(|_| load.via != Some(Via::PortForward) && !grpc);
        if let (Some(entry), Some(ingress)) = (entry, run_cluster.ingress) {
            return Ok(Self {
                target: complete(request(ingress, &entry.host, load)?, load)?,
                _forward: None,
            });
        }
        if load.via == Some(Via::Ingress) {
            let why = if grpc { ", which uses gRPC" } else { "" };
            return Err(anyhow!("the ingress does not lead to service `{name}`{why}"))
                .hint("`via: port-forward` sends the load by a port-forward, `senders: 1` from a pod")
                .exit(Exit::Usage);
        }
        let Served { port, .. } = found.with_context(|| format!("there is no service `{name}`"))?;
        let forward = PodForward {
            client: run_cluster.client.clone(),
            namespace: place.namespace.clone(),
            target: format!("svc/{name}"),
            remote: *port,
        };
        let (address, carried) = forward.open(report.clone()).await?;
        let report = report.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = carried.await {
                report.warn(format!("the port-forward ended: {}", failure::plain(&error)));
            }
        });
        let host = format!("{name}.{}.svc.cluster.local:{port}", place.namespace);
        let target = request(address, &host, load)?;
        let target = complete(if grpc { target.into_grpc(&[]) } else { target }, load)?;
        Ok(Self { target, _forward: Some(AbortOnDropHandle::new(task)) })
    }
}

fn request(address: SocketAddr, host: &str, load: &Load) -> anyhow::Result<Target> {
    Target::new(address, host, load.path.as_deref().unwrap_or("/"))
}

/// Adds what the load defines about the request.
fn complete(mut target: Target, load: &Load) -> anyhow::Result<Target> {
    if let Some(method) = &load.method {
        target.method = method.parse().with_context(|| format!("invalid method `{method}`"))?;
    }
    for (name, value) in &load.headers {
        target.header(&format!("{name}: {value}"))?;
    }
    match &load.body {
        Some(body) if target.grpc => target = target.into_grpc(body.as_bytes()),
        Some(body) => target.body = body.clone().into(),
        None => {}
    }
    target.bounce = load.status_from == Some(StatusFrom::Body);
    Ok(target)
}
