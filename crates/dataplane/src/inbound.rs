//! The inbound proxy: from a connection of another pod to the pod's application.

mod access;
mod port;
mod profile;
mod rate_limit;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, StatusCode};
use meshy_net::{BoxIo, SharedNetwork};
use tokio::io::copy_bidirectional;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::Instrument;

use crate::body::{BoxResponse, RequestBody, Tracker, Tracking};
use crate::classify::{self, Class};
use crate::config::{Probe, ProxyConfig};
use crate::detect::{self, Protocol, detect};
use crate::error::ProxyError;
use crate::error_response::error_response;
use crate::headers::{CLIENT_ID, strip_hop_by_hop, strip_l5d, wants_upgrade};
use crate::identity::{Identity, peer_name};
use crate::metrics::{Metrics, Outcome};
use crate::policy::InboundPolicies;
use crate::serve::{self, Handler};
use crate::transport::{Rewind, Stream, Transport};
use access::{Access, Caller, RouteScopes};
use port::Port;
use profile::{MatchedRoute, Profiles};

/// How long a TLS handshake may take; as long as protocol detection.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From this number of ports on, ports without a connection are removed when another one is added.
const MAX_PORTS: usize = 64;

/// The inbound half of a proxy.
pub(crate) struct Inbound {
    app: SharedNetwork,
    identity: Option<watch::Receiver<Identity>>,
    metrics: Arc<Metrics>,
    opaque_ports: Vec<u16>,
    probes: Vec<Probe>,
    error_headers: bool,
    profiles: Profiles,
    policies: Option<Arc<dyn InboundPolicies>>,
    /// The ports of the application that callers connected to.
    ports: Mutex<HashMap<SocketAddr, Arc<Port>>>,
}

impl Inbound {
    pub(crate) fn new(config: &ProxyConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            app: config.app.clone(),
            identity: config.identity.clone(),
            opaque_ports: config.opaque_ports.clone(),
            probes: config.probes.clone(),
            error_headers: config.error_headers,
            profiles: Profiles::new(config.discovery.clone(), metrics.clone()),
            policies: config.inbound_policies.clone(),
            ports: Mutex::default(),
            metrics,
        }
    }

    /// Serves one connection of another pod.
    pub(crate) async fn serve(
        self: &Arc<Self>,
        io: BoxIo,
        original: SocketAddr,
        peer: SocketAddr,
    ) -> io::Result<()> {
        let (stream, client_id) = self.accept(io).await?;
        tracing::trace!(%peer, %original, client_id = client_id.as_deref(), "connection accepted");
        let port = self.port(original);
        let access = port.access();
        let caller = access.caller(&self.metrics, peer.ip(), client_id.as_ref());
        let mut transport = Transport::new(stream, caller.connections.clone());
        let mut protocol = Protocol::Opaque;
        if !access.policy.opaque && !self.opaque_ports.contains(&original.port()) {
            let (detected, head) = detect(&mut transport, Protocol::Opaque, detect::http).await?;
            tracing::trace!(%peer, %original, protocol = ?detected, "protocol detected");
            transport.rewind(head);
            protocol = detected;
        }
        if protocol == Protocol::Opaque {
            if !caller.is_allowed {
                tracing::info!(%peer, client_id = client_id.as_deref(), "connection denied by the policy");
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let mut app = port.client.open().await.map_err(io::Error::other)?;
            return copy_bidirectional(&mut transport, &mut app).await.map(drop);
        }
        let current = Mutex::new((access, caller));
        let handler = InboundHandler { inbound: self.clone(), port, client_id, current, peer };
        serve::http(transport, protocol, Arc::new(handler)).await
    }

    /// Accepts a TLS session for this identity and returns the caller's identity, which its certificate proves. Other bytes
    /// are passed on as they are.
    async fn accept(&self, mut io: BoxIo) -> io::Result<(Stream, Option<Arc<str>>)> {
        let identity = self.identity.as_ref().map(|identity| identity.borrow().clone());
        let Some(identity) = identity else { return Ok((Stream::Plain(Rewind::new(io)), None)) };
        let name = identity.name().clone();
        let (is_mesh_tls, head) = detect(&mut io, false, |bytes| detect::mesh_tls(bytes, &name)).await?;
        let rewound = Rewind { head, io };
        if !is_mesh_tls {
            return Ok((Stream::Plain(rewound), None));
        }
        let accepted = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(identity.server).accept(rewound));
        let session = accepted.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let client_id = peer_name(session.get_ref().1.peer_certificates());
        Ok((Stream::Accepted(Box::new(session)), client_id))
    }

    fn port(&self, addr: SocketAddr) -> Arc<Port> {
        let mut ports = self.ports.lock().expect("ports lock");
        if ports.len() >= MAX_PORTS {
            // A port scan: the metrics of the removed ports disappear with time.
            ports.retain(|_, port| Arc::strong_count(port) > 1);
        }
        let create = || {
            let policy = match &self.policies {
                Some(policies) => policies.of_port(addr.port()),
                None => watch::channel(Arc::default()).1,
            };
            Arc::new(Port::new(&self.metrics, self.app.clone(), addr, policy))
        };
        ports.entry(addr).or_insert_with(create).clone()
    }
}

