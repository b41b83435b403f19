//! The switch between the pods and the node: listeners, redirects and Service addresses.

mod state;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use meshy_net::BoxIo;
use tokio::sync::mpsc;

use super::address::NODE_ADDRESS;
use super::services::ServiceEntry;
use super::{names, outside};
use state::{Member, PendingStream, State, Target, refused};
pub(crate) use state::{RedirectHandler, RedirectedStream};

/// Bytes that a stream buffers in each direction before its writer waits.
const STREAM_BUFFER: usize = 16 * 1024;

/// The shared state of the cluster network.
#[derive(Default)]
pub struct Fabric {
    state: RwLock<State>,
    ephemeral: AtomicU32,
}

impl Fabric {
    /// Creates a network with only the node on it.
    pub fn new() -> Arc<Self> {
        let fabric = Arc::new(Self::default());
        fabric.write().members.insert(NODE_ADDRESS, Member::default());
        fabric
    }

    /// Adds a pod and returns its address.
    ///
    /// # Errors
    /// `AddrNotAvailable` if all pod addresses are in use.
    pub(super) fn join(&self, namespace: &str, hostname: &str) -> io::Result<Ipv4Addr> {
        let mut state = self.write();
        let address = state.allocate_address()?;
        state.members.insert(address, Member::new(namespace, hostname));
        Ok(address)
    }

    /// Removes a pod: its listeners close; open streams continue until one side closes them.
    pub(crate) fn leave(&self, address: Ipv4Addr) {
        self.write().members.remove(&address);
    }

    /// Redirects the connections to and from a pod to these handlers; `None` removes a redirect.
    pub(super) fn redirect(
        &self,
        address: Ipv4Addr,
        inbound: Option<RedirectHandler>,
        outbound: Option<RedirectHandler>,
    ) {
        if let Some(member) = self.write().members.get_mut(&address) {
            member.inbound = inbound;
            member.outbound = outbound;
        }
    }

    /// Adds or replaces a Service.
    pub(crate) fn set_service(&self, entry: Arc<ServiceEntry>) {
        self.write().set_service(entry);
    }

    /// Removes a Service.
    pub(crate) fn remove_service(&self, namespace: &str, name: &str) {
        self.write().remove_service(namespace, name);
    }

    /// Returns the Service with a cluster IP.
    pub(crate) fn service_at(&self, address: Ipv4Addr) -> Option<Arc<ServiceEntry>> {
        self.read().addresses.get(&address).cloned()
    }

    /// Waits until a pod listens on a port, or has left the network.
    pub(super) async fn wait_for_listener(&self, address: Ipv4Addr, port: u16) {
        loop {
            let listening = match self.read().members.get(&address) {
                Some(member) if !member.listeners.contains_key(&port) => {
                    member.listening.clone().notified_owned()
                }
                _ => return,
            };
            listening.await;
        }
    }

    pub(super) fn resolve(&self, from: Ipv4Addr, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        let state = self.read();
        let member = state.members.get(&from);
        if member.is_some_and(|member| member.hostname == host) {
            return Ok(vec![from.into()]);
        }
        let namespace = member.map_or("default", |member| member.namespace.as_str());
        let lower = host.to_ascii_lowercase();
        names::service_candidates(&lower, namespace)
            .into_iter()
            .find_map(|(name, namespace)| state.services.get(&(namespace.to_owned(), name.to_owned())))
            .map(|entry| entry.addresses())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no such host: {host}")))
    }

    /// Opens a stream; `direct` bypasses the redirects of the pod at `from`.
    pub(super) async fn connect(&self, from: Ipv4Addr, to: SocketAddr, direct: bool) -> io::Result<BoxIo> {
        let target = self.read().target(from, to, direct)?;
        let peer_address = if to.ip().is_loopback() { Ipv4Addr::LOCALHOST } else { from };
        let peer = SocketAddr::new(peer_address.into(), self.ephemeral_port());
        let (near, far) = tokio::io::duplex(STREAM_BUFFER);
        match target {
            Target::Proxy(proxy, original) => {
                proxy(RedirectedStream { io: Box::new(far), original, peer });
            }
            Target::Outside => drop(tokio::spawn(outside::serve(Box::new(far), to))),
            Target::Listener(queue) => {
                queue.send((Box::new(far), peer)).await.map_err(|_| refused(to))?;
            }
        }
        Ok(Box::new(near))
    }

    pub(super) fn listen(
        &self,
        pod: Ipv4Addr,
        on: SocketAddr,
    ) -> io::Result<(SocketAddr, mpsc::Receiver<PendingStream>)> {
        let mut state = self.write();
        let member = state
            .members
            .get_mut(&pod)
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "the pod has left the network"))?;
        let (port, queue) = member.listen(on)?;
        let ip = if on.ip().is_unspecified() { pod.into() } else { on.ip() };
        Ok((SocketAddr::new(ip, port), queue))
    }

    /// Frees a port, unless another listener has bound it since.
    pub(super) fn close_listener(&self, pod: Ipv4Addr, port: u16) {
        if let Some(member) = self.write().members.get_mut(&pod) {
            member.close_listener(port);
        }
    }

    fn ephemeral_port(&self) -> u16 {
        let next = self.ephemeral.fetch_add(1, Ordering::Relaxed) % 28_232;
        32_768 + u16::try_from(next).unwrap_or_default()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
