//! One endpoint: its connections, its health and its counters.

use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Request, StatusCode, Version, header::CONNECTION};
use rustls_pki_types::ServerName;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::context::Context;
use crate::body::{BoxResponse, RequestBody, Tracker, Tracking};
use crate::classify::{self, Class};
use crate::client::{Client, Connector, Tls};
use crate::error::ProxyError;
use crate::error_response::error_response;
use crate::headers::{PROXY_CONNECTION, has_l5d, strip_hop_by_hop, strip_l5d, wants_upgrade};
use crate::health::EndpointHealth;
use crate::metrics::{HttpScope, Labels, Metrics, Outcome, TcpScope};
use crate::policy::FailureAccrual;
use crate::profile::Route;
use crate::target::Endpoint;
use crate::transport::Transport;

/// One endpoint of a balancer.
pub(super) struct EndpointState {
    pub(super) endpoint: Endpoint,
    pub(super) health: Arc<EndpointHealth>,
    client: Client,
    /// Created with the first request: an endpoint without HTTP has no HTTP series.
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
        available: Arc<Notify>,
    ) -> Self {
        let tls = tls(context, &endpoint);
        let labels = |direction: Labels| {
            let labels = match authority {
                Some(authority) => direction.with("authority", authority),
                None => direction,
            };
            let labels = labels.with_target(endpoint.addr);
            let labels = match (&tls, &endpoint.identity) {
                (Some(_), Some(server)) => labels.with("tls", "true").with("server_id", server),
                _ if context.identity.is_some() => labels
                    .with("tls", "no_identity")
                    .with("no_tls_reason", "not_provided_by_service_discovery"),
                _ => labels.with("tls", "disabled"),
            };
            endpoint.labels.iter().fold(labels, |labels, (name, value)| labels.with(name, value))
        };
        let outbound = Labels::new().with("direction", "outbound");
        let http = labels(outbound.clone());
        let tcp = Arc::new(TcpScope::new(&context.metrics, labels(outbound.with("peer", "dst"))));
        let meshed = tls.is_some();
        let connector = Connector { network: context.network.clone(), addr: endpoint.addr, tls, scope: tcp };
        Self {
            client: Client::new(connector),
            health: Arc::new(EndpointHealth::new(endpoint.addr, accrual, available)),
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

    pub(super) async fn open(&self) -> Result<Transport, ProxyError> {
        self.client.open().await
    }

    /// Sends one attempt. A connection that breaks results in a 502 and one that does not open in time in a 504, which the
    /// stages above treat as responses. `start` is when the endpoint was picked.
    pub(super) async fn call(
        &self,
        mut request: Box<Request<RequestBody>>,
        route: Option<&Arc<Route>>,
        grpc: bool,
        start: Instant,
    ) -> Result<BoxResponse, ProxyError> {
        let version = request.version();
        request.body_mut().count(&self.scope().requests);
        let upgrade = wants_upgrade(&request);
        strip_hop_by_hop(request.headers_mut(), upgrade);
        let mut response = match self.client.send(request).await {
            Ok(response) => {
                tracing::debug!(endpoint = %self.endpoint.addr, status = response.status().as_u16(), "response");
                self.received(response, version)
            }
            Err(error) if error.is_rescued_at_endpoint() => {
                let response = error_response(&error, version, grpc, true);
                let status = response.status().as_u16();
                tracing::debug!(endpoint = %self.endpoint.addr, status, %error, "synthesized endpoint response");
                response
            }
            Err(error) => {
                tracing::debug!(endpoint = %self.endpoint.addr, %error, "attempt failed");
                self.scope().ended(Outcome { status: None, class: Class::Error(error.class()) });
                return Err(error);
            }
        };
        let status = response.status();
        let class = classify::by_head(route.map(|route| &**route), grpc, status, response.headers());
        let mut tracking = Tracking::new(status.as_u16(), class);
        tracking.add(Tracker::Http(self.scope().clone(), start));
        response.body_mut().track(tracking);
        Ok(response)
    }

    /// Removes the headers that the endpoint's proxy sent to this proxy.
    fn received(&self, mut response: BoxResponse, version: Version) -> BoxResponse {
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        strip_hop_by_hop(response.headers_mut(), upgraded);
        if !has_l5d(response.headers()) {
            return response;
        }
        let close = response.headers_mut().remove(&PROXY_CONNECTION).is_some_and(|value| value == "close");
        strip_l5d(response.headers_mut());
        // A meshed endpoint whose application failed closes the caller's connection, so that the caller opens a new one.
        if close && self.meshed && version == Version::HTTP_11 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// TLS is used if both sides have an identity.
fn tls(context: &Context, endpoint: &Endpoint) -> Option<Tls> {
    let server = ServerName::try_from(endpoint.identity.as_ref()?.to_string()).ok()?;
    Some(Tls { identity: context.identity.clone()?, server })
}
