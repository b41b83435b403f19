//! One service, whose endpoints receive attempts.

use std::sync::Arc;

use http::Request;
use tokio::sync::watch;
use tokio::time::Instant;

use super::balancer::{Balancer, Picked};
use super::context::Context;
use super::endpoint::Limit;
use crate::body::{BoxResponse, RequestBody, Tracker};
use crate::classify::Class;
use crate::error::ProxyError;
use crate::health::HealthSettings;
use crate::profile::Route;
use crate::target::Endpoint;
use crate::transport::Transport;

/// A service with its balancer.
pub(super) struct Concrete(Balancer);

impl Concrete {
    pub(super) fn new(
        context: Arc<Context>,
        authority: Option<Arc<str>>,
        endpoints: watch::Receiver<Arc<[Endpoint]>>,
        settings: HealthSettings,
    ) -> Self {
        Self(Balancer::new(context, authority, endpoints, settings))
    }

    pub(super) fn settings(&self) -> HealthSettings {
        self.0.settings()
    }

    /// Whether the endpoints come from this watch.
    pub(super) fn reads(&self, endpoints: &watch::Receiver<Arc<[Endpoint]>>) -> bool {
        self.0.reads(endpoints)
    }

    /// Whether requests are rejected at once.
    pub(super) fn sheds(&self) -> bool {
        self.0.sheds(Instant::now())
    }

    /// Sends one attempt, started `now`, to an endpoint.
    pub(super) async fn call(
        &self,
        request: Box<Request<RequestBody>>,
        route: Option<&Arc<Route>>,
        grpc: bool,
        now: Instant,
        limit: Option<Limit>,
    ) -> Result<BoxResponse, ProxyError> {
        let Picked { endpoint, mut in_flight } = self.0.pick(now).await?;
        match endpoint.call(request, route, grpc, in_flight.started(), limit).await {
            Ok(mut response) => {
                in_flight.head(response.status(), response.headers());
                response.body_mut().add(Tracker::Load(in_flight));
                Ok(response)
            }
            Err(error) => {
                in_flight.finish(Class::Error(error.class()));
                Err(error)
            }
        }
    }

    /// Opens a connection to an endpoint for bytes that are not HTTP.
    pub(super) async fn open(&self) -> Result<Transport, ProxyError> {
        self.0.pick(Instant::now()).await?.endpoint.open().await
    }
}
