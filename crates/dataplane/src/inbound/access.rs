//! Whether a caller may send requests to a port, decided once for each caller and version of the policy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};

use http::HeaderValue;

use super::port::Port;
use super::rate_limit::{Limiter, Scope};
use crate::metrics::{Counter, HttpScope, InboundScope, Labels, Metrics, TcpScope};
use crate::policy::{InboundPolicy, ObjectRef};

/// One version of a port's policy with the callers under it.
pub(super) struct Access {
    pub(super) policy: Arc<InboundPolicy>,
    limiter: Option<Arc<Limiter>>,
    callers: Mutex<HashMap<CallerKey, Arc<Caller>>>,
}

/// A caller's identity, and the authorization that covers it.
type CallerKey = (Option<Arc<str>>, Option<usize>);

/// The counters of one identity's requests to one port; callers without an identity share theirs.
pub(super) struct Caller {
    pub(super) connections: Arc<TcpScope>,
    /// `None` if the caller is not allowed.
    requests: Option<RouteScopes>,
    /// Requests of probes are always allowed.
    probes: RouteScopes,
    denied: OnceLock<Arc<Counter>>,
    limited: [OnceLock<Arc<Counter>>; 3],
    errors: OnceLock<Arc<Counter>>,
    identity: Option<Arc<str>>,
    pub(super) client_id: Option<HeaderValue>,
    labels: CallerLabels,
    metrics: Arc<Metrics>,
}

/// The series of one caller's requests to one route.
pub(super) struct RouteScopes {
    allowed: Arc<Counter>,
    pub(super) requests: Arc<HttpScope>,
    pub(super) served: Arc<InboundScope>,
}

/// Why a request is not passed to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Unauthorized,
    RateLimited,
}

impl Access {
    /// Prepares a version of the policy. Its rate limit continues that of the version before, if both are equal.
    pub(super) fn new(policy: Arc<InboundPolicy>, before: Option<&Access>) -> Self {
        let limiter = policy.rate_limit.as_ref().map(|limit| {
            let kept = before.and_then(|before| before.limiter.clone());
            kept.filter(|kept| kept.limit() == limit).unwrap_or_else(|| Arc::new(Limiter::new(limit.clone())))
        });
        Self { policy, limiter, callers: Mutex::default() }
    }

    /// Returns the counters of a caller.
    pub(super) fn caller(
        &self,
        metrics: &Arc<Metrics>,
        port: &Port,
        address: IpAddr,
        identity: Option<&Arc<str>>,
    ) -> Arc<Caller> {
        let covers = |one: &crate::policy::Authorization| one.covers(address, identity.map(|name| &**name));
        let authorization = self.policy.authorizations.iter().position(covers);
        let mut callers = self.callers.lock().expect("callers lock");
        let key = (identity.cloned(), authorization);
        let create = || {
            let authorization = authorization.map(|found| &self.policy.authorizations[found].object);
            Arc::new(Caller::new(metrics, port, &self.policy, authorization, identity))
        };
        callers.entry(key).or_insert_with(create).clone()
    }

    /// Decides about one request. Authorization comes first; the rate limit also applies to probes.
    pub(super) fn check<'a>(&self, caller: &'a Caller, probe: bool) -> Result<&'a RouteScopes, Refusal> {
        let scopes = if probe { Some(&caller.probes) } else { caller.requests.as_ref() };
        let Some(scopes) = scopes else {
            caller.denied();
            return Err(Refusal::Unauthorized);
        };
        scopes.allowed.inc();
        if let Some(limiter) = &self.limiter
            && let Err(scope) = limiter.check(caller.identity.as_ref(), tokio::time::Instant::now())
        {
            caller.limited(scope, &limiter.limit().object);
            return Err(Refusal::RateLimited);
        }
        Ok(scopes)
    }
}

/// The labels that several families of a caller share.
struct CallerLabels {
    /// `target_*` and `srv_*`.
    server: Labels,
    /// `tls` and `client_id` or `no_tls_reason`.
    tls: Labels,
}

impl Caller {
    fn new(
        metrics: &Arc<Metrics>,
        port: &Port,
        policy: &InboundPolicy,
        authorization: Option<&ObjectRef>,
        identity: Option<&Arc<str>>,
    ) -> Self {
        let number = port.addr.port();
        let tls = match identity {
            Some(name) => Labels::new().with("tls", "true").with("client_id", name),
            None => Labels::new().with("tls", "no_identity").with("no_tls_reason", "no_tls_from_remote"),
        };
        let server = object("srv", &policy.server).with("srv_port", number);
        let inbound = Labels::new().with("direction", "inbound");
        let target = Labels::new().with_target(port.addr);
        let connections = inbound.with("peer", "src").and(&target).and(&tls).and(&server);
        let parent = object("parent", &policy.server).with("parent_port", number);
        let scopes = |name: &str, authorization: &ObjectRef| {
            let route = object("route", &ObjectRef::default_policy(name));
            let authorization = object("authz", authorization);
            let requests = inbound.and(&target).and(&tls).and(&server).and(&route).and(&authorization);
            let allowed = target.and(&server).and(&route).and(&authorization).and(&tls);
            RouteScopes {
                allowed: metrics.inbound_allowed.get(&allowed),
                requests: Arc::new(HttpScope::endpoint(metrics, requests)),
                served: Arc::new(InboundScope::new(metrics, parent.and(&route))),
            }
        };
        Self {
            connections: Arc::new(TcpScope::new(metrics, connections)),
            requests: authorization.map(|authorization| scopes("default", authorization)),
            probes: scopes("probe", &ObjectRef::default_policy("probe")),
            denied: OnceLock::new(),
            limited: [const { OnceLock::new() }; 3],
            errors: OnceLock::new(),
            identity: identity.cloned(),
            client_id: identity.and_then(|name| HeaderValue::try_from(&**name).ok()),
            labels: CallerLabels { server: target.and(&server), tls },
            metrics: metrics.clone(),
        }
    }

    /// Whether the caller may open connections that do not carry HTTP.
    pub(super) fn is_allowed(&self) -> bool {
        self.requests.is_some()
    }

    fn denied(&self) {
        let create = || {
            let route = object("route", &ObjectRef::default_policy("default"));
            self.metrics.inbound_denied.get(&self.labels.server.and(&route).and(&self.labels.tls))
        };
        self.denied.get_or_init(create).inc();
    }

    fn limited(&self, scope: Scope, policy: &ObjectRef) {
        let create = || {
            let labels = self.labels.server.and(&object("ratelimit", policy));
            let labels = labels.with("ratelimit_scope", scope.label());
            self.metrics.inbound_rate_limited.get(&labels.and(&self.labels.tls))
        };
        self.limited[scope as usize].get_or_init(create).inc();
        self.failed("unexpected");
    }

    /// Counts a request that the proxy answered with an error.
    pub(super) fn failed(&self, error: &'static str) {
        let labels = || Labels::new().with("error", error).and(&self.labels.server);
        if error == "unexpected" {
            self.errors.get_or_init(|| self.metrics.inbound_errors.get(&labels())).inc();
        } else {
            self.metrics.inbound_errors.get(&labels()).inc();
        }
    }
}

fn object(role: &str, object: &ObjectRef) -> Labels {
    let label = |part: &str| format!("{role}_{part}");
    let labels = Labels::new().with(&label("group"), &object.group);
    labels.with(&label("kind"), &object.kind).with(&label("name"), &object.name)
}
