//! The machine's own port, which leads to the ingress pod.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meshy_net::Network;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{CONTROLLER, NAMESPACE};
use crate::network::{Fabric, outside};
use crate::topology::Topology;

/// How long a connection waits for the ingress pod to be ready: it may be restarting.
const WAIT: Duration = Duration::from_secs(10);
/// Connections at once; more wait in the system's backlog.
const CONNECTIONS: usize = 4096;

/// Leads every connection of a socket to the ingress pod, until the set is dropped.
pub(crate) fn open(
    listener: TcpListener,
    fabric: Arc<Fabric>,
    topology: Arc<Topology>,
    tasks: &mut JoinSet<()>,
) {
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((socket, _)) => {
                        connections.spawn(lead(socket, fabric.clone(), topology.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "accept on the ingress port");
                        // Out of descriptors, say, which an immediate try cannot cure.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    });
}

async fn lead(socket: TcpStream, fabric: Arc<Fabric>, topology: Arc<Topology>) {
    let Ok(Some(pod)) = timeout(WAIT, ready_pod(&topology)).await else { return };
    match fabric.node().connect(pod).await {
        Ok(stream) => outside::splice(socket, stream).await,
        Err(error) => tracing::debug!(%error, "reach the ingress pod"),
    }
}

async fn ready_pod(topology: &Topology) -> Option<SocketAddr> {
    let mut members = topology.members(NAMESPACE, CONTROLLER, 80);
    let found = members.wait_for(|members| !members.is_empty()).await.ok()?;
    found.first().map(|member| member.address)
}
