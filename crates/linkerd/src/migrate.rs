//! Translates a ServiceProfile to HTTPRoutes with annotations, and names each semantic difference.
//!
//! A profile's route becomes one HTTPRoute, since retry and timeout annotations apply to a whole route. The routes send requests
//! to the Service itself, or to the backends of `dstOverrides`.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::policy::Annotations;
use crate::profile::{Route, ServiceProfile};
use crate::{expression, names};

mod condition;
mod failures;
mod order;
mod overrides;

use condition::Alternative;

/// What to translate.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The port of the Service, which backends of an HTTPRoute need.
    pub port: u16,
    /// The number of retries per request that takes the place of the budget, at least 1.
    pub limit: u16,
    /// The annotations of the Service, which have no effect while there is a profile.
    pub annotations: &'a Annotations,
}

/// The translation of a profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Migration {
    /// The HTTPRoutes, ready to apply.
    pub routes: Vec<Value>,
    /// What the routes do otherwise, in the order of the profile's fields.
    pub differences: Vec<Difference>,
}

/// A semantic difference between the profile and its translation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The kind.
    pub kind: Kind,
    /// The field of the profile.
    pub field: String,
    /// What changes, with the values of this profile.
    pub what: String,
}

/// The kinds of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A condition that no match of an HTTPRoute expresses; its route is left out.
    ConditionLost,
    /// A method that HTTPRoutes do not have.
    MethodLost,
    /// An expression whose alternatives the profile anchors at one end only.
    ExpressionAnchors,
    /// A retry budget, instead of which a limit per request applies.
    BudgetBecomesLimit,
    /// Retries without a pause, which get one.
    RetryBackoff,
    /// Response classes, which HTTPRoutes do not have.
    ResponseClasses,
    /// A timeout, whose response keeps the connection.
    TimeoutResponse,
    /// Routes in an order that is not the order of precedence of HTTPRoutes.
    RouteOrder,
    /// Requests that no route matches, which get 404.
    UnmatchedRequests,
    /// A backend that is not a Service of the cluster.
    BackendLost,
    /// Opaque ports, which are an annotation.
    OpaquePorts,
    /// Annotations of the Service that have an effect without a profile.
    AnnotationsApply,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::ConditionLost,
        Self::MethodLost,
        Self::ExpressionAnchors,
        Self::BudgetBecomesLimit,
        Self::RetryBackoff,
        Self::ResponseClasses,
        Self::TimeoutResponse,
        Self::RouteOrder,
        Self::UnmatchedRequests,
        Self::BackendLost,
        Self::OpaquePorts,
        Self::AnnotationsApply,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ConditionLost => "condition-lost",
            Self::MethodLost => "method-lost",
            Self::ExpressionAnchors => "expression-anchors",
            Self::BudgetBecomesLimit => "budget-becomes-limit",
            Self::RetryBackoff => "retry-backoff",
            Self::ResponseClasses => "response-classes",
            Self::TimeoutResponse => "timeout-response",
            Self::RouteOrder => "route-order",
            Self::UnmatchedRequests => "unmatched-requests",
            Self::BackendLost => "backend-lost",
            Self::OpaquePorts => "opaque-ports",
            Self::AnnotationsApply => "annotations-apply",
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.kind, self.field, self.what)
    }
}

/// Translates a profile. `None` if its name is not the name of a Service.
pub fn migrate(profile: &ServiceProfile, options: &Options<'_>) -> Option<Migration> {
    let (service, namespace) = profile.service()?;
    let mut found = Migration { routes: Vec::new(), differences: Vec::new() };
    let backends = overrides::backends(profile, service, options, &mut found);
    let mut translated = Vec::new();
    for (index, route) in profile.spec.routes.iter().enumerate() {
        let field = format!("spec.routes[{index}]");
        let Some(alternatives) = condition::alternatives(route, &field, &mut found) else { continue };
        let annotations = annotations(profile, route, &field, options, &mut found);
        translated.push((index, alternatives, annotations));
    }
    if profile.spec.routes.is_empty() && !profile.spec.dst_overrides.is_empty() {
        translated.push((0, vec![Alternative::default()], Annotations::new()));
    }
    let all: Vec<(usize, &[Alternative])> = translated.iter().map(|(i, all, _)| (*i, &all[..])).collect();
    order::compare(&all, &mut found);
    if !all.is_empty() && !all.iter().any(|(_, all)| all.iter().any(Alternative::is_everything)) {
        let what = "requests that no route matches were forwarded, and get 404 from the proxy";
        found.differ(Kind::UnmatchedRequests, "spec.routes", what);
    }
    for (number, (index, alternatives, annotations)) in translated.iter().enumerate() {
        let name = route_name(service, number, profile.spec.routes.get(*index));
        let namespace = profile.metadata.namespace.as_deref().unwrap_or(namespace);
        found.routes.push(json!({
            "apiVersion": format!("{}/v1", names::GATEWAY_GROUP),
            "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
            "spec": {
                "parentRefs": [{"group": "", "kind": "Service", "name": service, "port": options.port}],
                "rules": [{
                    "matches": alternatives.iter().map(Alternative::to_value).collect::<Vec<_>>(),
                    "backendRefs": backends,
                }],
            },
        }));
    }
    others(profile, options, &mut found);
    Some(found)
}

