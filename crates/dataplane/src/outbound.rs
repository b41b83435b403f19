//! The outbound proxy: from a connection of the application to an endpoint.

mod balancer;
mod concrete;
mod context;
mod discover;
mod endpoint;
mod failure;
mod logical;
mod policy_route;
mod profile_route;
mod services;
mod split;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use meshy_net::BoxIo;
use tokio::io::copy_bidirectional;
use tracing::Instrument;

use crate::body::{BoxResponse, RequestBody};
use crate::classify;
use crate::config::{Mode, ProxyConfig};
use crate::detect::{self, Protocol, detect};
use crate::error::ProxyError;
use crate::error_response::error_response_at;
use crate::headers::{DST_OVERRIDE, strip_l5d};
use crate::metrics::{Labels, Metrics, TcpScope};
use crate::serve::{self, Handler};
use crate::target::Destination;
use crate::transport::Transport;
use context::Context;
use discover::{Discover, InUse};
use failure::Failure;

/// The outbound half of a proxy.
pub(crate) struct Outbound {
    mode: Mode,
    error_headers: bool,
    context: Arc<Context>,
    discover: Discover,
}

impl Outbound {
    pub(crate) fn new(config: &ProxyConfig, metrics: Arc<Metrics>) -> Self {
        let context = Arc::new(Context {
            network: config.network.clone(),
            address: config.address,
            discovery: config.discovery.clone(),
            identity: config.identity.clone(),
            metrics,
            linkerd_discovery_cache: config.linkerd_discovery_cache,
            budget_log: config.budget_log.clone(),
        });
        let discover = Discover::new(context.clone());
        Self { mode: config.mode, error_headers: config.error_headers, context, discover }
    }

    /// Serves one connection of the application.
    pub(crate) async fn serve(
        self: &Arc<Self>,
        io: BoxIo,
        original: SocketAddr,
        peer: SocketAddr,
    ) -> io::Result<()> {
        let labels = Labels::new().with("direction", "outbound").with("peer", "src").with_target(original);
        let labels = labels.with("tls", "no_identity").with("no_tls_reason", "loopback");
        let scope = Arc::new(TcpScope::new(&self.context.metrics, labels));
        let mut transport = Transport::plain(io, scope);
        let destination = match self.mode {
            Mode::Ingress => None,
            Mode::Enabled => Some(self.discover.address(original).await),
        };
        if destination.as_ref().is_some_and(|destination| destination.is_opaque()) {
            return self.forward(transport, destination, original).await;
        }
        let (protocol, head) = detect(&mut transport, Protocol::Opaque, detect::http).await?;
        tracing::trace!(%peer, %original, ?protocol, "protocol detected");
        transport.rewind(head);
        if protocol == Protocol::Opaque {
            return self.forward(transport, destination, original).await;
        }
        let handler = OutboundHandler { outbound: self.clone(), destination, original, peer };
        serve::http(transport, protocol, Arc::new(handler)).await
    }

    /// Forwards bytes that are not HTTP to one endpoint of the destination.
    async fn forward(
        &self,
        mut transport: Transport,
        destination: Option<InUse>,
        original: SocketAddr,
    ) -> io::Result<()> {
        let destination = match destination {
            Some(destination) => destination,
            None => self.discover.address(original).await,
        };
        let mut upstream = destination.open().await.map_err(io::Error::other)?;
        copy_bidirectional(&mut transport, &mut upstream).await.map(drop)
    }
}

struct OutboundHandler {
    outbound: Arc<Outbound>,
    /// The destination of the connection; in ingress mode each request has its own.
    destination: Option<InUse>,
    original: SocketAddr,
    peer: SocketAddr,
}

impl Handler for OutboundHandler {
    async fn call(&self, request: Box<Request<RequestBody>>) -> BoxResponse {
        // A span that no log reads still costs each poll of the request.
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return self.respond(request).await;
        }
        let span = tracing::debug_span!(
            "outbound",
            client = %self.peer,
            dst = %self.original,
            method = %request.method(),
            path = request.uri().path(),
        );
        self.respond(request).instrument(span).await
    }
}

impl OutboundHandler {
    async fn respond(&self, mut request: Box<Request<RequestBody>>) -> BoxResponse {
        let (version, grpc) = (request.version(), classify::is_grpc(request.headers()));
        let result = match &self.destination {
            Some(destination) => {
                strip_l5d(request.headers_mut());
                destination.call(request, grpc).await
            }
            None => self.by_header(request, grpc).await,
        };
        result.unwrap_or_else(|Failure { error, place }| {
            let headers = self.outbound.error_headers;
            let response = error_response_at(&place, &error, version, grpc, headers);
            tracing::info!(status = response.status().as_u16(), %error, "synthesized error response");
            let errors = &self.outbound.context.metrics.outbound_errors;
            errors.get(&Labels::new().with("error", error.kind())).inc();
            response
        })
    }

    /// Sends a request to the service that `l5d-dst-override` names, without the header to the original address.
    async fn by_header(
        &self,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
    ) -> Result<BoxResponse, Failure> {
        // An ingress may add the header without replacing a client's; the last one is the ingress's own.
        let named = request.headers().get_all(&DST_OVERRIDE).iter().next_back().map(|value| {
            let text = value.to_str().map_err(|_| ProxyError::InvalidOverride)?;
            override_name(text).ok_or(ProxyError::InvalidOverride)
        });
        let destination = match named.transpose()? {
            Some((host, port)) => {
                let name = format!("{host}:{port}");
                tracing::debug!(service = name, "destination chosen by l5d-dst-override");
                let found = self.outbound.discover.name(Destination::Name(host, port)).await;
                found.ok_or(ProxyError::UnknownService(name))?
            }
            None => {
                tracing::debug!(addr = %self.original, "destination chosen by the original address");
                self.outbound.discover.address(self.original).await
            }
        };
        strip_l5d(request.headers_mut());
        destination.call(request, grpc).await
    }
}

/// Parses an override: a host and a port, 80 if missing.
fn override_name(text: &str) -> Option<(String, u16)> {
    let authority: http::uri::Authority = text.trim().parse().ok()?;
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let port = authority.as_str().rsplit_once(':').map(|(_, port)| port);
    let is_name = !authority.as_str().contains(['@', '[']) && host.parse::<std::net::IpAddr>().is_err();
    let port = match port {
        Some(text) => text.parse().ok()?,
        None => 80,
    };
    (is_name && !host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_a_name_and_a_port_with_default_80() {
        let of = |text| override_name(text).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(
            of("web.default.svc.cluster.local:9090").as_deref(),
            Some("web.default.svc.cluster.local 9090")
        );
        assert_eq!(of("Web.Default").as_deref(), Some("web.default 80"));
        for invalid in ["", ":80", "a:b", "a:99999", "user@a:80", "a/b", "10.0.0.1:80", "[::1]:80", "a b"] {
            assert_eq!(of(invalid), None, "{invalid:?} was accepted");
        }
    }
}
