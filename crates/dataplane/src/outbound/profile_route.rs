//! Applies a service profile. From the outside in: count the request, its timeout, its retries, count each attempt.

use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Request};
use tokio::time::{Instant, timeout};

use super::concrete::Concrete;
use super::context::Context;
use super::failure::{Failure, authority_name};
use super::services::Services;
use super::split::Split;
use crate::body::{BoxResponse, Replay, RequestBody, Tracker};
use crate::budget::Budget;
use crate::classify::Class;
use crate::error::ProxyError;
use crate::headers::DST_CANONICAL;
use crate::health::HealthSettings;
use crate::metrics::{Counter, HttpScope, Labels, Metrics, Outcome};
use crate::profile::{Profile, Route};
use crate::target::Target;

/// One version of a profile; a new version starts with a full budget.
pub(super) struct ProfilePlan {
    profile: Arc<Profile>,
    /// As many as the profile has, and the default route.
    routes: Vec<RouteState>,
    budget: Option<Budget>,
    services: Arc<Services>,
    /// The service itself, without circuit breaking: a profile in force replaces the policy.
    own: Arc<Concrete>,
    split: Option<Split<String>>,
    canonical: Option<HeaderValue>,
    /// The service's full DNS name and port.
    authority: Arc<str>,
    metrics: Arc<Metrics>,
}

/// A route with its series, which are created with its first request.
struct RouteState {
    route: Arc<Route>,
    labels: Labels,
    scopes: OnceLock<Scopes>,
}

struct Scopes {
    effective: Arc<HttpScope>,
    actual: Arc<HttpScope>,
    /// `None` for a route that is not retryable.
    retries: Option<RetryCounters>,
}

struct RetryCounters {
    retryable: Arc<Counter>,
    no_budget: Arc<Counter>,
}

impl ProfilePlan {
    pub(super) fn new(
        context: &Arc<Context>,
        services: &Arc<Services>,
        target: &Arc<Target>,
        profile: Arc<Profile>,
    ) -> Self {
        let dst = target.authority.as_deref().unwrap_or_default();
        let labels = Labels::new().with("direction", "outbound").with("dst", dst);
        let routes = profile.routes.iter().cloned().chain([Arc::new(Route::fallback())]);
        let routes = routes.map(|route| RouteState {
            labels: match &route.name {
                Some(name) => labels.with("rt_route", name),
                None => labels.clone(),
            },
            scopes: OnceLock::new(),
            route,
        });
        let overrides = profile.dst_overrides.iter().map(|one| (one.weight, one.authority.clone()));
        Self {
            routes: routes.collect(),
            budget: Budget::new(profile.retry_budget.unwrap_or_default(), context.budget_log.clone()),
            split: (!profile.dst_overrides.is_empty()).then(|| Split::new(overrides)),
            canonical: HeaderValue::try_from(dst).ok().filter(|dst| !dst.is_empty()),
            own: services.own(target, HealthSettings::default()),
            authority: dst.into(),
            services: services.clone(),
            metrics: context.metrics.clone(),
            profile,
        }
    }

    /// Whether this was built from that same profile object.
    pub(super) fn is_of(&self, profile: &Arc<Profile>) -> bool {
        Arc::ptr_eq(&self.profile, profile)
    }

    pub(super) async fn call(
        &self,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
    ) -> Result<BoxResponse, Failure> {
        let start = Instant::now();
        let found = self.profile.find(request.method(), request.uri().path());
        let route = &self.routes[found.unwrap_or(self.profile.routes.len())];
        let scopes = route.scopes(&self.metrics);
        tracing::debug!(
            route = route.route.label(),
            retryable = route.route.retryable,
            "profile route matched"
        );
        if let Some(canonical) = &self.canonical {
            request.headers_mut().insert(&DST_CANONICAL, canonical.clone());
        }
        request.body_mut().count(&scopes.effective.requests);
        let response = self.call_with_retries(route, scopes, request, grpc, start);
        let result = match route.route.timeout {
            Some(limit) => timeout(limit, response).await.unwrap_or_else(|_| {
                tracing::debug!(timeout = ?limit, "request timed out");
                Err(ProxyError::RouteTimeout(limit))
            }),
            None => response.await,
        };
        finish(result, &scopes.effective, start).map_err(|error| {
            Failure::at(error, &self.authority, None, Some(&authority_name(&self.authority)))
        })
    }

