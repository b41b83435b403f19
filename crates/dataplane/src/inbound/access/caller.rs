//! The counters of one caller's requests to one port.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use http::HeaderValue;

use crate::inbound::rate_limit::Scope;
use crate::metrics::{Counter, HttpScope, InboundScope, Labels, Metrics, TcpScope};
use crate::policy::{InboundPolicy, InboundRoute, ObjectRef};

/// The counters of one identity's requests to one port; callers without an identity share theirs.
pub(in crate::inbound) struct Caller {
    pub(in crate::inbound) connections: Arc<TcpScope>,
    /// Whether the caller may open connections that do not carry HTTP.
    pub(in crate::inbound) is_allowed: bool,
    /// In the order of the policy; without routes the default route.
    routes: Vec<Route>,
    /// Requests of probes are always allowed by the default routes.
    probes: RouteScopes,
    limited: [OnceLock<Arc<Counter>>; 3],
    errors: OnceLock<Arc<Counter>>,
    identity: Option<Arc<str>>,
    pub(in crate::inbound) client_id: Option<HeaderValue>,
    /// `target_*` and `srv_*`.
    server: Labels,
    /// `tls` and `client_id` or `no_tls_reason`.
    tls: Labels,
    metrics: Arc<Metrics>,
}

/// One route for one caller.
struct Route {
    labels: Labels,
    /// `None` if the caller is not allowed.
    scopes: Option<RouteScopes>,
    denied: OnceLock<Arc<Counter>>,
}

/// The series of one caller's requests to one route.
pub(in crate::inbound) struct RouteScopes {
    allowed: Arc<Counter>,
    pub(in crate::inbound) requests: Arc<HttpScope>,
    pub(in crate::inbound) served: Arc<InboundScope>,
}

impl Caller {
    /// Prepares the counters; `of_port` and `of_routes` are the authorizations that cover the caller.
    pub(super) fn new(
        metrics: &Arc<Metrics>,
        addr: SocketAddr,
        policy: &InboundPolicy,
        of_port: Option<&ObjectRef>,
        of_routes: &[Option<ObjectRef>],
        identity: Option<&Arc<str>>,
    ) -> Self {
        let tls = match identity {
            Some(name) => Labels::new().with("tls", "true").with("client_id", name),
            None => Labels::new().with("tls", "no_identity").with("no_tls_reason", "no_tls_from_remote"),
        };
        let server = object("srv", &policy.server).with("srv_port", addr.port());
        let inbound = Labels::new().with("direction", "inbound");
        let target = Labels::new().with_target(addr);
        let connections = inbound.with("peer", "src").and(&target).and(&tls).and(&server);
        let parent = object("parent", &policy.server).with("parent_port", addr.port());
        let scopes = |route: &Labels, authorization: &ObjectRef| {
            let authorization = object("authz", authorization);
            let requests = inbound.and(&target).and(&tls).and(&server).and(route).and(&authorization);
            let allowed = target.and(&server).and(route).and(&authorization).and(&tls);
            RouteScopes {
                allowed: metrics.inbound_allowed.get(&allowed),
                requests: Arc::new(HttpScope::endpoint(metrics, requests)),
                served: Arc::new(InboundScope::new(metrics, parent.and(route))),
            }
        };
        let default = |name: &str| object("route", &ObjectRef::default_policy(name));
        let route = |labels: Labels, authorization: Option<&ObjectRef>| Route {
            scopes: authorization.map(|authorization| scopes(&labels, authorization)),
            labels,
            denied: OnceLock::new(),
        };
        let attached = policy.routes.iter().zip(of_routes);
        let mut routes: Vec<_> = attached.map(|(one, found)| route(labels(one), found.as_ref())).collect();
        if routes.is_empty() {
            routes.push(route(default("default"), of_port));
        }
        Self {
            connections: Arc::new(TcpScope::new(metrics, connections)),
            is_allowed: of_port.is_some(),
            routes,
            probes: scopes(&default("probe"), &ObjectRef::default_policy("probe")),
            limited: [const { OnceLock::new() }; 3],
            errors: OnceLock::new(),
            identity: identity.cloned(),
            client_id: identity.and_then(|name| HeaderValue::try_from(&**name).ok()),
            server: target.and(&server),
            tls,
            metrics: metrics.clone(),
        }
    }

    pub(super) fn identity(&self) -> Option<&Arc<str>> {
        self.identity.as_ref()
    }

    /// Counts and returns the series of probes.
    pub(super) fn probe(&self) -> &RouteScopes {
        self.probes.allowed.inc();
        &self.probes
    }

    /// Counts whether the caller may send requests to a route, and returns the series if so.
    pub(super) fn authorized(&self, route: usize) -> Option<&RouteScopes> {
        let route = &self.routes[route];
        match &route.scopes {
            Some(scopes) => scopes.allowed.inc(),
            None => {
                let labels = || self.server.and(&route.labels).and(&self.tls);
                route.denied.get_or_init(|| self.metrics.inbound_denied.get(&labels())).inc();
            }
        }
        route.scopes.as_ref()
    }

    /// Counts a request that matches no route.
    pub(super) fn not_found(&self) {
        self.metrics.inbound_not_found.get(&self.server.and(&self.tls)).inc();
    }

    pub(super) fn limited(&self, scope: Scope, policy: &ObjectRef) {
        let create = || {
            let labels = self.server.and(&object("ratelimit", policy));
            let labels = labels.with("ratelimit_scope", scope.label());
            self.metrics.inbound_rate_limited.get(&labels.and(&self.tls))
        };
        self.limited[scope as usize].get_or_init(create).inc();
        self.failed("unexpected");
    }

    /// Counts a request that the proxy responded to with an error.
    pub(in crate::inbound) fn failed(&self, error: &'static str) {
        let labels = || Labels::new().with("error", error).and(&self.server);
        if error == "unexpected" {
            self.errors.get_or_init(|| self.metrics.inbound_errors.get(&labels())).inc();
        } else {
            self.metrics.inbound_errors.get(&labels()).inc();
        }
    }
}

/// Returns the labels of an attached route.
fn labels(route: &InboundRoute) -> Labels {
    let (group, kind) = route.route.kind.group_and_kind();
    let (group, kind, name) = (group.to_owned(), kind.to_owned(), route.route.name.clone());
    object("route", &ObjectRef { group, kind, name })
}

fn object(role: &str, object: &ObjectRef) -> Labels {
    let label = |part: &str| format!("{role}_{part}");
    let labels = Labels::new().with(&label("group"), &object.group);
    labels.with(&label("kind"), &object.kind).with(&label("name"), &object.name)
}
