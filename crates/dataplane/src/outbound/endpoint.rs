//! One endpoint: its connections, its load, its breaker, its counters.

use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Request, Version, header::CONNECTION};
use rustls_pki_types::ServerName;

use super::breaker::Breaker;
use super::load::Load;
use super::{Context, address_labels, has_mesh, strip_hop_by_hop, strip_mesh};
use crate::body::{Answer, RequestBody, Tracker, Tracking};
use crate::classify::{self, Class};
use crate::client::{Client, Connector, Security};
use crate::error::{PROXY_CONNECTION, ProxyError};
use crate::metrics::{HttpScope, Labels, Metrics, Outcome, TcpScope};
use crate::policy::FailureAccrual;
use crate::profile::Route;
use crate::serve::wants_upgrade;
use crate::target::Endpoint;
use tokio::time::Instant;

/// One endpoint of a balancer.
pub(super) struct EndpointState {
    pub(super) endpoint: Endpoint,
    pub(super) load: Load,
    pub(super) breaker: Option<Breaker>,
    client: Client,
    /// Made with the first request: an endpoint of opaque bytes has no series of HTTP.
    scope: OnceLock<Arc<HttpScope>>,
    labels: Labels,
    metrics: Arc<Metrics>,
    meshed: bool,
}

impl EndpointState {
    pub(super) fn new(
        context: &Context,
        authority: Option<&str>,
        endpoint: Endpoint,
        accrual: Option<FailureAccrual>,
    ) -> Self {
        let own = context.identity.read().expect("identity lock").is_some();
        let peer = endpoint.identity.as_ref().filter(|_| own);
        let peer = peer.and_then(|name| Some((name, ServerName::try_from(name.to_string()).ok()?)));
        let labels = |start: Labels| {
            let labels = match authority {
                Some(authority) => start.with("authority", authority),
                None => start,
            };
            let labels = address_labels(&labels, endpoint.addr);
            let labels = match &peer {
                Some((name, _)) => labels.with("tls", "true").with("server_id", name),
                None if own => labels
                    .with("tls", "no_identity")
                    .with("no_tls_reason", "not_provided_by_service_discovery"),
                None => labels.with("tls", "disabled"),
            };
            endpoint.labels.iter().fold(labels, |labels, (name, value)| labels.with(name, value))
        };
        let outbound = Labels::new().with("direction", "outbound");
        let http = labels(outbound.clone());
        let tcp = Arc::new(TcpScope::new(&context.metrics, labels(outbound.with("peer", "dst"))));
        let meshed = peer.is_some();
        let connector = Connector {
            network: context.network.clone(),
            addr: endpoint.addr,
            security: peer.map(|(_, peer)| Security { own: context.identity.clone(), peer }),
            scope: tcp,
        };
        let breaker = accrual.map(Breaker::new);
        Self {
            client: Client::new(connector),
            load: Load::new(),
            breaker,
            endpoint,
            scope: OnceLock::new(),
            labels: http,
            metrics: context.metrics.clone(),
            meshed,
        }
    }

    fn scope(&self) -> &Arc<HttpScope> {
        self.scope.get_or_init(|| Arc::new(HttpScope::endpoint(&self.metrics, self.labels.clone())))
    }

    pub(super) async fn open(&self) -> Result<crate::transport::Transport, ProxyError> {
        self.client.open().await
    }

    /// Sends one try. A connection that breaks gives a 502, one that is not there in time a 504, so that both count as
    /// answers to the stations above. `start` is the moment the endpoint was picked.
    pub(super) async fn call(
        &self,
        mut request: Box<Request<RequestBody>>,
        route: Option<&Arc<Route>>,
        grpc: bool,
        start: Instant,
    ) -> Result<Answer, ProxyError> {
        let version = request.version();
        request.body_mut().count(&self.scope().requests);
        let upgrade = wants_upgrade(&request);
        strip_hop_by_hop(request.headers_mut(), upgrade);
        let mut response = match self.client.send(request).await {
            Ok(response) => self.received(response, version),
            Err(error) if error.rescued_at_endpoint() => {
                tracing::debug!(%error, endpoint = %self.endpoint.addr, "made up an endpoint's answer");
                error.respond(version, grpc, true)
            }
            Err(error) => {
                self.scope().ended(Outcome { status: None, class: Class::Error(error.class()) });
                return Err(error);
            }
        };
        let status = response.status();
        let class = classify::start(route.map(|route| &**route), grpc, status, response.headers());
        let mut tracking = Tracking::new(status.as_u16(), class);
        tracking.add(Tracker::Http(self.scope().clone(), start));
        response.body_mut().track(tracking);
        Ok(response)
    }

    /// Takes what a peer's proxy said to this proxy out of an answer.
    fn received(&self, mut response: Answer, version: Version) -> Answer {
        let upgraded = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
        strip_hop_by_hop(response.headers_mut(), upgraded);
        if !has_mesh(response.headers()) {
            return response;
        }
        let close = response.headers_mut().remove(&PROXY_CONNECTION).is_some_and(|value| value == "close");
        strip_mesh(response.headers_mut());
        // A meshed peer whose own side broke asks for the caller's connection to end, so that the caller picks anew.
        if close && self.meshed && version == Version::HTTP_11 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
