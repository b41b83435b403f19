//! A service profile at work. From the outside in: count the request, its timeout, its retries, count each try.

use std::sync::{Arc, OnceLock};

use http::{HeaderName, HeaderValue, Request};
use tokio::time::{Instant, timeout};

use super::Context;
use super::concrete::Concrete;
use super::logical::Services;
use super::split::Split;
use crate::body::{Answer, Replay, RequestBody, Tracker};
use crate::budget::Budget;
use crate::classify::Class;
use crate::error::ProxyError;
use crate::metrics::{Counter, HttpScope, Labels, Metrics, Outcome};
use crate::profile::{Profile, Route};
use crate::target::Target;

pub(crate) static DST_CANONICAL: HeaderName = HeaderName::from_static("l5d-dst-canonical");

/// One version of a profile; a new version starts with a full budget.
pub(super) struct ProfilePlan {
    profile: Arc<Profile>,
    /// As many as routes, and one more for requests that match none.
    counted: Vec<Counted>,
    budget: Option<Budget>,
    services: Arc<Services>,
    /// The service itself. A profile in force switches circuit breaking off.
    own: Arc<Concrete>,
    split: Option<Split<String>>,
    canonical: Option<HeaderValue>,
    metrics: Arc<Metrics>,
}

/// A route's series, made when it gets its first request.
struct Counted {
    route: Arc<Route>,
    labels: Labels,
    scopes: OnceLock<Scopes>,
}

struct Scopes {
    effective: Arc<HttpScope>,
    actual: Arc<HttpScope>,
    retryable: Option<Retryable>,
}

struct Retryable {
    all: Arc<Counter>,
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
        let all = profile.routes.iter().cloned().chain([Arc::new(Route::fallback())]);
        let counted = all.map(|route| Counted {
            labels: match &route.name {
                Some(name) => labels.with("rt_route", name),
                None => labels.clone(),
            },
            scopes: OnceLock::new(),
            route,
        });
        let overrides = profile.dst_overrides.iter().map(|one| (one.weight, one.authority.clone()));
        Self {
            counted: counted.collect(),
            budget: Budget::new(profile.retry_budget.unwrap_or_default(), context.budget_log.clone()),
            split: (!profile.dst_overrides.is_empty()).then(|| Split::new(overrides)),
            canonical: HeaderValue::try_from(dst).ok().filter(|dst| !dst.is_empty()),
            own: services.own(target, None),
            services: services.clone(),
            metrics: context.metrics.clone(),
            profile,
        }
    }

    /// Whether this was made from that very profile.
    pub(super) fn is_of(&self, profile: &Arc<Profile>) -> bool {
        Arc::ptr_eq(&self.profile, profile)
    }

    pub(super) async fn call(
        &self,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
    ) -> Result<Answer, ProxyError> {
        let start = Instant::now();
        let found = self.profile.find(request.method(), request.uri().path());
        let counted = &self.counted[found.unwrap_or(self.profile.routes.len())];
        let scopes = counted.scopes(&self.metrics);
        if let Some(canonical) = &self.canonical {
            request.headers_mut().insert(&DST_CANONICAL, canonical.clone());
        }
        request.body_mut().count(&scopes.effective.requests);
        let tries = self.tries(counted, scopes, request, grpc, start);
        let result = match counted.route.timeout {
            Some(limit) => timeout(limit, tries).await.unwrap_or(Err(ProxyError::RouteTimeout(limit))),
            None => tries.await,
        };
        finish(result, &scopes.effective, start)
    }

    /// A failed answer is asked for again at once, as often as the budget allows. What decides: is it a failure by the
    /// route's classes, is the route retryable, was the whole body sent and kept, is budget left.
    async fn tries(
        &self,
        counted: &Counted,
        scopes: &Scopes,
        request: Box<Request<RequestBody>>,
        grpc: bool,
        mut now: Instant,
    ) -> Result<Answer, ProxyError> {
        let (Some(budget), Some(retryable)) = (&self.budget, &scopes.retryable) else {
            return self.attempt(counted, scopes, request, grpc, now).await;
        };
        let (head, body) = request.into_parts();
        let replay = match Replay::new(body) {
            Ok(replay) => replay,
            Err(body) => {
                let request = Box::new(Request::from_parts(head, body));
                return self.attempt(counted, scopes, request, grpc, now).await;
            }
        };
        loop {
            let mut request = Box::new(Request::new(replay.body()));
            *request.method_mut() = head.method.clone();
            *request.uri_mut() = head.uri.clone();
            *request.version_mut() = head.version;
            *request.headers_mut() = head.headers.clone();
            let result = self.attempt(counted, scopes, request, grpc, now).await;
            let again = result.as_ref().is_ok_and(|response| response.body().failed() && replay.is_whole());
            if !again {
                budget.deposit();
                return result;
            }
            retryable.all.inc();
            if !budget.withdraw() {
                retryable.no_budget.inc();
                return result;
            }
            if let Ok(response) = result {
                response.into_body().abandon();
            }
            now = Instant::now();
        }
    }

    /// One try, begun now: counted, and sent to the service or to one of its overrides.
    async fn attempt(
        &self,
        counted: &Counted,
        scopes: &Scopes,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
        start: Instant,
    ) -> Result<Answer, ProxyError> {
        request.body_mut().count(&scopes.actual.requests);
        let result = self.send(counted, request, grpc, start).await;
        finish(result, &scopes.actual, start)
    }

    async fn send(
        &self,
        counted: &Counted,
        request: Box<Request<RequestBody>>,
        grpc: bool,
        now: Instant,
    ) -> Result<Answer, ProxyError> {
        let Some(split) = &self.split else {
            return self.own.call(request, Some(&counted.route), grpc, now).await;
        };
        // One that is not known yet counts as available: asking is how it becomes known.
        let available =
            |name: &String| self.services.known(name, None).is_none_or(|service| service.is_available());
        let name = split.choose(available).ok_or(ProxyError::FailFast)?;
        let service =
            self.services.named(name, None).await.ok_or_else(|| ProxyError::Unknown(name.clone()))?;
        service.call(request, Some(&counted.route), grpc, now).await
    }
}

impl Counted {
    fn scopes(&self, metrics: &Arc<Metrics>) -> &Scopes {
        self.scopes.get_or_init(|| Scopes {
            effective: Arc::new(HttpScope::route(metrics, self.labels.clone())),
            actual: Arc::new(HttpScope::actual(metrics, self.labels.clone())),
            retryable: self.route.retryable.then(|| Retryable {
                all: metrics.route_retryable_total.get(&self.labels),
                no_budget: metrics.route_retryable_total.get(&self.labels.with("skipped", "no_budget")),
            }),
        })
    }
}

/// Has an answer watched, or counts the error in its place.
fn finish(
    mut result: Result<Answer, ProxyError>,
    scope: &Arc<HttpScope>,
    start: Instant,
) -> Result<Answer, ProxyError> {
    match &mut result {
        Ok(response) => response.body_mut().add(Tracker::Http(scope.clone(), start)),
        Err(error) => scope.ended(Outcome { status: None, class: Class::Error(error.class()) }),
    }
    result
}