    /// Retries a failure at once, as often as the budget allows. The conditions: the response is a failure by the route's
    /// classes, the route is retryable, the whole body was sent and kept, the budget is not exhausted.
    async fn call_with_retries(
        &self,
        route: &RouteState,
        scopes: &Scopes,
        request: Box<Request<RequestBody>>,
        grpc: bool,
        mut now: Instant,
    ) -> Result<BoxResponse, ProxyError> {
        let (budget, counters) = match (&self.budget, &scopes.retries) {
            (Some(budget), Some(counters)) => (budget, counters),
            (budget, counters) => {
                let result = self.attempt(route, scopes, request, grpc, now).await;
                if counters.is_none() {
                    refused(&result, "the route is not retryable");
                } else if budget.is_none() {
                    refused(&result, "the retry budget is invalid");
                }
                return result;
            }
        };
        let (head, body) = request.into_parts();
        let replay = match Replay::new(body) {
            Ok(replay) => replay,
            Err(body) => {
                let request = Box::new(Request::from_parts(head, body));
                let result = self.attempt(route, scopes, request, grpc, now).await;
                refused(&result, "the request body is longer than 64 KiB");
                return result;
            }
        };
        loop {
            let request = Box::new(Request::from_parts(head.clone(), RequestBody::of_attempt(&replay)));
            let result = self.attempt(route, scopes, request, grpc, now).await;
            if !is_failure(&result) || !replay.is_complete() {
                refused(&result, "the request body was not sent or kept to its end");
                budget.deposit();
                return result;
            }
            counters.retryable.inc();
            if !budget.withdraw() {
                refused(&result, "the retry budget is exhausted");
                counters.no_budget.inc();
                return result;
            }
            tracing::debug!("retry allowed by the budget");
            if let Ok(response) = result {
                response.into_body().abandon();
            }
            now = Instant::now();
        }
    }

    /// Sends one attempt, started at `start`, to the service or to one of its overrides, and counts it.
    async fn attempt(
        &self,
        route: &RouteState,
        scopes: &Scopes,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
        start: Instant,
    ) -> Result<BoxResponse, ProxyError> {
        request.body_mut().count(&scopes.actual.requests);
        tracing::debug!("attempt started");
        let result = self.send(&route.route, request, grpc, start).await;
        finish(result, &scopes.actual, start)
    }

    async fn send(
        &self,
        route: &Arc<Route>,
        request: Box<Request<RequestBody>>,
        grpc: bool,
        now: Instant,
    ) -> Result<BoxResponse, ProxyError> {
        let Some(split) = &self.split else {
            return self.own.call(request, Some(route), grpc, now, None).await;
        };
        let name = split
            .choose(|name| !self.services.sheds(name, HealthSettings::default()))
            .ok_or(ProxyError::FailFast)?;
        tracing::debug!(service = name, "override chosen");
        let service = self.services.named(name, HealthSettings::default()).await;
        let service = service.ok_or_else(|| ProxyError::UnknownService(name.clone()))?;
        service.call(request, Some(route), grpc, now, None).await
    }
}

impl RouteState {
    fn scopes(&self, metrics: &Arc<Metrics>) -> &Scopes {
        self.scopes.get_or_init(|| Scopes {
            effective: Arc::new(HttpScope::route(metrics, self.labels.clone())),
            actual: Arc::new(HttpScope::actual(metrics, self.labels.clone())),
            retries: self.route.retryable.then(|| RetryCounters {
                retryable: metrics.route_retryable_total.get(&self.labels),
                no_budget: metrics.route_retryable_total.get(&self.labels.with("skipped", "no_budget")),
            }),
        })
    }
}

fn is_failure(result: &Result<BoxResponse, ProxyError>) -> bool {
    result.as_ref().is_ok_and(|response| response.body().is_failure_by_head())
}

/// Logs why a failure is not retried.
fn refused(result: &Result<BoxResponse, ProxyError>, reason: &str) {
    if is_failure(result) {
        tracing::debug!(reason, "retry refused");
    } else if let Err(error) = result {
        tracing::debug!(%error, reason = "an error without a response is not retried", "retry refused");
    }
}

/// Adds the scope to the response's trackers, or counts the error.
fn finish(
    mut result: Result<BoxResponse, ProxyError>,
    scope: &Arc<HttpScope>,
    start: Instant,
) -> Result<BoxResponse, ProxyError> {
    match &mut result {
        Ok(response) => response.body_mut().add(Tracker::Http(scope.clone(), start)),
        Err(error) => scope.ended(Outcome { status: None, class: Class::Error(error.class()) }),
    }
    result
}
