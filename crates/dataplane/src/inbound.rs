//! The way in: from another pod's connection to the pod's application.

mod profile;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use meshy_net::{BoxIo, SharedNetwork};
use tokio::io::copy_bidirectional;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use crate::body::{Answer, RequestBody, Tracker, Tracking};
use crate::classify::{self, Class};
use crate::client::{Client, Connector};
use crate::detect::{self, Protocol, detect};
use crate::error::ProxyError;
use crate::identity::{Identity, peer_name};
use crate::metrics::{HttpScope, Labels, Metrics, Outcome, TcpScope};
use crate::outbound::{address_labels, strip_hop_by_hop, strip_mesh};
use crate::proxy::{Probe, ProxyConfig};
use crate::serve::{self, Handler, wants_upgrade};
use crate::transport::{Rewind, Stream, Transport};
use profile::{Profiles, Routed};

static CLIENT_ID: HeaderName = HeaderName::from_static("l5d-client-id");

/// How long a handshake may take; as long as a protocol may stay unknown.
const HANDSHAKE: std::time::Duration = std::time::Duration::from_secs(10);

/// An application with more ports than this has some of them looked up anew now and then.
const PORTS: usize = 64;

/// The inbound half of a proxy.
pub(crate) struct Inbound {
    app: SharedNetwork,
    identity: Arc<RwLock<Option<Identity>>>,
    metrics: Arc<Metrics>,
    opaque_ports: Vec<u16>,
    probes: Vec<Probe>,
    error_headers: bool,
    profiles: Profiles,
    /// The application's ports that were asked for; as many as it has.
    ports: Mutex<HashMap<SocketAddr, Arc<Port>>>,
}

/// One address of the application: the connections to it and the counters of its callers.
struct Port {
    client: Client,
    addr: SocketAddr,
    callers: Mutex<HashMap<Option<Arc<str>>, Arc<Caller>>>,
}

/// The counters of one caller's requests to one port; callers without an identity share theirs.
struct Caller {
    connections: Arc<TcpScope>,
    requests: Arc<HttpScope>,
    probes: Arc<HttpScope>,
    client_id: Option<HeaderValue>,
}

impl Inbound {
    pub(crate) fn new(
        config: &ProxyConfig,
        metrics: Arc<Metrics>,
        identity: Arc<RwLock<Option<Identity>>>,
    ) -> Self {
        Self {
            app: config.app.clone(),
            identity,
            opaque_ports: config.opaque_ports.clone(),
            probes: config.probes.clone(),
            error_headers: config.error_headers,
            profiles: Profiles::new(config.discovery.clone(), metrics.clone()),
            ports: Mutex::default(),
            metrics,
        }
    }

    /// Serves one connection of another pod.
    pub(crate) async fn serve(
        self: &Arc<Self>,
        io: BoxIo,
        original: SocketAddr,
        _peer: SocketAddr,
    ) -> io::Result<()> {
        let (stream, client_id) = self.accept(io).await?;
        let port = self.port(original);
        let caller = port.caller(&self.metrics, client_id);
        let mut transport = Transport::new(stream, caller.connections.clone());
        let mut protocol = Protocol::Opaque;
        if !self.opaque_ports.contains(&original.port()) {
            let (detected, head) = detect(&mut transport, Protocol::Opaque, detect::http).await?;
            transport.rewind(head);
            protocol = detected;
        }
        if protocol == Protocol::Opaque {
            let mut app = port.client.open().await.map_err(io::Error::other)?;
            return copy_bidirectional(&mut transport, &mut app).await.map(drop);
        }
        let handler = InboundHandler { inbound: self.clone(), port, caller };
        serve::http(transport, protocol, Arc::new(handler)).await
    }

    /// Ends a TLS session meant for this identity; gives the caller's, which its certificate proves.
    async fn accept(&self, mut io: BoxIo) -> io::Result<(Stream, Option<Arc<str>>)> {
        let identity = self.identity.read().expect("identity lock").clone();
        let Some(identity) = identity else {
            return Ok((Stream::Plain(Rewind { head: Bytes::new(), io }), None));
        };
        let name = identity.name().clone();
        let (ours, head) = detect(&mut io, false, |bytes| detect::mesh_tls(bytes, &name)).await?;
        let rewound = Rewind { head, io };
        if !ours {
            return Ok((Stream::Plain(rewound), None));
        }
        let accepted = timeout(HANDSHAKE, TlsAcceptor::from(identity.server).accept(rewound));
        let session = accepted.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let client_id = peer_name(session.get_ref().1.peer_certificates());
        Ok((Stream::Accepted(Box::new(session)), client_id))
    }

