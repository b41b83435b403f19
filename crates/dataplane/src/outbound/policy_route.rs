//! Applies annotations and HTTPRoutes. From the outside in: count the request, its deadline, its retries with backoff,
//! filters, a backend by weight, count each attempt, its timeouts.

mod rule;

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tokio::time::{Instant, sleep};

use super::concrete::Concrete;
use super::context::Context;
use super::endpoint::Limit;
use super::failure::Failure;
use super::services::Services;
use crate::backoff::backoff;
use crate::body::{BoxResponse, Limits, Replay, RequestBody, Tracker};
use crate::error::{ProxyError, StreamTimeout};
use crate::headers::host;
use crate::health::HealthSettings;
use crate::metrics::{End, Metrics, RetryScope, RouteProtocol};
use crate::policy::{Backend, BackendKind, HttpRoute, Policy, Retry, RouteRule, find_rule};
use crate::route_filters::{apply_request, apply_response};
use crate::target::Target;
use rule::{Parent, Rule, RuleBackend};

/// The shortest and the longest backoff before a retry; up to the same time is added at random. Linkerd's values.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));

/// One version of a service's policy.
pub(super) struct PolicyPlan {
    policy: Arc<Policy>,
    settings: HealthSettings,
    /// By route and rule.
    rules: Vec<Vec<Rule>>,
    /// The rule of requests that no route matches: without routes, and outside of the cluster.
    default: Option<Rule>,
    own: Arc<Concrete>,
    services: Arc<Services>,
    /// The destination's address or name, for error texts.
    logical: Arc<str>,
    metrics: Arc<Metrics>,
}

impl PolicyPlan {
    pub(super) fn new(
        context: &Arc<Context>,
        logical: &Arc<str>,
        services: &Arc<Services>,
        target: &Arc<Target>,
    ) -> Self {
        let policy = target.policy.clone();
        let parent = Parent::of(target);
        let rules = |route: &HttpRoute| {
            let rule = |rule| Rule::new(&parent, target, &policy, Some(route), rule);
            route.rules.iter().map(rule).collect()
        };
        let rules = policy.routes.iter().map(rules).collect();
        let has_default = policy.routes.is_empty() || target.egress.is_some();
        let default = has_default.then(|| Rule::new(&parent, target, &policy, None, &RouteRule::default()));
        let settings = HealthSettings { accrual: policy.failure_accrual, bias: policy.load_bias };
        let own = services.own(target, settings);
        let (logical, metrics) = (logical.clone(), context.metrics.clone());
        Self { policy, settings, rules, default, own, services: services.clone(), logical, metrics }
    }

    pub(super) async fn call(
        &self,
        mut request: Box<Request<RequestBody>>,
        grpc: bool,
    ) -> Result<BoxResponse, Failure> {
        let no_route = || Failure::at(ProxyError::NoRoute, &self.logical, None, None);
        let (rule, prefix) = self.rule(&request).ok_or_else(no_route)?;
        tracing::debug!(route = rule.name, retries = rule.retry.is_some(), "policy route matched");
        let (scope, retries) = rule.scopes(&self.metrics);
        let start = Instant::now();
        let deadline = rule.timeouts.request.map(|limit| start + limit);
        request.body_mut().measure_frames(&scope.frames);
        let mut attempts = Attempts { rule, prefix, grpc, deadline, last: None };
        let result = match (&rule.retry, retries) {
            (Some(retry), Some(counters)) => {
                self.call_with_retries(&mut attempts, retry, counters, request, start).await
            }
            _ => {
                let result = self.attempt(&mut attempts, request, start, None).await;
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
                scope.ended(outcome(&error), start.elapsed());
                let backend = attempts.last.map(|backend| &*backend.name);
                Err(Failure::at(error, &self.logical, Some(&rule.name), backend))
            }
        }
    }

    /// Returns the rule of a request and the path prefix that it matched.
    fn rule(&self, request: &Request<RequestBody>) -> Option<(&Rule, Option<&str>)> {
        let routes = &self.policy.routes;
        // The host is read from the headers, which is not needed without a route.
        let host = if routes.is_empty() { None } else { host(request) };
        match find_rule(routes, request, host) {
            Some(found) => Some((self.rules.get(found.route)?.get(found.rule)?, found.prefix)),
            None => Some((self.default.as_ref()?, None)),
        }
    }

