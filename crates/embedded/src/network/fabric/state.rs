//! The tables of the network and the decision where a connection goes.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use meshy_net::BoxIo;
use rand::seq::IndexedRandom;
use tokio::sync::{Notify, mpsc};

use crate::network::address::POD_RANGE;
use crate::network::outside;
use crate::network::services::ServiceEntry;

/// Streams that can wait for `accept` of a listener.
const BACKLOG: usize = 256;
/// Ports of the proxy itself, which are never redirected to it.
const PROXY_PORTS: [u16; 3] = [4143, 4190, 4191];

/// A stream that was redirected from its destination to a proxy.
pub(crate) struct RedirectedStream {
    pub(crate) io: BoxIo,
    /// The destination that the client connected to.
    pub(crate) original: SocketAddr,
    /// The address of the client.
    pub(crate) peer: SocketAddr,
}

/// Accepts redirected streams for a proxy; must not block.
pub(crate) type RedirectHandler = Arc<dyn Fn(RedirectedStream) + Send + Sync>;

/// A stream that waits for `accept`, and the address of its client.
pub(super) type PendingStream = (BoxIo, SocketAddr);

/// Namespace and name of a Service.
type ServiceKey = (String, String);

#[derive(Default)]
pub(super) struct State {
    pub(super) members: HashMap<Ipv4Addr, Member>,
    pub(super) services: HashMap<ServiceKey, Arc<ServiceEntry>>,
    /// Services by cluster IP.
    pub(super) addresses: HashMap<Ipv4Addr, Arc<ServiceEntry>>,
    last_address: u16,
}

/// A pod, or the node.
#[derive(Default)]
pub(super) struct Member {
    pub(super) namespace: String,
    pub(super) hostname: String,
    pub(super) listeners: HashMap<u16, BoundListener>,
    pub(super) inbound: Option<RedirectHandler>,
    pub(super) outbound: Option<RedirectHandler>,
    /// Notified on each new listener.
    pub(super) listening: Arc<Notify>,
}

pub(super) struct BoundListener {
    /// Accepts connections to 127.0.0.1 only.
    loopback: bool,
    queue: mpsc::Sender<PendingStream>,
}

/// Where a stream goes; decided under the lock, used without it.
pub(super) enum Target {
    /// The server in place of the world outside of the cluster.
    Outside,
    Listener(mpsc::Sender<PendingStream>),
    Proxy(RedirectHandler, SocketAddr),
}

impl Member {
    pub(super) fn new(namespace: &str, hostname: &str) -> Self {
        Self { namespace: namespace.to_owned(), hostname: hostname.to_owned(), ..Self::default() }
    }

    /// Binds a port (0 selects a free one) and returns it with the queue of its streams.
    pub(super) fn listen(&mut self, on: SocketAddr) -> io::Result<(u16, mpsc::Receiver<PendingStream>)> {
        let port = match on.port() {
            0 => (32_768..=60_999)
                .find(|port| !self.listeners.contains_key(port))
                .ok_or(io::ErrorKind::AddrNotAvailable)?,
            port => port,
        };
        // A listener whose receiver was dropped has freed its port.
        if self.listeners.get(&port).is_some_and(|bound| !bound.queue.is_closed()) {
            let message = format!("port {port} is in use in this pod");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        let (queue, receiver) = mpsc::channel(BACKLOG);
        self.listeners.insert(port, BoundListener { loopback: on.ip().is_loopback(), queue });
        self.listening.notify_waiters();
        Ok((port, receiver))
    }

    pub(super) fn close_listener(&mut self, port: u16) {
        if self.listeners.get(&port).is_some_and(|bound| bound.queue.is_closed()) {
            self.listeners.remove(&port);
        }
    }
}

impl State {
    /// Returns the next free address. Addresses are used in turn, so that a freed one is not reused immediately.
    pub(super) fn allocate_address(&mut self) -> io::Result<Ipv4Addr> {
        for _ in 0..u16::MAX {
            // 0.0 and 0.1 are the network and the node, 255.255 is the broadcast address.
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
        Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "all pod addresses are in use"))
    }

    pub(super) fn set_service(&mut self, entry: Arc<ServiceEntry>) {
        let key = (entry.namespace.clone(), entry.name.clone());
        if let Some(old) = self.services.get(&key).and_then(|old| old.cluster_ip) {
            self.addresses.remove(&old);
        }
        if let Some(address) = entry.cluster_ip {
            self.addresses.insert(address, entry.clone());
        }
        self.services.insert(key, entry);
    }

    pub(super) fn remove_service(&mut self, namespace: &str, name: &str) {
        let removed = self.services.remove(&(namespace.to_owned(), name.to_owned()));
        if let Some(address) = removed.and_then(|entry| entry.cluster_ip) {
            self.addresses.remove(&address);
        }
    }

    /// Decides where a connection from a pod goes; `direct` bypasses the redirects of that pod.
    pub(super) fn target(&self, from: Ipv4Addr, to: SocketAddr, direct: bool) -> io::Result<Target> {
        let IpAddr::V4(address) = to.ip() else { return Err(unreachable(to)) };
        let source = self.members.get(&from);
        if address.is_loopback() {
            return source
                .and_then(|source| source.listeners.get(&to.port()))
                .map_or_else(|| Err(refused(to)), listener);
        }
        if !direct && let Some(proxy) = source.and_then(|source| source.outbound.clone()) {
            return Ok(Target::Proxy(proxy, to));
        }
        if let Some(service) = self.addresses.get(&address) {
            let endpoint = service
                .ports
                .iter()
                .find(|port| port.port == to.port())
                .and_then(|port| port.endpoints.choose(&mut rand::rng()))
                .ok_or_else(|| refused(to))?;
            return self.member_target(from, *endpoint, direct);
        }
        self.member_target(from, to, direct)
    }

    fn member_target(&self, from: Ipv4Addr, to: SocketAddr, direct: bool) -> io::Result<Target> {
        let IpAddr::V4(address) = to.ip() else { return Err(unreachable(to)) };
        if outside::answers_for(address) {
            return Ok(Target::Outside);
        }
        let member = self.members.get(&address).ok_or_else(|| unreachable(to))?;
        let own_application = direct && from == address;
        if !own_application
            && !PROXY_PORTS.contains(&to.port())
            && let Some(proxy) = member.inbound.clone()
        {
            return Ok(Target::Proxy(proxy, to));
        }
        match member.listeners.get(&to.port()) {
            // The proxy of a pod reaches ports that the application bound to loopback, as on a real node.
            Some(bound) if !bound.loopback || own_application => listener(bound),
            _ => Err(refused(to)),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the other outcome is an error")]
fn listener(bound: &BoundListener) -> io::Result<Target> {
    Ok(Target::Listener(bound.queue.clone()))
}

pub(super) fn refused(to: SocketAddr) -> io::Error {
    // The words of Kubernetes, which clients look for.
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("dial tcp {to}: connect: connection refused"))
}

fn unreachable(to: SocketAddr) -> io::Error {
    io::Error::new(
        io::ErrorKind::HostUnreachable,
        format!("{to} is outside the network of the embedded cluster"),
    )
}
