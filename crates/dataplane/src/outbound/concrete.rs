//! One service as the place a try goes to.

use std::sync::Arc;

use http::Request;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Context;
use super::balance::Balancer;
use crate::body::{Answer, RequestBody, Tracker};
use crate::classify::Class;
use crate::error::ProxyError;
use crate::policy::FailureAccrual;
use crate::profile::Route;
use crate::target::Endpoint;
use crate::transport::Transport;

/// A balanced service.
pub(super) struct Concrete(Arc<Balancer>);

impl Concrete {
    pub(super) fn new(
        context: Arc<Context>,
        authority: Option<Arc<str>>,
        endpoints: watch::Receiver<Arc<[Endpoint]>>,
        accrual: Option<FailureAccrual>,
    ) -> Self {
        Self(Arc::new(Balancer::new(context, authority, endpoints, accrual)))
    }

    pub(super) fn accrual(&self) -> Option<FailureAccrual> {
        self.0.accrual()
    }

    /// Whether its endpoints come from this watch.
    pub(super) fn reads(&self, endpoints: &watch::Receiver<Arc<[Endpoint]>>) -> bool {
        self.0.reads(endpoints)
    }

    pub(super) fn is_available(&self) -> bool {
        self.0.is_available()
    }

    /// Sends one try to an endpoint; `now` is the moment of asking.
    pub(super) async fn call(
        &self,
        request: Box<Request<RequestBody>>,
        route: Option<&Arc<Route>>,
        grpc: bool,
        now: Instant,
    ) -> Result<Answer, ProxyError> {
        let mut picked = self.0.pick(now).await?;
        self.0.attach(&mut picked);
        match picked.endpoint().call(request, route, grpc, picked.began()).await {
            Ok(mut response) => {
                response.body_mut().add(Tracker::Load(picked));
                Ok(response)
            }
            Err(error) => {
                picked.ended(Class::Error(error.class()));
                Err(error)
            }
        }
    }

    /// Opens a connection to an endpoint, for bytes that pass uninspected.
    pub(super) async fn open(&self) -> Result<Transport, ProxyError> {
        let picked = self.0.pick(Instant::now()).await?;
        picked.endpoint().open().await
    }
}
