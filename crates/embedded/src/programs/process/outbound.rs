//! The way of a program's requests: from a loopback listener for each Service through the proxy of its pod.
//!
//! The listener sets the authority of HTTP requests to the Service's, as the environment names it. So routes by host match, and
//! logs and tables show the Service. Other protocols pass unchanged.

mod http;
mod protocol;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use meshy_net::{BoxIo, Network};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::rewrite::{Reference, Target};
use crate::network::PodNetwork;
use crate::network::host::splice;
use crate::program::{Env, Execution};
use protocol::Protocol;

/// Loopback addresses for Services that are named without a port: 127.66.x.y.
const HOST_RANGE: [u8; 2] = [127, 66];

/// Addresses of [`HOST_RANGE`] that are tried before an error.
const HOST_ATTEMPTS: usize = 50;

/// The variables that select a proxy for HTTP; programs read one of them.
const HTTP_PROXY: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// A Service in the value of a variable.
pub(super) struct Route {
    pub(super) variable: String,
    pub(super) reference: Reference,
}

/// A Service with the local address that replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) variable: String,
    pub(super) authority: String,
    pub(super) local: String,
}

/// Where a listener's connections go.
#[derive(Clone)]
struct Upstream {
    network: PodNetwork,
    host: Arc<str>,
    port: u16,
    /// The authority that HTTP requests get; `None` for other protocols.
    authority: Option<Arc<str>>,
}

/// Opens a listener for each Service and puts its address into the environment.
///
/// # Errors
/// A loopback port cannot be bound.
pub(super) async fn open(
    routes: Vec<Route>,
    execution: &Execution,
    env: &mut Env,
    tasks: &mut JoinSet<()>,
) -> io::Result<Vec<Opened>> {
    let mut listeners: HashMap<(String, Target), String> = HashMap::new();
    let mut opened = Vec::new();
    // From the end, so that the places of the others in a value stay.
    for Route { variable, reference } in routes.into_iter().rev() {
        let key = (reference.authority.clone(), reference.target.clone());
        let local = match listeners.get(&key) {
            Some(local) => local.clone(),
            None => listen(&reference, &execution.network, tasks).await?,
        };
        listeners.insert(key, local.clone());
        if let Some(value) = env.get_mut(&variable) {
            value.replace_range(reference.range, &local);
        }
        opened.push(Opened { variable, authority: reference.authority, local });
    }
    opened.reverse();
    Ok(opened)
}

async fn listen(reference: &Reference, network: &PodNetwork, tasks: &mut JoinSet<()>) -> io::Result<String> {
    let upstream = |port, authority: Option<String>| Upstream {
        network: network.clone(),
        host: reference.host.as_str().into(),
        port,
        authority: authority.map(Into::into),
    };
    match &reference.target {
        Target::Authority { port, http } => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let local = listener.local_addr()?.to_string();
            let authority = http.then(|| reference.authority.clone());
            tasks.spawn(serve(listener, upstream(*port, authority)));
            Ok(local)
        }
        Target::Host { ports } => {
            let (address, listeners) = bind_all(ports).await?;
            for listener in listeners {
                let port = listener.local_addr()?.port();
                let authority = format!("{}:{port}", reference.host);
                tasks.spawn(serve(listener, upstream(port, Some(authority))));
            }
            Ok(address.to_string())
        }
    }
}

/// Binds the ports of a Service on a loopback address on which they are free.
async fn bind_all(ports: &[u16]) -> io::Result<(Ipv4Addr, Vec<TcpListener>)> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    'addresses: for _ in 0..HOST_ATTEMPTS {
        let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let address = Ipv4Addr::new(HOST_RANGE[0], HOST_RANGE[1], high, low);
        let mut listeners = Vec::new();
        for port in ports {
            match TcpListener::bind((address, *port)).await {
                Ok(listener) => listeners.push(listener),
                Err(error) => {
                    last =
                        io::Error::new(error.kind(), format!("cannot listen on {address}:{port}: {error}"));
                    if error.kind() == io::ErrorKind::AddrInUse {
                        continue 'addresses;
                    }
                    return Err(last);
                }
            }
        }
        return Ok((address, listeners));
    }
    Err(last)
}

/// Opens a proxy for HTTP requests to any name of the cluster and sets `HTTP_PROXY`.
///
/// # Errors
/// A loopback port cannot be bound.
pub(super) async fn open_http_proxy(
    execution: &Execution,
    env: &mut Env,
    tasks: &mut JoinSet<()>,
) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let local = listener.local_addr()?;
    for name in HTTP_PROXY {
        env.entry(name.to_owned()).or_insert_with(|| format!("http://{local}"));
    }
    for name in NO_PROXY {
        env.entry(name.to_owned()).or_insert_with(|| "localhost,127.0.0.0/8,127.0.0.1".to_owned());
    }
    tasks.spawn(serve_proxy(listener, execution.network.clone()));
    Ok(())
}

async fn serve(listener: TcpListener, upstream: Upstream) {
    accept(listener, |socket| {
        let upstream = upstream.clone();
        async move {
            let is_http = upstream.authority.is_some()
                && protocol::detect(&socket).await.is_ok_and(|protocol| protocol == Protocol::Http);
            match &upstream.authority {
                Some(authority) if is_http => {
                    let target =
                        http::Target::Fixed { upstream: upstream.clone(), authority: authority.clone() };
                    http::serve(socket, target).await;
                }
                // Without a connection the socket closes, as if the Service had closed it.
                _ => {
                    if let Ok(stream) = upstream.connect().await {
                        splice(socket, stream).await;
                    }
                }
            }
        }
    })
    .await;
}

async fn serve_proxy(listener: TcpListener, network: PodNetwork) {
    accept(listener, |socket| http::serve(socket, http::Target::OfRequest(network.clone()))).await;
}

/// Accepts connections until it is dropped, which ends them.
async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((socket, _)) => {
                // Small requests must not wait for the delayed acknowledgement of the peer.
                let _ = socket.set_nodelay(true);
                connections.spawn(serve(socket));
            }
            // Too many open files: others must close first.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

impl Upstream {
    /// Opens a stream to the Service, through the proxy of the pod if it has one.
    async fn connect(&self) -> io::Result<BoxIo> {
        connect(&self.network, &self.host, self.port).await
    }
}

async fn connect(network: &PodNetwork, host: &str, port: u16) -> io::Result<BoxIo> {
    let addresses: Vec<IpAddr> = network.resolve(host).await?;
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("Service {host} has no endpoint"));
    let address = addresses.first().ok_or_else(missing)?;
    network.connect(SocketAddr::new(*address, port)).await
}

#[cfg(test)]
mod tests;
