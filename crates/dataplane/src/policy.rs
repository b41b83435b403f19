//! What annotations and HTTPRoutes say about a service: retries, timeouts, routes, circuit breaking.

mod filters;
mod matches;
mod retry;

use std::time::Duration;

pub use filters::{Filter, HeaderModifier, Redirect};
pub(crate) use matches::find as find_rule;
pub use matches::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch};
pub use retry::{BadRetry, Retry};

/// The newer policy of one service; the default has no routes of its own, no retries and no timeouts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// The service's own retries, used by its default route and by rules that have none.
    pub retry: Option<Retry>,
    /// The service's own timeouts, used likewise.
    pub timeouts: Timeouts,
    /// Circuit breaking by failures in a row.
    pub failure_accrual: Option<FailureAccrual>,
    /// HTTPRoutes attached to the service. Empty means one default route; otherwise a request that none of them
    /// takes is answered 404.
    pub routes: Vec<HttpRoute>,
}

/// An object in the words of Linkerd's metric labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceRef {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The service's port.
    pub port: u16,
}

/// An HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpRoute {
    /// The route's namespace, for the labels.
    pub namespace: String,
    /// The route's name, for the labels.
    pub name: String,
    /// Hosts the route is for; empty is every host. `*.example` stands for any label in front.
    pub hostnames: Vec<String>,
    /// Its rules in the object's order.
    pub rules: Vec<RouteRule>,
}

/// One rule of an HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteRule {
    /// A request takes the rule when one of these matches; empty matches every request.
    pub matches: Vec<RouteMatch>,
    /// Done to every request and answer of the rule.
    pub filters: Vec<Filter>,
    /// Where requests go, by weight; empty is the service itself.
    pub backends: Vec<Backend>,
    /// The route's own timeouts, or `None` to use the service's.
    pub timeouts: Option<Timeouts>,
    /// The route's own retries, or `None` to use the service's.
    pub retry: Option<Retry>,
}

/// A service a rule sends requests to.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Name and port to discover, such as `web-v2.default.svc.cluster.local:9090`.
    pub authority: String,
    /// The service in the words of the labels.
    pub service: ServiceRef,
    /// Its share relative to the rule's other backends.
    pub weight: u32,
    /// Done to the requests and answers of this backend alone.
    pub filters: Vec<Filter>,
}

/// How long things may take; `None` is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request to the end of the answer, all tries together.
    pub request: Option<Duration>,
    /// From one try's request to the end of its answer.
    pub response: Option<Duration>,
    /// Without any frame in either direction.
    pub idle: Option<Duration>,
}

/// Circuit breaking by consecutive failures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailureAccrual {
    /// Failures in a row that shut an endpoint.
    pub max_failures: u32,
    /// The first penalty.
    pub min_penalty: Duration,
    /// The longest penalty.
    pub max_penalty: Duration,
    /// Up to this share of the penalty is added at random.
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
