//! The policy of a service by annotations and HTTPRoutes: retries, timeouts, routes, circuit breaking.

mod filters;
mod inbound;
mod matches;
mod retry;

use std::time::Duration;

pub use filters::{Filter, HeaderModifier, PathRewrite, Redirect};
pub use inbound::{
    Authorization, Cidr, Identities, IdentityMatch, InboundPolicies, InboundPolicy, InboundRoute, Network,
    ObjectRef, RateLimit,
};
pub(crate) use matches::find as find_rule;
pub use matches::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};
pub use retry::{ParseRetryError, Retry};

/// The policy of one service. The default has no HTTPRoutes, no retries and no timeouts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// The service's retries, for its default route and for rules without retries.
    pub retry: Option<Retry>,
    /// The service's retries for rules of GRPCRoutes without retries.
    pub grpc_retry: Option<Retry>,
    /// The service's timeouts, for its default route and for rules without timeouts.
    pub timeouts: Timeouts,
    /// Circuit breaking.
    pub failure_accrual: Option<FailureAccrual>,
    /// How failures add to the load of endpoints.
    pub load_bias: Option<LoadBias>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// An HTTPRoute of the group `gateway.networking.k8s.io`.
    #[default]
    Http,
    /// An HTTPRoute of the group `policy.linkerd.io`.
    PolicyHttp,
    /// A GRPCRoute: its methods are matches of paths, and the gRPC status decides about retries.
    Grpc,
}

impl RouteKind {
    /// Returns the API group and the kind, for the labels.
    pub fn group_and_kind(self) -> (&'static str, &'static str) {
        match self {
            Self::Http => ("gateway.networking.k8s.io", "HTTPRoute"),
            Self::PolicyHttp => ("policy.linkerd.io", "HTTPRoute"),
            Self::Grpc => ("gateway.networking.k8s.io", "GRPCRoute"),
        }
    }
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

/// What kind of object a backend is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendKind {
    /// A Service.
    #[default]
    Service,
    /// An EgressNetwork: the destination itself, if the route is attached to the same EgressNetwork.
    EgressNetwork,
}

/// A service that gets requests of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The kind of the object.
    pub kind: BackendKind,
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

/// Circuit breaking by consecutive failures, and by the success rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailureAccrual {
    /// The number of consecutive failures that opens an endpoint's breaker; 0: any number.
    pub max_failures: u32,
    /// The success rate that opens an endpoint's breaker (`unified`).
    pub success_rate: Option<SuccessRate>,
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
            success_rate: None,
            min_penalty: Duration::from_secs(1),
            max_penalty: Duration::from_secs(60),
            jitter_ratio: 0.5,
        }
    }
}

/// A success rate that opens a breaker. Responses 429 and gRPC RESOURCE_EXHAUSTED count as failures here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuccessRate {
    /// A lower rate opens the breaker, 0 to 1.
    pub threshold: f64,
    /// The time over which the rate is measured.
    pub window: Duration,
    /// The number of responses within the window without which the rate decides nothing.
    pub min_responses: u32,
}

impl Default for SuccessRate {
    /// Linkerd's `unified`: 80 % of at least five responses in 10 s.
    fn default() -> Self {
        Self { threshold: 0.8, window: Duration::from_secs(10), min_responses: 5 }
    }
}

/// How failures add to the load of an endpoint: a 429, a 5xx and the gRPC statuses alike count as a slow response
/// (`penalize-failures`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadBias {
    /// The latency of a failure.
    pub penalty: Duration,
    /// The longest `Retry-After` of a 429 or 503 that takes the place of a shorter penalty.
    pub max_retry_after: Duration,
}

impl Default for LoadBias {
    /// Linkerd's 5 s, and 300 s for `Retry-After`.
    fn default() -> Self {
        Self { penalty: Duration::from_secs(5), max_retry_after: Duration::from_secs(300) }
    }
}
