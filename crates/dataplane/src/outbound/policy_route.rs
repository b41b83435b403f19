//! Applies annotations and HTTPRoutes. From the outside in: count the request, its deadline, its retries with backoff,
//! filters, a backend by weight, count each attempt, its timeouts.

mod filters;
mod rule;

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::HOST;
use tokio::time::{Instant, sleep, timeout_at};

use super::concrete::Concrete;
use super::context::Context;
use super::services::Services;
use crate::backoff::backoff;
use crate::body::{BoxResponse, Limits, Replay, RequestBody, Tracker};
use crate::error::{ProxyError, StreamTimeout};
use crate::metrics::{Metrics, RetryScope};
use crate::policy::{Backend, HttpRoute, Policy, Retry, RouteRule, find_rule};
use crate::target::Target;
use filters::{apply_request, apply_response};
use rule::{Rule, RuleBackend, parent_labels};

/// The shortest and the longest backoff before a retry; up to the same time is added at random. Linkerd's values.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));

/// One version of a service's policy.
pub(super) struct PolicyPlan {
    policy: Arc<Policy>,
    /// By route and rule; without routes one default rule.
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
            let rules = |route: &HttpRoute| {
                let rule = |rule| Rule::new(&parent, target, &policy, Some(route), rule);
                route.rules.iter().map(rule).collect()
            };
            policy.routes.iter().map(rules).collect()
        };
        let own = services.own(target, policy.failure_accrual);
        Self { policy, rules, own, services: services.clone(), metrics: context.metrics.clone() }
    }

    pub(super) async fn call(
        &self,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
    ) -> Result<BoxResponse, ProxyError> {
        let rule = self.rule(&request).ok_or(ProxyError::NoRoute)?;
        tracing::debug!(route = rule.name, retries = rule.retry.is_some(), "policy route matched");
        let (scope, retries) = rule.scopes(&self.metrics);
        let start = Instant::now();
        let deadline = rule.timeouts.request.map(|limit| start + limit);
        request.body_mut().measure_frames(&scope.frames);
        let result = match (&rule.retry, retries) {
            (Some(retry), Some(counters)) => {
                self.call_with_retries(rule, retry, counters, request, grpc, (start, deadline)).await
            }
            _ => {
                let result = self.attempt(rule, request, grpc, start, deadline, None).await;
                if is_failure(&result) {
                    refused("the route has no retries");
                }
                result
            }
        };
        match result {
            Ok(mut response) => {
                response.body_mut().add(Tracker::Route(scope.clone(), start));
                Ok(response)
            }
            Err(error) => {
                let (status, label) = match &error {
                    ProxyError::Redirect(status, _) => (Some(status.as_u16()), ""),
                    _ => (None, error.label()),
                };
                scope.ended(status, label, start.elapsed());
                Err(error)
            }
        }
    }

    fn rule(&self, request: &Request<RequestBody>) -> Option<&Rule> {
        if self.policy.routes.is_empty() {
            return self.rules.first()?.first();
        }
        let (route, rule) = find_rule(&self.policy.routes, request, host(request))?;
        self.rules.get(route)?.get(rule)
    }

    /// Retries after a backoff, as often as the limit allows. The conditions: the response or the error is retryable, the
    /// whole body was sent and kept, the limit is not reached, the deadline leaves time, an endpoint is available.
    async fn call_with_retries(
        &self,
        rule: &Rule,
        retry: &Retry,
        counters: &RetryScope,
        request: Box<Request<RequestBody>>,
        grpc: bool,
        (mut now, deadline): (Instant, Option<Instant>),
    ) -> Result<BoxResponse, ProxyError> {
        let (head, body) = request.into_parts();
        let replay = match Replay::new(body) {
            Ok(replay) => replay,
            Err(body) => {
                let request = Box::new(Request::from_parts(head, body));
                let result = self.attempt(rule, request, grpc, now, deadline, None).await;
                if is_retryable(retry, &result) {
                    refused("the request body is longer than 64 KiB");
                }
                return result;
            }
        };
        let mut retries = 0;
        loop {
            let request = Box::new(Request::from_parts(head.clone(), replay.body()));
            // No decision follows the last attempt, so its headers have no timeout.
            let headers_timeout = retry.timeout.filter(|_| retries < retry.limit);
            let mut result = self.attempt(rule, request, grpc, now, deadline, headers_timeout).await;
            if !is_retryable(retry, &result) {
                if is_failure(&result) {
                    refused("the status or error is not retryable");
                }
                if retries > 0 && result.is_ok() {
                    counters.successes.inc();
                }
                return result;
            }
            if !replay.is_complete() {
                refused("the request body was not sent or kept to its end");
                return result;
            }
            if retries == retry.limit {
                refused("the retry limit is reached");
                counters.limit_exceeded.inc();
                return result;
            }
            if let Ok(response) = &mut result {
                response.body_mut().report_head();
            }
            let pause = backoff(BACKOFF.0, BACKOFF.1, 1.0, u32::from(retries), rand::random());
            if let Some(deadline) = deadline.filter(|deadline| *deadline <= Instant::now() + pause) {
                refused("the request timeout comes before the end of the backoff");
                timeout_at(deadline, std::future::pending::<()>()).await.ok();
                return Err(ProxyError::StreamTimeout(StreamTimeout::Request));
            }
            tracing::debug!(backoff = ?pause, "retry allowed by the limit");
            sleep(pause).await;
            if !rule.backends.any(|backend| self.is_available(backend)) {
                refused("no endpoint is available");
                counters.overflow.inc();
                return result;
            }
            retries += 1;
            now = Instant::now();
            counters.requests.inc();
            if let Ok(response) = result {
                response.into_body().abandon();
            }
        }
    }

    /// Sends one attempt, started `now`, to one backend.
    async fn attempt(
        &self,
        rule: &Rule,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
        now: Instant,
        deadline: Option<Instant>,
        headers_timeout: Option<Duration>,
    ) -> Result<BoxResponse, ProxyError> {
        apply_request(&rule.filters, &mut request, host)?;
        let backend =
            rule.backends.choose(|backend| self.is_available(backend)).ok_or(ProxyError::FailFast)?;
        let scope = backend.scope(&self.metrics);
        request.body_mut().count(&scope.requests);
        let sent = request.body_mut().sent_at(now);
        let request_end = deadline.map(|end| (end, StreamTimeout::Request));
        let response_end = rule.timeouts.response.map(|limit| (now + limit, StreamTimeout::Response));
        let headers_end = headers_timeout.map(|limit| (now + limit, StreamTimeout::ResponseHeaders));
        let ends = [request_end, response_end, headers_end];
        tracing::debug!(
            backend = backend.named.as_ref().map(|backend| &*backend.authority),
            "attempt started"
        );
        let response = self.send(backend, request, grpc, now);
        let result = match ends.into_iter().flatten().min_by_key(|(end, _)| *end) {
            Some((end, timeout)) => timeout_at(end, response).await.unwrap_or_else(|_| {
                tracing::debug!(%timeout, "attempt timed out");
                Err(ProxyError::StreamTimeout(timeout))
            }),
            None => response.await,
        };
        match result {
            Ok(mut response) => {
                let own = backend.named.iter().flat_map(|backend| &backend.filters);
                apply_response(own.chain(&rule.filters), response.headers_mut());
                response.body_mut().add(Tracker::Backend(scope.clone(), sent));
                let deadlines = request_end.into_iter().chain(response_end);
                if let Some(limits) = Limits::new(deadlines, rule.timeouts.idle) {
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
        backend: &RuleBackend,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
        now: Instant,
    ) -> Result<BoxResponse, ProxyError> {
        let Some(Backend { authority, filters, .. }) = &backend.named else {
            return self.own.call(request, None, grpc, now).await;
        };
        apply_request(filters, &mut request, host)?;
        let service = self.services.named(authority, self.policy.failure_accrual).await;
        let service = service.ok_or_else(|| ProxyError::NoBackend(authority.clone()))?;
        service.call(request, None, grpc, now).await
    }

    fn is_available(&self, backend: &RuleBackend) -> bool {
        match &backend.named {
            None => self.own.is_available(),
            Some(backend) => self.services.is_available(&backend.authority, self.policy.failure_accrual),
        }
    }
}

fn is_retryable(retry: &Retry, result: &Result<BoxResponse, ProxyError>) -> bool {
    match result {
        Ok(response) => retry.matches(response.status()),
        Err(ProxyError::FailFast | ProxyError::StreamTimeout(StreamTimeout::ResponseHeaders)) => true,
        Err(error) => error.is_refused_stream(),
    }
}

/// Whether a response or an error is a failure, for the log.
fn is_failure(result: &Result<BoxResponse, ProxyError>) -> bool {
    match result {
        Ok(response) => response.body().is_failure_by_head(),
        Err(error) => !matches!(error, ProxyError::Redirect(..)),
    }
}

/// Logs why a failure is not retried.
fn refused(reason: &str) {
    tracing::debug!(reason, "retry refused");
}

fn host<B>(request: &Request<B>) -> Option<&str> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    request.uri().authority().map(|authority| authority.as_str()).or(host)
}