/// The annotations of a route: retries and timeout.
fn annotations(
    profile: &ServiceProfile,
    route: &Route,
    field: &str,
    options: &Options<'_>,
    found: &mut Migration,
) -> Annotations {
    let mut annotations = Annotations::new();
    let mut set = |key: &str, value: String| annotations.insert(key.to_owned(), value);
    if !route.response_classes.is_empty() {
        let what = "success rates count 5xx as failures; the classes only remain as the statuses to retry";
        found.differ(Kind::ResponseClasses, format!("{field}.responseClasses"), what);
    }
    let statuses = failures::statuses(route);
    // With a budget that the proxy rejects, nothing was retried.
    if route.is_retryable && !statuses.is_empty() && profile.budget().validate().is_ok() {
        let budget = profile.budget().in_words();
        let budget = budget.split(';').next().unwrap_or_default();
        let limit = options.limit.max(1);
        let what =
            format!("instead of a budget ({budget}) each request has up to {limit} retries, under any load");
        found.differ(Kind::BudgetBecomesLimit, format!("{field}.isRetryable"), what);
        let what = "a retry waits 25 ms, doubled up to 250 ms, instead of following at once";
        found.differ(Kind::RetryBackoff, format!("{field}.isRetryable"), what);
        set(names::RETRY_HTTP, statuses);
        set(names::RETRY_LIMIT, limit.to_string());
    }
    if let Some(timeout) = route.timeout() {
        let what = "the 504 keeps the connection, and its `l5d-proxy-error` has another text";
        found.differ(Kind::TimeoutResponse, format!("{field}.timeout"), what);
        // Annotations have no fractions; a timeout below 1 ms becomes 1 ms.
        set(names::TIMEOUT_REQUEST, format!("{}ms", timeout.as_millis().max(1)));
    }
    annotations
}

fn others(profile: &ServiceProfile, options: &Options<'_>, found: &mut Migration) {
    if profile.spec.opaque_ports.as_ref().is_some_and(|ports| *ports != json!([]) && !ports.is_null()) {
        let what = "set the annotation `config.linkerd.io/opaque-ports` of the Service";
        found.differ(Kind::OpaquePorts, "spec.opaquePorts", what);
    }
    let groups = ["retry.linkerd.io/", "timeout.linkerd.io/", "balancer."];
    let shadowed = |key: &&String| groups.iter().any(|group| key.starts_with(group));
    let keys: Vec<&str> = options.annotations.keys().filter(shadowed).map(String::as_str).collect();
    if profile.replaces_policy() && !keys.is_empty() {
        let what = format!("annotations of the Service have an effect again: {}", keys.join(", "));
        found.differ(Kind::AnnotationsApply, "spec.routes", what);
    }
}

/// `SERVICE-NN-ROUTE`: the number keeps the order where routes are equally specific, since Linkerd then compares names.
fn route_name(service: &str, number: usize, route: Option<&Route>) -> String {
    let mut name = format!("{service}-{:02}", number + 1);
    let mut dash = true;
    for c in route.map_or("", |route| route.name.as_str()).chars() {
        if c.is_ascii_alphanumeric() {
            if std::mem::take(&mut dash) {
                name.push('-');
            }
            name.push(c.to_ascii_lowercase());
        } else {
            dash = true;
        }
    }
    name.chars().take(60).collect::<String>().trim_end_matches('-').to_owned()
}

impl Migration {
    fn differ(&mut self, kind: Kind, field: impl Into<String>, what: impl Into<String>) {
        self.differences.push(Difference { kind, field: field.into(), what: what.into() });
    }
}

/// Returns whether the proxy accepts an expression; it ignores a route with another one.
fn is_valid(text: &str) -> bool {
    expression::whole_path(text).is_ok()
}