struct InboundHandler {
    inbound: Arc<Inbound>,
    port: Arc<Port>,
    client_id: Option<Arc<str>>,
    /// The policy that the last request found, and the caller under it.
    current: Mutex<(Arc<Access>, Arc<Caller>)>,
    peer: SocketAddr,
}

impl Handler for InboundHandler {
    async fn call(&self, request: Box<Request<RequestBody>>) -> BoxResponse {
        // As at the outbound side: a span that no log reads still costs each poll.
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return self.respond(request).await;
        }
        let span = tracing::debug_span!(
            "inbound",
            client = %self.peer,
            port = self.port.addr.port(),
            method = %request.method(),
            path = request.uri().path(),
        );
        self.respond(request).instrument(span).await
    }
}

impl InboundHandler {
    async fn respond(&self, mut request: Box<Request<RequestBody>>) -> BoxResponse {
        let (version, grpc) = (request.version(), classify::is_grpc(request.headers()));
        let (access, caller) = self.current();
        let probe = self.is_probe(&request);
        let scopes = match access.check(&caller, &mut request, probe) {
            Ok(scopes) => scopes,
            Err(error) => {
                let client_id = self.client_id.as_deref();
                tracing::info!(client = %self.peer, client_id, %error, "request refused by the policy");
                // The caller does not learn the reason.
                return error_response(&error, version, grpc, false);
            }
        };
        let route = self.inbound.profiles.route(&request).await;
        tracing::debug!(route = route.as_ref().map(|route| route.route.label()), "route matched");
        let result = self.send(request, &caller, scopes, route.as_ref(), grpc).await;
        result.unwrap_or_else(|error| {
            let response = error_response(&error, version, grpc, self.inbound.error_headers);
            tracing::info!(status = response.status().as_u16(), %error, "synthesized error response");
            caller.failed(error.kind());
            response
        })
    }

    /// Returns the current policy of the port and the caller under it.
    fn current(&self) -> (Arc<Access>, Arc<Caller>) {
        let mut current = self.current.lock().expect("policy lock");
        if let Some(access) = self.port.newer_access(&current.0) {
            let caller = access.caller(&self.inbound.metrics, self.peer.ip(), self.client_id.as_ref());
            *current = (access, caller);
        }
        current.clone()
    }

    /// Whether a request is one that the kubelet sends to probe the pod.
    fn is_probe(&self, request: &Request<RequestBody>) -> bool {
        let (port, path) = (self.port.addr.port(), request.uri().path());
        request.method() == Method::GET
            && self.inbound.probes.iter().any(|probe| probe.port == port && probe.path == path)
    }

    async fn send(
        &self,
        mut request: Box<Request<RequestBody>>,
        caller: &Caller,
        scopes: &RouteScopes,
        route: Option<&MatchedRoute>,
        grpc: bool,
    ) -> Result<BoxResponse, ProxyError> {
        let start = Instant::now();
        let version = request.version();
        let scope = &scopes.requests;
        let upgrade = wants_upgrade(&request);
        strip_hop_by_hop(request.headers_mut(), upgrade);
        strip_l5d(request.headers_mut());
        if let Some(client_id) = &caller.client_id {
            request.headers_mut().insert(&CLIENT_ID, client_id.clone());
        }
        if let Some(route) = route {
            request.body_mut().count(&route.scope.requests);
        }
        request.body_mut().count(&scope.requests);
        scopes.served.requests.inc();
        let mut response = match self.port.client.send(request).await {
            Ok(mut response) => {
                let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                strip_hop_by_hop(response.headers_mut(), upgraded);
                tracing::debug!(status = response.status().as_u16(), "response of the application");
                response
            }
            Err(error) if error.is_rescued_at_endpoint() => {
                let response = error_response(&error, version, grpc, self.inbound.error_headers);
                tracing::info!(status = response.status().as_u16(), %error, "synthesized error response");
                response
            }
            Err(error) => {
                let outcome = Outcome { status: None, class: Class::Error(error.class()) };
                scopes.served.ended(None);
                scope.ended(outcome);
                if let Some(route) = route {
                    route.scope.ended(outcome);
                }
                return Err(error);
            }
        };
        let status = response.status();
        let class = classify::by_head(route.map(|route| &*route.route), grpc, status, response.headers());
        let mut tracking = Tracking::new(status.as_u16(), class);
        tracking.add(Tracker::Http(scope.clone(), start));
        tracking.add(Tracker::Inbound(scopes.served.clone()));
        if let Some(route) = route {
            tracking.add(Tracker::Http(route.scope.clone(), start));
        }
        response.body_mut().track(tracking);
        Ok(response)
    }
}
