//! Annotations and HTTPRoutes at work. From the outside in: count the request, its deadline, its retries with pauses,
//! filters, a backend by weight, count each try, its own timeouts.

mod rule;

use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{Request, Response};
use tokio::time::{Instant, sleep, timeout_at};

use super::Context;
use super::breaker::backoff;
use super::concrete::Concrete;
use super::logical::Services;
use crate::body::{Answer, Limits, Replay, RequestBody, ResponseBody, Tracker};
use crate::error::{ProxyError, StreamTimeout};
use crate::metrics::{Metrics, RetryScope};
use crate::policy::{Filter, HttpRoute, Policy, Retry, RouteRule};
use crate::target::Target;
use rule::{Place, Rule, parent_labels};

/// The pause before the first retry, and the longest one; up to as much again is added at random.
const PAUSE: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));

/// One version of a service's policy.
pub(super) struct PolicyPlan {
    policy: Arc<Policy>,
    /// One a rule, or a single one for everything.
    rules: Vec<Vec<Rule>>,
    own: Arc<Concrete>,
    services: Arc<Services>,
    metrics: Arc<Metrics>,
}

impl PolicyPlan {
    pub(super) fn new(context: &Arc<Context>, services: &Arc<Services>, target: &Arc<Target>) -> Self {
        let policy = target.policy.clone();
        let parent = parent_labels(target.service.as_ref());
        let rules = if policy.routes.is_empty() {
            vec![vec![Rule::new(&parent, target, &policy, None, &RouteRule::default())]]
        } else {
            let of = |route: &HttpRoute| {
                route
                    .rules
                    .iter()
                    .map(|rule| Rule::new(&parent, target, &policy, Some(route), rule))
                    .collect()
            };
            policy.routes.iter().map(of).collect()
        };
        let own = services.own(target, policy.failure_accrual);
        Self { policy, rules, own, services: services.clone(), metrics: context.metrics.clone() }
    }

    pub(super) async fn call(
        &self,
        request: Box<Request<RequestBody>>,
        grpc: bool,
    ) -> Result<Answer, ProxyError> {
        let rule = self.rule(&request).ok_or(ProxyError::NoRoute)?;
        let (scope, retries) = rule.scopes(&self.metrics);
        let start = Instant::now();
        let deadline = rule.timeouts.request.map(|limit| start + limit);
        let mut request = request;
        request.body_mut().measure_frames(&scope.frames);
        let result = match (&rule.retry, retries) {
            (Some(retry), Some(counters)) => {
                self.tries(rule, retry, counters, request, grpc, (start, deadline)).await
            }
            _ => self.attempt(rule, request, grpc, start, deadline, None).await,
        };
        match result {
            Ok(mut response) => {
                response.body_mut().add(Tracker::Route(scope.clone(), start));
                Ok(response)
            }
            Err(error) => {
                let status =
                    if let ProxyError::Redirect(status, _) = &error { Some(status.as_u16()) } else { None };
                scope.ended(status, if status.is_some() { "" } else { error.label() }, start.elapsed());
                Err(error)
            }
        }
    }

    fn rule(&self, request: &Request<RequestBody>) -> Option<&Rule> {
        if self.policy.routes.is_empty() {
            return self.rules.first()?.first();
        }
        let (route, rule) = crate::policy::find_rule(&self.policy.routes, request, host(request))?;
        self.rules.get(route)?.get(rule)
    }

