//! The network of one pod.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use meshy_net::{BoxFuture, BoxIo, Listener, Network};
use tokio::sync::mpsc;

use super::address::NODE_ADDRESS;
use super::fabric::{Fabric, RedirectHandler};

/// The view of the [`Fabric`] that a pod or the node has.
#[derive(Clone)]
pub struct PodNetwork {
    fabric: Arc<Fabric>,
    address: Ipv4Addr,
    direct: bool,
}

impl PodNetwork {
    /// Adds a pod to the network and returns its view.
    ///
    /// # Errors
    /// `AddrNotAvailable` if all 65,000 pod addresses are in use.
    pub fn join(fabric: &Arc<Fabric>, namespace: &str, hostname: &str) -> io::Result<Self> {
        let address = fabric.join(namespace, hostname)?;
        Ok(Self::of(fabric, address))
    }

    /// Returns the view of the node: no outbound proxy is in the path of its connections.
    pub(crate) fn node(fabric: &Arc<Fabric>) -> Self {
        Self::of(fabric, NODE_ADDRESS)
    }

    /// Returns the view from inside a pod that bypasses its proxy, as a port-forward needs it.
    pub(crate) fn inside(fabric: &Arc<Fabric>, address: Ipv4Addr) -> Self {
        Self::of(fabric, address).direct()
    }

    fn of(fabric: &Arc<Fabric>, address: Ipv4Addr) -> Self {
        Self { fabric: fabric.clone(), address, direct: false }
    }

    /// Returns the pod address.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Returns the view of the pod's own proxy, whose connections are not redirected to itself.
    #[must_use]
    pub(crate) fn direct(&self) -> Self {
        Self { direct: true, ..self.clone() }
    }

    /// Redirects the connections to and from the pod to these handlers; `None` removes a redirect.
    pub(crate) fn redirect(&self, inbound: Option<RedirectHandler>, outbound: Option<RedirectHandler>) {
        self.fabric.redirect(self.address, inbound, outbound);
    }

    /// Waits until the pod listens on a port, or has left the network.
    pub(crate) async fn wait_for_listener(&self, port: u16) {
        self.fabric.wait_for_listener(self.address, port).await;
    }
}

impl Network for PodNetwork {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { self.fabric.resolve(self.address, host) })
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<BoxIo>> {
        Box::pin(self.fabric.connect(self.address, to, self.direct))
    }

    fn listen(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (local, queue) = self.fabric.listen(self.address, on)?;
            let listener = PodListener { fabric: self.fabric.clone(), pod: self.address, local, queue };
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }
}

struct PodListener {
    fabric: Arc<Fabric>,
    pod: Ipv4Addr,
    local: SocketAddr,
    queue: mpsc::Receiver<(BoxIo, SocketAddr)>,
}

impl Listener for PodListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, SocketAddr)>> {
        Box::pin(async move {
            match self.queue.recv().await {
                Some(stream) => Ok(stream),
                // The pod has left the network: its tasks end soon and must not loop on errors until then.
                None => std::future::pending().await,
            }
        })
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for PodListener {
    fn drop(&mut self) {
        self.queue.close();
        self.fabric.close_listener(self.pod, self.local.port());
    }
}
