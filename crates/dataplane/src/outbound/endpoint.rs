//! One endpoint: its connections, its health and its counters.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Request, StatusCode};
use rustls_pki_types::ServerName;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::context::Context;
use crate::body::{BoxResponse, RequestBody, Tracker, Tracking};
use crate::classify::{self, Class};
use crate::client::{Client, Connector, Tls};
use crate::error::{ProxyError, StreamTimeout};
use crate::error_response::error_response;
use crate::headers::{has_l5d, strip_hop_by_hop, strip_l5d, wants_upgrade};
use crate::health::{EndpointHealth, HealthSettings};
use crate::metrics::{HttpScope, Labels, Metrics, Outcome, TcpScope};
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
}

impl EndpointState {
    pub(super) fn new(
        context: &Context,
        authority: Option<&str>,
        endpoint: Endpoint,
        settings: HealthSettings,
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
                _ if context.identity.is_some() && context.is_own_address(&endpoint) => {
                    labels.with("tls", "no_identity").with("no_tls_reason", "loopback")
                }
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
        let connector = Connector { network: context.network.clone(), addr: endpoint.addr, tls, scope: tcp };
        Self {
            client: Client::new(connector),
            health: Arc::new(EndpointHealth::new(endpoint.addr, settings, available)),
            endpoint,
            scope: OnceLock::new(),
            labels: http,
            metrics: context.metrics.clone(),
        }
    }

    fn scope(&self) -> &Arc<HttpScope> {
        self.scope.get_or_init(|| Arc::new(HttpScope::endpoint(&self.metrics, self.labels.clone())))
    }

    pub(super) async fn open(&self) -> Result<Transport, ProxyError> {
        self.client.open().await
    }

    /// Sends one attempt. A connection that breaks results in a 502 and one that does not open in time in a 504, which the
    /// stages above treat as responses. `start` is when the endpoint was picked. An attempt that begins after its time limit
    /// is counted and not sent.
    pub(super) async fn call(
        &self,
        mut request: Box<Request<RequestBody>>,
        route: Option<&Arc<Route>>,
        grpc: bool,
        start: Instant,
        limit: Option<Limit>,
    ) -> Result<BoxResponse, ProxyError> {
        let version = request.version();
        request.body_mut().count(&self.scope().requests);
        let upgrade = wants_upgrade(&request);
        strip_hop_by_hop(request.headers_mut(), upgrade);
        let sent = match limit {
            Some(limit) if limit.at <= Instant::now() => limit.expired(),
            Some(limit) => limit.bound(self.client.send(request)).await,
            None => self.client.send(request).await,
        };
        let mut response = match sent {
            Ok(response) => {
                tracing::debug!(endpoint = %self.endpoint.addr, status = response.status().as_u16(), "response");
                received(response)
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
}

/// When an attempt must have a response.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    pub(super) at: Instant,
    pub(super) kind: StreamTimeout,
    /// The configured time, for the error's text.
    pub(super) time: Duration,
}

impl Limit {
    /// Waits for a response until the time limit. A response that is ready at once is returned even if the limit is over.
    pub(super) async fn bound<T>(
        self,
        response: impl Future<Output = Result<T, ProxyError>>,
    ) -> Result<T, ProxyError> {
        timeout_at(self.at, response).await.unwrap_or_else(|_| self.expired())
    }

    fn expired<T>(self) -> Result<T, ProxyError> {
        tracing::debug!(timeout = %self.kind, "attempt timed out");
        Err(ProxyError::StreamTimeout(self.kind, self.time))
    }
}

/// Removes the headers that the endpoint's proxy sent to this proxy. The caller's connection stays open, also if that proxy
/// reports its own failure.
fn received(mut response: BoxResponse) -> BoxResponse {
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    strip_hop_by_hop(response.headers_mut(), upgraded);
    if has_l5d(response.headers()) {
        strip_l5d(response.headers_mut());
    }
    response
}

/// TLS is used if both sides have an identity and the endpoint is not the pod itself, whose application is reached without
/// its proxy.
fn tls(context: &Context, endpoint: &Endpoint) -> Option<Tls> {
    if context.is_own_address(endpoint) {
        return None;
    }
    let server = ServerName::try_from(endpoint.identity.as_ref()?.to_string()).ok()?;
    Some(Tls { identity: context.identity.clone()?, server })
}
