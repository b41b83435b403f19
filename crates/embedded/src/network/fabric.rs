//! The switch between all members: who listens where, and what a service address means.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, RwLock};

use meshy_net::BoxIo;
use rand::seq::IndexedRandom;
use tokio::sync::{Notify, mpsc};

use super::services::ServiceEntry;
use super::{NODE_ADDRESS, POD_RANGE, names, pod::PodNetwork};

/// Bytes a stream holds in each direction before its writer waits.
const STREAM_BUFFER: usize = 16 * 1024;
/// Streams that may wait for a listener's `accept`.
const BACKLOG: usize = 256;
/// Ports of a proxy itself: they are never redirected to it.
const PROXY_PORTS: [u16; 3] = [4143, 4190, 4191];

/// A stream that was taken away from its destination and given to a proxy.
pub struct Redirected {
    /// The near end of the stream.
    pub io: BoxIo,
    /// Where it was going.
    pub original: SocketAddr,
    /// Where it came from.
    pub peer: SocketAddr,
}

/// Takes streams on a proxy's behalf; must not block.
pub type Redirect = Arc<dyn Fn(Redirected) + Send + Sync>;

type Pending = (BoxIo, SocketAddr);

/// The shared state of the virtual network.
#[derive(Default)]
pub struct Fabric {
    state: RwLock<State>,
    ephemeral: AtomicU32,
}

#[derive(Default)]
struct State {
    members: HashMap<Ipv4Addr, Member>,
    services: HashMap<(String, String), Arc<ServiceEntry>>,
    addresses: HashMap<Ipv4Addr, Arc<ServiceEntry>>,
    last_address: u16,
}

#[derive(Default)]
struct Member {
    namespace: String,
    hostname: String,
    listeners: HashMap<u16, Bound>,
    inbound: Option<Redirect>,
    outbound: Option<Redirect>,
    /// Told at each new listener.
    bound: Arc<Notify>,
}

struct Bound {
    /// Listens on 127.0.0.1 only.
    loopback: bool,
    queue: mpsc::Sender<Pending>,
}

/// Where a stream goes, decided under the lock and carried out without it.
enum Target {
    Listener(mpsc::Sender<Pending>),
    Proxy(Redirect, SocketAddr),
}

impl Fabric {
    /// An empty network with only the node on it.
    pub fn new() -> Arc<Self> {
        let fabric = Arc::new(Self::default());
        fabric.write().members.insert(NODE_ADDRESS, Member::default());
        fabric
    }

    /// Adds a pod and gives its network.
    ///
    /// # Errors
    /// `AddrNotAvailable` when all 65,000 addresses are in use.
    pub fn join(self: &Arc<Self>, namespace: &str, hostname: &str) -> io::Result<PodNetwork> {
        let mut state = self.write();
        let address = state.free_address()?;
        let member =
            Member { namespace: namespace.to_owned(), hostname: hostname.to_owned(), ..Member::default() };
        state.members.insert(address, member);
        Ok(PodNetwork::new(self.clone(), address))
    }

    /// The node's own view: no proxy stands between it and a pod's door.
    pub fn node(self: &Arc<Self>) -> PodNetwork {
        PodNetwork::new(self.clone(), NODE_ADDRESS)
    }

    /// The view from inside a pod, past its proxy: a port-forward's.
    pub fn inside(self: &Arc<Self>, address: Ipv4Addr) -> PodNetwork {
        PodNetwork::new(self.clone(), address).direct()
    }

    /// Removes a pod: its listeners end, streams that are open go on until one side closes.
    pub fn leave(&self, address: Ipv4Addr) {
        self.write().members.remove(&address);
    }

    /// Puts a pod's proxies into the path of its streams.
    pub fn redirect(&self, address: Ipv4Addr, inbound: Option<Redirect>, outbound: Option<Redirect>) {
        if let Some(member) = self.write().members.get_mut(&address) {
            member.inbound = inbound;
            member.outbound = outbound;
        }
    }

    /// Sets or replaces what is known of a Service.
    pub fn set_service(&self, entry: Arc<ServiceEntry>) {
        let mut state = self.write();
        let key = (entry.namespace.clone(), entry.name.clone());
        if let Some(old) = state.services.get(&key).and_then(|old| old.cluster_ip) {
            state.addresses.remove(&old);
        }
        if let Some(address) = entry.cluster_ip {
            state.addresses.insert(address, entry.clone());
        }
        state.services.insert(key, entry);
    }

    /// Forgets a Service.
    pub fn remove_service(&self, namespace: &str, name: &str) {
        let mut state = self.write();
        let gone = state.services.remove(&(namespace.to_owned(), name.to_owned()));
        if let Some(address) = gone.and_then(|entry| entry.cluster_ip) {
            state.addresses.remove(&address);
        }
    }