    fn port(&self, addr: SocketAddr) -> Arc<Port> {
        let mut ports = self.ports.lock().expect("ports lock");
        let make = || {
            let labels = Labels::new().with("direction", "inbound").with("peer", "dst");
            let labels = labels.with("tls", "no_identity").with("no_tls_reason", "loopback");
            let scope = Arc::new(TcpScope::new(&self.metrics, labels));
            let connector = Connector { network: self.app.clone(), addr, security: None, scope };
            Arc::new(Port { client: Client::new(connector), addr, callers: Mutex::default() })
        };
        if ports.len() >= PORTS {
            // Somebody tries the ports; those without a connection are forgotten, and their series with time.
            ports.retain(|_, port| Arc::strong_count(port) > 1);
        }
        ports.entry(addr).or_insert_with(make).clone()
    }
}

impl Port {
    fn caller(&self, metrics: &Arc<Metrics>, client_id: Option<Arc<str>>) -> Arc<Caller> {
        let mut callers = self.callers.lock().expect("callers lock");
        let make = || Arc::new(Caller::new(metrics, self.addr, client_id.as_deref()));
        callers.entry(client_id.clone()).or_insert_with(make).clone()
    }
}

impl Caller {
    fn new(metrics: &Arc<Metrics>, addr: SocketAddr, client_id: Option<&str>) -> Self {
        let server = |labels: Labels| {
            let labels = match client_id {
                Some(name) => labels.with("tls", "true").with("client_id", name),
                None => labels.with("tls", "no_identity").with("no_tls_reason", "no_tls_from_remote"),
            };
            let labels = labels.with("srv_group", "").with("srv_kind", "default");
            labels.with("srv_name", "all-unauthenticated").with("srv_port", addr.port())
        };
        let inbound = Labels::new().with("direction", "inbound");
        let connections = server(address_labels(&inbound.with("peer", "src"), addr));
        let requests =
            server(address_labels(&inbound, addr)).with("route_group", "").with("route_kind", "default");
        let route = |route: &str, authz: &str| {
            let labels =
                requests.with("route_name", route).with("authz_group", "").with("authz_kind", "default");
            Arc::new(HttpScope::endpoint(metrics, labels.with("authz_name", authz)))
        };
        Self {
            connections: Arc::new(TcpScope::new(metrics, connections)),
            requests: route("default", "all-unauthenticated"),
            probes: route("probe", "probe"),
            client_id: client_id.and_then(|name| HeaderValue::try_from(name).ok()),
        }
    }
}

struct InboundHandler {
    inbound: Arc<Inbound>,
    port: Arc<Port>,
    caller: Arc<Caller>,
}

impl Handler for InboundHandler {
    async fn call(&self, request: Box<Request<RequestBody>>) -> Answer {
        let (version, grpc) = (request.version(), classify::is_grpc(request.headers()));
        let routed = self.inbound.profiles.route(&request).await;
        let result = self.send(request, routed.as_ref(), grpc).await;
        result.unwrap_or_else(|error| {
            tracing::debug!(%error, port = self.port.addr.port(), "made up an answer");
            error.respond(version, grpc, self.inbound.error_headers)
        })
    }
}

impl InboundHandler {
    async fn send(
        &self,
        mut request: Box<Request<RequestBody>>,
        routed: Option<&Routed>,
        grpc: bool,
    ) -> Result<Answer, ProxyError> {
        let start = Instant::now();
        let version = request.version();
        let port = self.port.addr.port();
        let probed = |probe: &Probe| probe.port == port && probe.path == request.uri().path();
        let probe = self.inbound.probes.iter().any(probed);
        let scope = if probe { &self.caller.probes } else { &self.caller.requests };
        let upgrade = wants_upgrade(&request);
        strip_hop_by_hop(request.headers_mut(), upgrade);
        strip_mesh(request.headers_mut());
        if let Some(client_id) = &self.caller.client_id {
            request.headers_mut().insert(&CLIENT_ID, client_id.clone());
        }
        if let Some(routed) = routed {
            request.body_mut().count(&routed.scope().requests);
        }
        request.body_mut().count(&scope.requests);
        let mut response = match self.port.client.send(request).await {
            Ok(mut response) => {
                let upgraded = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
                strip_hop_by_hop(response.headers_mut(), upgraded);
                response
            }
            Err(error) if error.rescued_at_endpoint() => {
                error.respond(version, grpc, self.inbound.error_headers)
            }
            Err(error) => {
                let outcome = Outcome { status: None, class: Class::Error(error.class()) };
                scope.ended(outcome);
                if let Some(routed) = routed {
                    routed.scope().ended(outcome);
                }
                return Err(error);
            }
        };
        let status = response.status();
        let class = classify::start(routed.map(|routed| &**routed.route()), grpc, status, response.headers());
        let mut tracking = Tracking::new(status.as_u16(), class);
        tracking.add(Tracker::Http(scope.clone(), start));
        if let Some(routed) = routed {
            tracking.add(Tracker::Http(routed.scope().clone(), start));
        }
        response.body_mut().track(tracking);
        Ok(response)
    }
}