    /// Retries after a backoff, as often as the limit allows. The conditions: the response or the error is retryable, the
    /// whole body was sent and kept, the limit is not reached. A retry waits for an endpoint as the first attempt does; the
    /// deadline does not shorten the backoff.
    async fn call_with_retries<'a>(
        &'a self,
        attempts: &mut Attempts<'a>,
        retry: &Retry,
        counters: &RetryScope,
        request: Box<Request<RequestBody>>,
        mut now: Instant,
    ) -> Result<BoxResponse, ProxyError> {
        let (head, body) = request.into_parts();
        let replay = match Replay::new(body) {
            Ok(replay) => replay,
            Err(body) => {
                let request = Box::new(Request::from_parts(head, body));
                let result = self.attempt(attempts, request, now, None).await;
                if is_retryable(attempts.rule, retry, &result) {
                    refused("the request body is longer than 64 KiB");
                }
                return result;
            }
        };
        let mut retries = 0;
        loop {
            let request = Box::new(Request::from_parts(head.clone(), RequestBody::of_attempt(&replay)));
            // No decision follows the last attempt, so its headers have no timeout.
            let headers_timeout = retry.timeout.filter(|_| retries < retry.limit);
            let mut result = self.attempt(attempts, request, now, headers_timeout).await;
            if let (RouteProtocol::Grpc, Ok(response)) = (attempts.rule.protocol, &mut result) {
                response.body_mut().peek_trailers().await;
            }
            if !is_retryable(attempts.rule, retry, &result) {
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
            tracing::debug!(backoff = ?pause, "retry allowed by the limit");
            sleep(pause).await;
            retries += 1;
            now = Instant::now();
            counters.requests.inc();
            if let Ok(response) = result {
                response.into_body().abandon();
            }
        }
    }

    /// Sends one attempt, started `now`, to one backend.
    async fn attempt<'a>(
        &'a self,
        attempts: &mut Attempts<'a>,
        mut request: Box<Request<RequestBody>>,
        now: Instant,
        headers_timeout: Option<Duration>,
    ) -> Result<BoxResponse, ProxyError> {
        let Attempts { rule, prefix, grpc, deadline, .. } = *attempts;
        if !rule.allowed {
            return Err(ProxyError::NotAllowed);
        }
        apply_request(&rule.filters, &mut request, prefix)?;
        let backend = rule.backends.choose(|backend| !self.sheds(backend)).ok_or(ProxyError::FailFast)?;
        if self.sheds(backend) {
            return Err(ProxyError::LoadShed);
        }
        attempts.last = Some(backend);
        let filters = backend.named.as_ref().map(|backend| &*backend.filters).unwrap_or_default();
        apply_request(filters, &mut request, prefix)?;
        let service = self.service(backend).await;
        let scope = match &service {
            Some(_) => backend.scope(&self.metrics),
            None => backend.missing_scope(&self.metrics),
        };
        request.body_mut().count(&scope.requests);
        let sent = request.body_mut().sent_at(now);
        let end = |time: Option<Duration>, kind| time.map(|time| Limit { at: now + time, kind, time });
        let request_end = deadline.zip(rule.timeouts.request);
        let request_end = request_end.map(|(at, time)| Limit { at, kind: StreamTimeout::Request, time });
        let response_end = end(rule.timeouts.response, StreamTimeout::Response);
        let ends = [request_end, response_end, end(headers_timeout, StreamTimeout::ResponseHeaders)];
        let limit = ends.into_iter().flatten().min_by_key(|limit| limit.at);
        tracing::debug!(
            backend = backend.named.as_ref().map(|backend| &*backend.authority),
            "attempt started"
        );
        let response = async {
            let service = service.ok_or_else(|| ProxyError::NoBackend(backend.service_name().to_owned()))?;
            service.call(request, None, grpc, now, limit).await
        };
        // The endpoint counts an attempt that timed out; this one ends the wait for an endpoint.
        let result = match limit {
            None => response.await,
            Some(limit) => limit.bound(response).await,
        };
        match result {
            Ok(mut response) => {
                apply_response(filters.iter().chain(&rule.filters), response.headers_mut());
                response.body_mut().add(Tracker::Backend(scope.clone(), sent));
                let deadlines = request_end.into_iter().chain(response_end);
                let deadlines = deadlines.map(|limit| (limit.at, limit.kind));
                if let Some(limits) = Limits::new(deadlines, rule.timeouts.idle) {
                    response.body_mut().limit(limits);
                }
                Ok(response)
            }
            Err(error) => {
                scope.ended(outcome(&error), sent.until(Instant::now()));
                Err(error)
            }
        }
    }

    /// Returns the service of a backend, or `None` if it does not exist.
    async fn service(&self, backend: &RuleBackend) -> Option<Arc<Concrete>> {
        match &backend.named {
            _ if backend.is_own => Some(self.own.clone()),
            Some(Backend { authority, kind: BackendKind::Service, .. }) => {
                self.services.named(authority, self.settings).await
            }
            _ => None,
        }
    }

    /// Whether a backend rejects requests at once.
    fn sheds(&self, backend: &RuleBackend) -> bool {
        match &backend.named {
            _ if backend.is_own => self.own.sheds(),
            Some(backend) => self.services.sheds(&backend.authority, self.settings),
            None => false,
        }
    }
}

/// What all attempts of one request share.
struct Attempts<'a> {
    rule: &'a Rule,
    /// The path prefix that the request matched.
    prefix: Option<&'a str>,
    grpc: bool,
    deadline: Option<Instant>,
    /// The backend of the last attempt.
    last: Option<&'a RuleBackend>,
}

/// Returns how an error counts: errors that a rule decides count as responses.
fn outcome(error: &ProxyError) -> End {
    let status = match error {
        ProxyError::Redirect(status, _) => Some(status.as_u16()),
        ProxyError::NoBackend(_) => Some(500),
        ProxyError::NotAllowed => Some(403),
        _ => None,
    };
    End { status, grpc: None, error: if status.is_some() { "" } else { error.label() } }
}

/// Whether a response or an error is retried: on a GRPCRoute by the gRPC status, else by the HTTP status.
fn is_retryable(rule: &Rule, retry: &Retry, result: &Result<BoxResponse, ProxyError>) -> bool {
    match result {
        Ok(response) if rule.protocol == RouteProtocol::Grpc => {
            response.body().grpc_status().is_some_and(|code| retry.grpc.contains(&code))
        }
        Ok(response) => retry.matches(response.status()),
        Err(ProxyError::FailFast | ProxyError::StreamTimeout(StreamTimeout::ResponseHeaders, _)) => true,
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