    /// What is known of a Service.
    pub fn service(&self, namespace: &str, name: &str) -> Option<Arc<ServiceEntry>> {
        self.read().services.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// The Service behind a virtual address.
    pub fn service_at(&self, address: Ipv4Addr) -> Option<Arc<ServiceEntry>> {
        self.read().addresses.get(&address).cloned()
    }

    /// Whether a pod listens on a port.
    pub fn listens(&self, address: Ipv4Addr, port: u16) -> bool {
        self.read().members.get(&address).is_some_and(|member| member.listeners.contains_key(&port))
    }

    /// Resolves when a pod listens on a port.
    pub async fn listened(&self, address: Ipv4Addr, port: u16) {
        loop {
            let bound = match self.read().members.get(&address) {
                Some(member) if !member.listeners.contains_key(&port) => {
                    member.bound.clone().notified_owned()
                }
                _ => return,
            };
            bound.await;
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
        names::candidates(&lower, namespace)
            .into_iter()
            .find_map(|(name, namespace)| state.services.get(&(namespace.to_owned(), name.to_owned())))
            .map(|entry| entry.addresses())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no such host: {host}")))
    }

    /// Opens a stream; `direct` is a proxy's own view, which no redirect of its pod concerns.
    pub(super) async fn connect(&self, from: Ipv4Addr, to: SocketAddr, direct: bool) -> io::Result<BoxIo> {
        let target = self.read().target(from, to, direct)?;
        let peer_address = if to.ip().is_loopback() { Ipv4Addr::LOCALHOST } else { from };
        let peer = SocketAddr::new(peer_address.into(), self.ephemeral_port());
        let (near, far) = tokio::io::duplex(STREAM_BUFFER);
        match target {
            Target::Proxy(proxy, original) => proxy(Redirected { io: Box::new(far), original, peer }),
            Target::Listener(queue) => {
                queue.send((Box::new(far), peer)).await.map_err(|_| refused(to))?;
            }
        }
        Ok(Box::new(near))
    }

    pub(super) fn listen(
        &self,
        member: Ipv4Addr,
        on: SocketAddr,
    ) -> io::Result<(SocketAddr, mpsc::Receiver<Pending>)> {
        let mut state = self.write();
        let found = state
            .members
            .get_mut(&member)
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "the pod is gone"))?;
        let listeners = &mut found.listeners;
        let port = match on.port() {
            0 => (32_768..=60_999)
                .find(|port| !listeners.contains_key(port))
                .ok_or(io::ErrorKind::AddrNotAvailable)?,
            port => port,
        };
        // A listener whose receiver was dropped has freed its port.
        if listeners.get(&port).is_some_and(|bound| !bound.queue.is_closed()) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("port {port} is in use in this pod"),
            ));
        }
        let (queue, receiver) = mpsc::channel(BACKLOG);
        listeners.insert(port, Bound { loopback: on.ip().is_loopback(), queue });
        found.bound.notify_waiters();
        let ip = if on.ip().is_unspecified() { member.into() } else { on.ip() };
        Ok((SocketAddr::new(ip, port), receiver))
    }

    /// Frees a port, unless someone else has taken it since.
    pub(super) fn unlisten(&self, member: Ipv4Addr, port: u16) {
        if let Some(member) = self.write().members.get_mut(&member)
            && member.listeners.get(&port).is_some_and(|bound| bound.queue.is_closed())
        {
            member.listeners.remove(&port);
        }
    }

    fn ephemeral_port(&self) -> u16 {
        let next = self.ephemeral.fetch_add(1, Ordering::Relaxed) % 28_232;
        32_768 + u16::try_from(next).unwrap_or_default()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    /// Addresses go round the range, so that one just freed is not given to another pod at once.
    fn free_address(&mut self) -> io::Result<Ipv4Addr> {
        for _ in 0..u16::MAX {
            // 0.0 and 0.1 are the network and the node, 255.255 the broadcast address.
            self.last_address = match self.last_address.wrapping_add(1) {
                0..=1 | u16::MAX => 2,
                next => next,
            };
            let [high, low] = self.last_address.to_be_bytes();
            let address = Ipv4Addr::new(POD_RANGE[0], POD_RANGE[1], high, low);
            if !self.members.contains_key(&address) {
                return Ok(address);
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "every pod address is in use"))
    }

    fn target(&self, from: Ipv4Addr, to: SocketAddr, direct: bool) -> io::Result<Target> {
        let IpAddr::V4(address) = to.ip() else { return Err(unreachable(to)) };
        let own = self.members.get(&from);
        if address.is_loopback() {
            return own
                .and_then(|own| own.listeners.get(&to.port()))
                .map_or_else(|| Err(refused(to)), listener);
        }
        if !direct && let Some(proxy) = own.and_then(|own| own.outbound.clone()) {
            return Ok(Target::Proxy(proxy, to));
        }
        if let Some(service) = self.addresses.get(&address) {
            let chosen = service
                .ports
                .iter()
                .find(|port| port.port == to.port())
                .and_then(|port| port.endpoints.choose(&mut rand::rng()))
                .ok_or_else(|| refused(to))?;
            return self.member_target(from, *chosen, direct);
        }
        self.member_target(from, to, direct)
    }

    fn member_target(&self, from: Ipv4Addr, to: SocketAddr, direct: bool) -> io::Result<Target> {
        let IpAddr::V4(address) = to.ip() else { return Err(unreachable(to)) };
        let member = self.members.get(&address).ok_or_else(|| unreachable(to))?;
        let own_application = direct && from == address;
        if !own_application
            && !PROXY_PORTS.contains(&to.port())
            && let Some(proxy) = member.inbound.clone()
        {
            return Ok(Target::Proxy(proxy, to));
        }
        match member.listeners.get(&to.port()) {
            // A proxy reaches what its application bound to loopback, as on a real node.
            Some(bound) if !bound.loopback || own_application => listener(bound),
            _ => Err(refused(to)),
        }
    }
}

fn listener(bound: &Bound) -> io::Result<Target> {
    Ok(Target::Listener(bound.queue.clone()))
}

fn refused(to: SocketAddr) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("nothing listens on {to}"))
}

fn unreachable(to: SocketAddr) -> io::Error {
    io::Error::new(io::ErrorKind::HostUnreachable, format!("{to} is outside the embedded cluster's network"))
}