    async fn tries(
        &self,
        rule: &Rule,
        retry: &Retry,
        counters: &RetryScope,
        request: Box<Request<RequestBody>>,
        grpc: bool,
        (mut now, deadline): (Instant, Option<Instant>),
    ) -> Result<Answer, ProxyError> {
        let (head, body) = request.into_parts();
        let replay = match Replay::new(body) {
            Ok(replay) => replay,
            Err(body) => {
                return self
                    .attempt(rule, Box::new(Request::from_parts(head, body)), grpc, now, deadline, None)
                    .await;
            }
        };
        let mut retried = 0;
        loop {
            let mut request = Box::new(Request::new(replay.body()));
            *request.method_mut() = head.method.clone();
            *request.uri_mut() = head.uri.clone();
            *request.version_mut() = head.version;
            *request.headers_mut() = head.headers.clone();
            // Nothing is left to decide on after the last try, so its headers may take their time.
            let headers = retry.timeout.filter(|_| retried < retry.limit);
            let mut result = self.attempt(rule, request, grpc, now, deadline, headers).await;
            let again = match &result {
                Ok(response) => retry.takes(response.status()),
                Err(ProxyError::FailFast | ProxyError::StreamTimeout(StreamTimeout::ResponseHeaders)) => true,
                Err(error) => error.refused(),
            };
            if !again {
                if retried > 0 && result.is_ok() {
                    counters.successes.inc();
                }
                return result;
            }
            if !replay.is_whole() {
                return result;
            }
            if retried == retry.limit {
                counters.limit_exceeded.inc();
                return result;
            }
            if let Ok(response) = &mut result {
                response.body_mut().judge();
            }
            let pause = backoff(PAUSE.0, PAUSE.1, 1.0, u32::from(retried), rand::random());
            if deadline.is_some_and(|deadline| deadline <= Instant::now() + pause) {
                // The pause itself would pass the request's deadline.
                timeout_at(deadline.unwrap_or_else(Instant::now), std::future::pending::<()>()).await.ok();
                return Err(ProxyError::StreamTimeout(StreamTimeout::Request));
            }
            sleep(pause).await;
            if !rule.is_available(self) {
                counters.overflow.inc();
                return result;
            }
            retried += 1;
            now = Instant::now();
            counters.requests.inc();
            if let Ok(response) = result {
                response.into_body().abandon();
            }
        }
    }

    /// One try at one backend, begun now.
    async fn attempt(
        &self,
        rule: &Rule,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
        now: Instant,
        deadline: Option<Instant>,
        headers: Option<Duration>,
    ) -> Result<Answer, ProxyError> {
        apply_request(&rule.filters, &mut request)?;
        let place = rule.backends.choose(|place| place.is_available(self)).ok_or(ProxyError::FailFast)?;
        let scope = place.scope(&self.metrics);
        request.body_mut().count(&scope.requests);
        let sent = request.body_mut().sent(now);
        let response_end = rule.timeouts.response.map(|limit| (now + limit, StreamTimeout::Response));
        let request_end = deadline.map(|end| (end, StreamTimeout::Request));
        let headers_end = headers.map(|limit| (now + limit, StreamTimeout::ResponseHeaders));
        let first =
            [request_end, response_end, headers_end].into_iter().flatten().min_by_key(|(end, _)| *end);
        let asked = self.send(place, request, grpc, now);
        let result = match first {
            Some((end, why)) => timeout_at(end, asked).await.unwrap_or(Err(ProxyError::StreamTimeout(why))),
            None => asked.await,
        };
        match result {
            Ok(mut response) => {
                apply_response(place.named.iter().flat_map(|backend| &backend.filters), &mut response);
                apply_response(&rule.filters, &mut response);
                response.body_mut().add(Tracker::Backend(scope.clone(), sent));
                if let Some(limits) =
                    Limits::new(request_end.into_iter().chain(response_end), rule.timeouts.idle)
                {
                    response.body_mut().limit(limits);
                }
                Ok(response)
            }
            Err(error) => {
                scope.ended(None, error.label(), sent.until(Instant::now()));
                Err(error)
            }
        }
    }

    async fn send(
        &self,
        place: &Place,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
        now: Instant,
    ) -> Result<Answer, ProxyError> {
        let accrual = self.policy.failure_accrual;
        let Some(backend) = &place.named else {
            return self.own.call(request, None, grpc, now).await;
        };
        apply_request(&backend.filters, &mut request)?;
        let service = self.services.named(&backend.authority, accrual).await;
        let service = service.ok_or_else(|| ProxyError::NoBackend(backend.authority.clone()))?;
        service.call(request, None, grpc, now).await
    }
}

fn host(request: &Request<RequestBody>) -> Option<&str> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    request.uri().authority().map(|authority| authority.as_str()).or(host)
}

fn apply_request(filters: &[Filter], request: &mut Request<RequestBody>) -> Result<(), ProxyError> {
    for filter in filters {
        match filter {
            Filter::RequestHeaders(change) => change.apply(request.headers_mut()),
            Filter::ResponseHeaders(_) => {}
            Filter::Redirect(to) => {
                let location = to.location(request.uri(), host(request)).ok_or(ProxyError::NoRoute)?;
                return Err(ProxyError::Redirect(to.status(), location));
            }
        }
    }
    Ok(())
}

fn apply_response<'a>(filters: impl IntoIterator<Item = &'a Filter>, response: &mut Response<ResponseBody>) {
    for filter in filters {
        if let Filter::ResponseHeaders(change) = filter {
            change.apply(response.headers_mut());
        }
    }
}
