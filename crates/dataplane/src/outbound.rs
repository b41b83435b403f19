//! The way out: from the application's connection to an endpoint.

mod balance;
mod breaker;
mod concrete;
mod discover;
mod endpoint;
mod headers;
mod load;
mod logical;
mod policy_route;
mod profile_route;
mod split;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use http::{HeaderName, Request};
use meshy_net::{BoxIo, SharedNetwork};
use tokio::io::copy_bidirectional;

pub(crate) use balance::InFlight;
pub(crate) use headers::{has_mesh, strip_hop_by_hop, strip_mesh};
pub(crate) use profile_route::DST_CANONICAL;

use crate::body::{Answer, RequestBody};
use crate::budget::DecisionLog;
use crate::detect::{self, Protocol, detect};
use crate::error::ProxyError;
use crate::identity::Identity;
use crate::metrics::{Labels, Metrics, TcpScope};
use crate::proxy::{Mode, ProxyConfig};
use crate::serve::{self, Handler};
use crate::target::{Destination, Discovery};
use crate::transport::{Rewind, Stream, Transport};
use discover::{Discover, Held};

static DST_OVERRIDE: HeaderName = HeaderName::from_static("l5d-dst-override");

/// The outbound half of a proxy.
pub(crate) struct Outbound {
    mode: Mode,
    error_headers: bool,
    context: Arc<Context>,
    discover: Discover,
}

/// What every station needs.
pub(crate) struct Context {
    pub(crate) network: SharedNetwork,
    pub(crate) discovery: Arc<dyn Discovery>,
    pub(crate) identity: Arc<RwLock<Option<Identity>>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) like_linkerd: bool,
    pub(crate) budget_log: Option<DecisionLog>,
}

impl Outbound {
    pub(crate) fn new(
        config: &ProxyConfig,
        metrics: Arc<Metrics>,
        identity: Arc<RwLock<Option<Identity>>>,
    ) -> Self {
        let context = Arc::new(Context {
            network: config.network.clone(),
            discovery: config.discovery.clone(),
            identity,
            metrics,
            like_linkerd: config.like_linkerd,
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
        _peer: SocketAddr,
    ) -> io::Result<()> {
        let labels = Labels::new().with("direction", "outbound").with("peer", "src");
        let labels =
            address_labels(&labels, original).with("tls", "no_identity").with("no_tls_reason", "loopback");
        let scope = Arc::new(TcpScope::new(&self.context.metrics, labels));
        let stream = Stream::Plain(Rewind { head: bytes::Bytes::new(), io });
        let mut transport = Transport::new(stream, scope);
        let held = match self.mode {
            Mode::Ingress => None,
            Mode::Enabled => Some(self.discover.address(original).await),
        };
        if held.as_ref().is_some_and(|held| held.is_opaque()) {
            return self.forward(transport, held, original).await;
        }
        let (protocol, head) = detect(&mut transport, Protocol::Opaque, detect::http).await?;
        transport.rewind(head);
        if protocol == Protocol::Opaque {
            return self.forward(transport, held, original).await;
        }
        let handler = OutboundHandler { outbound: self.clone(), held, original };
        serve::http(transport, protocol, Arc::new(handler)).await
    }

    /// Passes bytes uninspected to one endpoint of the destination.
    async fn forward(
        &self,
        mut transport: Transport,
        held: Option<Held>,
        original: SocketAddr,
    ) -> io::Result<()> {
        let held = match held {
            Some(held) => held,
            None => self.discover.address(original).await,
        };
        let mut peer = held.open().await.map_err(io::Error::other)?;
        copy_bidirectional(&mut transport, &mut peer).await.map(drop)
    }
}

struct OutboundHandler {
    outbound: Arc<Outbound>,
    /// The destination of the connection; in ingress mode each request has its own.
    held: Option<Held>,
    original: SocketAddr,
}

impl Handler for OutboundHandler {
    async fn call(&self, mut request: Box<Request<RequestBody>>) -> Answer {
        let (version, grpc) = (request.version(), crate::classify::is_grpc(request.headers()));
        let result = match &self.held {
            Some(held) => {
                strip_mesh(request.headers_mut());
                held.call(request, grpc).await
            }
            None => self.by_header(request, grpc).await,
        };
        result.unwrap_or_else(|error| {
            tracing::debug!(%error, "made up an answer");
            error.respond(version, grpc, self.outbound.error_headers)
        })
    }
}

impl OutboundHandler {
    async fn by_header(
        &self,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
    ) -> Result<Answer, ProxyError> {
        // An ingress may not be able to replace a header it did not know; of several the last one is its own.
        let named = request.headers().get_all(&DST_OVERRIDE).iter().next_back().map(|value| {
            let text = value.to_str().map_err(|_| ProxyError::BadOverride)?;
            override_name(text).ok_or(ProxyError::BadOverride)
        });
        let held = match named.transpose()? {
            Some((host, port)) => {
                let shown = format!("{host}:{port}");
                let destination = Destination::Name(host, port);
                self.outbound.discover.name(destination).await.ok_or(ProxyError::Unknown(shown))?
            }
            None => self.outbound.discover.address(self.original).await,
        };
        strip_mesh(request.headers_mut());
        held.call(request, grpc).await
    }
}

/// Host and port of an override; port 80 when none is given.
fn override_name(text: &str) -> Option<(String, u16)> {
    let authority: http::uri::Authority = text.trim().parse().ok()?;
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let port_text = authority.as_str().rsplit_once(':').map(|(_, port)| port);
    let plain = !authority.as_str().contains(['@', '[']) && host.parse::<std::net::IpAddr>().is_err();
    let port = match port_text {
        Some(text) => text.parse().ok()?,
        None => 80,
    };
    (plain && !host.is_empty()).then_some((host, port))
}

/// `target_addr`, `target_ip` and `target_port`.
pub(crate) fn address_labels(labels: &Labels, addr: SocketAddr) -> Labels {
    labels.with("target_addr", addr).with("target_ip", addr.ip()).with("target_port", addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_a_name_and_a_port_80_when_missing() {
        let of = |text| override_name(text).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(
            of("web.default.svc.cluster.local:9090").as_deref(),
            Some("web.default.svc.cluster.local 9090")
        );
        assert_eq!(of("Web.Default").as_deref(), Some("web.default 80"));
        for bad in ["", ":80", "a:b", "a:99999", "user@a:80", "a/b", "10.0.0.1:80", "[::1]:80", "a b"] {
            assert_eq!(of(bad), None, "{bad:?} was taken");
        }
    }
}
