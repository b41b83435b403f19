//! Which of the objects about a Service is in effect for its requests, and why.
//!
//! Facts: a ServiceProfile with routes replaces annotations, HTTPRoutes and the circuit breaker; a route with any retry
//! annotation replaces the retry annotations of its Service, and with any timeout the timeouts (`retry.is_none()` and
//! `timeouts == Default::default()` in Linkerd's `policy-controller/grpc/src/outbound/http.rs`; measured in rows a14 to a17).

use std::fmt;

use serde::Serialize;

use crate::httproute::HttpRoute;
use crate::policy::Annotations;
use crate::profile::ServiceProfile;

mod annotated;
mod authorized;
mod endpoints;
mod grpc;
mod inbound;
mod inherit;
mod profiled;
mod request;
mod servers;
mod text;
mod words;

pub use endpoints::EndpointBreakers;
pub use request::{retry_of, timeouts_of};
pub use servers::{Inbound, Key, ServerPod, ServerRoute};

/// The objects about one Service.
#[derive(Clone, Copy, Debug)]
pub struct Objects<'a> {
    /// The namespace of the Service.
    pub namespace: &'a str,
    /// The name of the Service.
    pub name: &'a str,
    /// The annotations of the Service.
    pub annotations: &'a Annotations,
    /// The profile that clients use.
    pub profile: Option<&'a ServiceProfile>,
    /// The HTTPRoutes whose parent is the Service.
    pub routes: &'a [HttpRoute],
    /// Its GRPCRoutes, as [`crate::grpc_route::from_value`] reads them. With one of them, clients use no HTTPRoute.
    pub grpc_routes: &'a [HttpRoute],
    /// What decides who may call the Service's pods, and how often; `None` if it was not read.
    pub inbound: Option<&'a Inbound>,
}

/// A rate limit of one Server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RateLimit {
    /// The name of the HTTPLocalRateLimitPolicy.
    name: String,
    /// The requests per second of all clients of one pod together.
    total: Option<u32>,
    /// The requests per second of each client identity.
    identity: Option<u32>,
    /// The requests per second of some ServiceAccounts together, in place of `identity`, with their names.
    overrides: Vec<(u32, Vec<String>)>,
}

/// What is in effect for the requests to a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// `NAMESPACE/NAME` of the Service.
    pub service: String,
    /// The groups of requests, each with its own settings.
    pub requests: Vec<Requests>,
    /// The settings of all requests: circuit breaker, rate limit, and who may call.
    pub shared: Vec<Setting>,
    /// What the circuit breakers of clients do; `None` if it was not measured. [`effective`] returns `None`.
    pub endpoints: Option<Vec<EndpointBreakers>>,
    /// The settings without an effect.
    pub ignored: Vec<Ignored>,
}

/// The requests that one route matches, or all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Which requests: a route, or `all requests`.
    pub which: String,
    /// The settings: retries, limit and timeouts.
    pub settings: Vec<Setting>,
}

/// The value in effect for a field, and its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The field.
    pub field: Field,
    /// The value in words.
    pub value: String,
    /// The object that sets the value.
    pub source: Source,
    /// Why this object is in effect and not another one.
    pub why: &'static str,
}

/// A field of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// Which responses are retried.
    Retries,
    /// The limit of retries: a number per request, or a budget.
    Limit,
    /// The timeouts.
    Timeouts,
    /// The circuit breaker.
    Breaker,
    /// The rate limit.
    RateLimit,
    /// Who may call.
    Callers,
}

/// The object that sets a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Source {
    /// No object: the default of Linkerd.
    Default,
    /// The ServiceProfile.
    Profile,
    /// The HTTPRoute of this name.
    Route(String),
    /// The GRPCRoute of this name.
    GrpcRoute(String),
    /// The annotations of the Service.
    Service,
    /// The HTTPLocalRateLimitPolicy of this name.
    RateLimit(String),
    /// The Server of this name.
    Server(String),
    /// The annotation of a pod.
    Pod,
    /// The annotation of the namespace.
    Namespace,
}

/// A setting without an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// The object.
    pub object: String,
    /// The setting: a field or an annotation.
    pub setting: String,
    /// Why it has no effect.
    pub why: String,
}

/// Returns what is in effect for the requests to a Service.
pub fn effective(objects: &Objects<'_>) -> Effective {
    let mut found = Effective {
        service: format!("{}/{}", objects.namespace, objects.name),
        requests: Vec::new(),
        shared: Vec::new(),
        endpoints: None,
        ignored: Vec::new(),
    };
    match objects.profile {
        Some(profile) if profile.replaces_policy() => profiled::add(objects, profile, &mut found),
        profile => {
            if profile.is_some() {
                found.ignore("ServiceProfile", "spec", "it has no routes, so clients use the annotations");
            }
            annotated::add(objects, &mut found);
        }
    }
    if let Some(inbound) = objects.inbound {
        inbound::add(inbound, objects.namespace, &mut found);
    }
    found
}

impl Effective {
    fn ignore(&mut self, object: impl fmt::Display, setting: impl fmt::Display, why: impl fmt::Display) {
        let (object, setting, why) = (object.to_string(), setting.to_string(), why.to_string());
        self.ignored.push(Ignored { object, setting, why });
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Profile => f.write_str("ServiceProfile"),
            Self::Route(name) => write!(f, "HTTPRoute {name}"),
            Self::GrpcRoute(name) => write!(f, "GRPCRoute {name}"),
            Self::Service => f.write_str("Service"),
            Self::RateLimit(name) => write!(f, "HTTPLocalRateLimitPolicy {name}"),
            Self::Server(name) => write!(f, "Server {name}"),
            Self::Pod => f.write_str("Pod"),
            Self::Namespace => f.write_str("Namespace"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Retries => "retries",
            Self::Limit => "limit",
            Self::Timeouts => "timeouts",
            Self::Breaker => "circuit breaker",
            Self::RateLimit => "rate limit",
            Self::Callers => "callers",
        })
    }
}

#[cfg(test)]
mod tests;
