//! A rule of a policy, prepared for requests: its labels, its backends by weight, its series.

use std::sync::{Arc, OnceLock};

use crate::metrics::{BackendScope, Labels, Metrics, RetryScope, RouteScope};
use crate::outbound::split::Split;
use crate::policy::{Backend, Filter, HttpRoute, Policy, Retry, RouteRule, ServiceRef, Timeouts};
use crate::target::Target;

/// A rule, or the default route of a service without HTTPRoutes.
pub(super) struct Rule {
    /// The route's name, for the log.
    pub(super) name: String,
    labels: Labels,
    pub(super) retry: Option<Retry>,
    pub(super) timeouts: Timeouts,
    pub(super) filters: Vec<Filter>,
    pub(super) backends: Split<RuleBackend>,
    scopes: OnceLock<(Arc<RouteScope>, Option<RetryScope>)>,
}

/// A backend of a rule.
pub(super) struct RuleBackend {
    /// `None` is the service itself.
    pub(super) named: Option<Backend>,
    labels: Labels,
    scope: OnceLock<Arc<BackendScope>>,
}

impl Rule {
    pub(super) fn new(
        parent: &Labels,
        target: &Target,
        policy: &Policy,
        route: Option<&HttpRoute>,
        rule: &RouteRule,
    ) -> Self {
        let labels = match route {
            Some(route) => parent
                .with("route_group", "gateway.networking.k8s.io")
                .with("route_kind", "HTTPRoute")
                .with("route_namespace", &route.namespace)
                .with("route_name", &route.name),
            None => parent
                .with("route_group", "")
                .with("route_kind", "default")
                .with("route_namespace", "")
                .with("route_name", "http"),
        };
        let backends = if rule.backends.is_empty() {
            vec![(1, RuleBackend::new(&labels, target.service.as_ref(), None))]
        } else {
            let prepare = |backend: &Backend| {
                let prepared = RuleBackend::new(&labels, Some(&backend.service), Some(backend.clone()));
                (backend.weight, prepared)
            };
            rule.backends.iter().map(prepare).collect()
        };
        Self {
            // The retries of a rule replace all of the service's.
            retry: rule.retry.clone().or_else(|| policy.retry.clone()),
            timeouts: rule.timeouts.unwrap_or(policy.timeouts),
            filters: rule.filters.clone(),
            backends: Split::new(backends),
            scopes: OnceLock::new(),
            name: route.map_or("default", |route| &route.name).to_owned(),
            labels,
        }
    }

    pub(super) fn scopes(&self, metrics: &Arc<Metrics>) -> &(Arc<RouteScope>, Option<RetryScope>) {
        self.scopes.get_or_init(|| {
            let labels = self.labels.with("hostname", "");
            let retry = self.retry.as_ref().map(|_| RetryScope::new(metrics, &labels));
            (Arc::new(RouteScope::new(metrics, labels)), retry)
        })
    }
}

impl RuleBackend {
    fn new(route: &Labels, service: Option<&ServiceRef>, named: Option<Backend>) -> Self {
        Self { named, labels: route.and(&service_labels("backend", service)), scope: OnceLock::new() }
    }

    pub(super) fn scope(&self, metrics: &Arc<Metrics>) -> &Arc<BackendScope> {
        self.scope.get_or_init(|| Arc::new(BackendScope::new(metrics, self.labels.clone())))
    }
}

pub(super) fn parent_labels(service: Option<&ServiceRef>) -> Labels {
    service_labels("parent", service)
}

fn service_labels(role: &str, service: Option<&ServiceRef>) -> Labels {
    let (group, kind) = if service.is_some() { ("core", "Service") } else { ("", "default") };
    let (namespace, name) = service.map_or(("", "endpoint"), |one| (&one.namespace, &one.name));
    let port = service.map(|one| one.port.to_string()).unwrap_or_default();
    [
        ("group", group),
        ("kind", kind),
        ("namespace", namespace),
        ("name", name),
        ("port", &port),
        ("section_name", ""),
    ]
    .into_iter()
    .fold(Labels::new(), |labels, (part, value)| labels.with(&format!("{role}_{part}"), value))
}
