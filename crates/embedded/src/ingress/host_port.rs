//! The port of the machine that is connected to the ingress pod.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meshy_net::Network;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::names::{CONTROLLER, NAMESPACE};
use crate::network::{Fabric, PodNetwork, host};
use crate::service_table::ServiceTable;
use crate::task;

/// How long a connection waits for a ready ingress pod, which may be restarting.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of open connections; further ones wait in the backlog of the socket.
const MAX_CONNECTIONS: usize = 4096;
/// The delay after a failed `accept`: a process without free file descriptors cannot retry immediately.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Connects each connection of a socket to the ingress pod, until the set is dropped.
pub(crate) fn start(
    listener: TcpListener,
    fabric: Arc<Fabric>,
    services: Arc<ServiceTable>,
    tasks: &mut JoinSet<()>,
) {
    task::start(tasks, async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((socket, _)) => {
                        connections.spawn(connect(socket, fabric.clone(), services.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection on the ingress port");
                        sleep(ACCEPT_RETRY_DELAY).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    });
}

async fn connect(socket: TcpStream, fabric: Arc<Fabric>, services: Arc<ServiceTable>) {
    let Ok(Some(pod)) = timeout(READY_TIMEOUT, ready_pod(&services)).await else { return };
    match PodNetwork::node(&fabric).connect(pod).await {
        Ok(stream) => host::splice(socket, stream).await,
        Err(error) => tracing::debug!(%error, "cannot connect to the ingress pod"),
    }
}

async fn ready_pod(services: &ServiceTable) -> Option<SocketAddr> {
    let mut endpoints = services.watch_endpoints(NAMESPACE, CONTROLLER, 80);
    let found = endpoints.wait_for(|endpoints| !endpoints.is_empty()).await.ok()?;
    found.first().map(|endpoint| endpoint.address)
}
