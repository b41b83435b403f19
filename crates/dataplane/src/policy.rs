//! The policy of a service by annotations and HTTPRoutes: retries, timeouts, routes, circuit breaking.

mod filters;
mod inbound;
mod matches;
mod retry;

use std::time::Duration;

pub use filters::{Filter, HeaderModifier, PathRewrite, Redirect};
pub use inbound::{
    Authorization, Cidr, Identities, IdentityMatch, InboundPolicies, InboundPolicy, Network, ObjectRef,
    RateLimit,
};
pub(crate) use matches::find as find_rule;
pub use matches::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};
pub use retry::{ParseRetryError, Retry};

/// The policy of one service. The default has no HTTPRoutes, no retries and no timeouts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// The service's retries, for its default route and for rules without retries.
    pub retry: Option<Retry>,
    /// The service's timeouts, for its default route and for rules without timeouts.
    pub timeouts: Timeouts,
    /// Circuit breaking by consecutive failures.
    pub failure_accrual: Option<FailureAccrual>,
    /// The HTTPRoutes attached to the service. If empty, there is one default route; else a request that matches none of
    /// them gets a 404.
    pub routes: Vec<HttpRoute>,
}

/// A Service, for Linkerd's metric labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceRef {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// The Service's port.
    pub port: u16,
}

/// What a destination outside of the cluster belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Egress {
    /// No EgressNetwork: requests are allowed.
    Fallback,
    /// An EgressNetwork.
    Network(EgressNetwork),
}

/// An EgressNetwork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressNetwork {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The port of the destination.
    pub port: u16,
    /// Whether requests are allowed that no route of the network matches.
    pub allow: bool,
}

/// Which kind of object a route comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteKind {
    /// An HTTPRoute.
    #[default]
    Http,
    /// A GRPCRoute: its methods are matches of paths, and the gRPC status decides about retries.
    Grpc,
}

/// An HTTPRoute or a GRPCRoute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpRoute {
    /// The kind of the object.
    pub kind: RouteKind,
    /// The route's namespace, for the labels.
    pub namespace: String,
    /// The route's name, for the labels.
    pub name: String,
    /// The hosts of the route; empty for every host. `*.example` matches every subdomain.
    pub hostnames: Vec<String>,
    /// The rules, in the order of the object.
    pub rules: Vec<RouteRule>,
}

/// One rule of an HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteRule {
    /// A request matches the rule if one of these matches; empty matches every request.
    pub matches: Vec<RouteMatch>,
    /// Applied to every request and response of the rule.
    pub filters: Vec<Filter>,
    /// The backends of requests, by weight; empty for the service itself.
    pub backends: Vec<Backend>,
    /// The rule's timeouts, or `None` for the service's.
    pub timeouts: Option<Timeouts>,
    /// The rule's retries, or `None` for the service's.
    pub retry: Option<Retry>,
}

/// A service that gets requests of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Name and port to discover, such as `web-v2.default.svc.cluster.local:9090`.
    pub authority: String,
    /// The service, for the labels.
    pub service: ServiceRef,
    /// The share relative to the rule's other backends.
    pub weight: u32,
    /// Applied to the requests and responses of this backend only.
    pub filters: Vec<Filter>,
}

/// Timeouts; `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request to the end of the response, for all attempts together.
    pub request: Option<Duration>,
    /// From an attempt's request to the end of its response.
    pub response: Option<Duration>,
    /// Between two frames of the response.
    pub idle: Option<Duration>,
}

/// Circuit breaking by consecutive failures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailureAccrual {
    /// The number of consecutive failures that opens an endpoint's breaker.
    pub max_failures: u32,
    /// The first time without requests; it doubles with each failed probe.
    pub min_penalty: Duration,
    /// The longest time without requests.
    pub max_penalty: Duration,
    /// The largest share of that time that is added at random.
    pub jitter_ratio: f64,
}

impl Default for FailureAccrual {
    /// Linkerd's `consecutive`: seven failures, 1 s doubling to 60 s, jitter 0.5.
    fn default() -> Self {
        Self {
            max_failures: 7,
            min_penalty: Duration::from_secs(1),
            max_penalty: Duration::from_secs(60),
            jitter_ratio: 0.5,
        }
    }
}
