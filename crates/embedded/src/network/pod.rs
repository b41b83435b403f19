//! The network as one pod sees it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use meshy_net::{BoxFuture, BoxIo, Listener, Network};
use tokio::sync::mpsc;

use super::fabric::Fabric;

/// A member's view of the [`Fabric`].
#[derive(Clone)]
pub struct PodNetwork {
    fabric: Arc<Fabric>,
    address: Ipv4Addr,
    direct: bool,
}

impl PodNetwork {
    pub(super) fn new(fabric: Arc<Fabric>, address: Ipv4Addr) -> Self {
        Self { fabric, address, direct: false }
    }

    /// The member's address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The view of the pod's own proxy: its streams are not redirected to itself.
    #[must_use]
    pub fn direct(&self) -> Self {
        Self { direct: true, ..self.clone() }
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
            let listener = PodListener { fabric: self.fabric.clone(), member: self.address, local, queue };
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }
}

struct PodListener {
    fabric: Arc<Fabric>,
    member: Ipv4Addr,
    local: SocketAddr,
    queue: mpsc::Receiver<(BoxIo, SocketAddr)>,
}

impl Listener for PodListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, SocketAddr)>> {
        Box::pin(async move {
            match self.queue.recv().await {
                Some(stream) => Ok(stream),
                // The pod has left the network; its tasks end soon, and must not spin on errors until then.
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
        self.fabric.unlisten(self.member, self.local.port());
    }
}
