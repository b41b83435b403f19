//! A rule of a policy, prepared for requests: its labels, its backends by weight, its series.

use std::sync::{Arc, OnceLock};

use crate::metrics::{BackendScope, Labels, Metrics, RetryScope, RouteProtocol, RouteScope};
use crate::outbound::failure::service_name;
use crate::outbound::split::Split;
use crate::policy::{
    Backend, BackendKind, Egress, EgressNetwork, Filter, HttpRoute, Policy, Retry, RouteKind, RouteRule,
    ServiceRef, Timeouts,
};
use crate::target::Target;

/// A rule, or the default route of a service without HTTPRoutes.
pub(super) struct Rule {
    /// The route's name in error texts and in the log, such as `HTTPRoute.default.web`.
    pub(super) name: String,
    labels: Labels,
    pub(super) protocol: RouteProtocol,
    pub(super) retry: Option<Retry>,
    pub(super) timeouts: Timeouts,
    pub(super) filters: Vec<Filter>,
    /// Whether requests are allowed; an EgressNetwork can deny them.
    pub(super) allowed: bool,
    pub(super) backends: Split<RuleBackend>,
    scopes: OnceLock<(Arc<RouteScope>, Option<RetryScope>)>,
}

/// A backend of a rule.
pub(super) struct RuleBackend {
    /// `None` is the destination itself.
    pub(super) named: Option<Backend>,
    /// Whether requests go to the destination itself: without a name, or by the name of its EgressNetwork.
    pub(super) is_own: bool,
    /// The backend's name in error texts, such as `Service.default.web:80`.
    pub(super) name: String,
    protocol: RouteProtocol,
    labels: Labels,
    scope: OnceLock<Arc<BackendScope>>,
    /// The labels of a backend that does not exist.
    missing_labels: Labels,
    missing_scope: OnceLock<Arc<BackendScope>>,
}

impl Rule {
    pub(super) fn new(
        parent: &Parent<'_>,
        target: &Target,
        policy: &Policy,
        route: Option<&HttpRoute>,
        rule: &RouteRule,
    ) -> Self {
        // A default rule next to GRPCRoutes counts as they do.
        let kind = route.or(policy.routes.first()).map(|route| route.kind).unwrap_or_default();
        let protocol = match kind {
            RouteKind::Grpc => RouteProtocol::Grpc,
            RouteKind::Http | RouteKind::PolicyHttp => RouteProtocol::Http,
        };
        let (group, kind) = kind.group_and_kind();
        let default = parent.default_route(protocol);
        let parent = &parent.labels();
        let labels = match route {
            Some(route) => parent
                .with("route_group", group)
                .with("route_kind", kind)
                .with("route_namespace", &route.namespace)
                .with("route_name", &route.name),
            None => parent
                .with("route_group", "")
                .with("route_kind", "default")
                .with("route_namespace", "")
                .with("route_name", default),
        };
        let backends = if rule.backends.is_empty() {
            vec![(1, RuleBackend::new(&labels, protocol, target, target.service.as_ref(), None))]
        } else {
            let prepare = |backend: &Backend| {
                let prepared = RuleBackend::new(
                    &labels,
                    protocol,
                    target,
                    Some(&backend.service),
                    Some(backend.clone()),
                );
                (backend.weight, prepared)
            };
            rule.backends.iter().map(prepare).collect()
        };
        Self {
            // The retries of a rule replace all of the service's.
            retry: rule.retry.clone().or_else(|| match protocol {
                RouteProtocol::Grpc => policy.grpc_retry.clone(),
                RouteProtocol::Http => policy.retry.clone(),
            }),
            timeouts: rule.timeouts.unwrap_or(policy.timeouts),
            filters: rule.filters.clone(),
            allowed: route.is_some() || !denies(target),
            backends: Split::new(backends),
            scopes: OnceLock::new(),
            name: match route {
                Some(route) => format!("{kind}.{}.{}", route.namespace, route.name),
                None => format!("default.{default}"),
            },
            protocol,
            labels,
        }
    }

    pub(super) fn scopes(&self, metrics: &Arc<Metrics>) -> &(Arc<RouteScope>, Option<RetryScope>) {
        self.scopes.get_or_init(|| {
            let labels = self.labels.with("hostname", "");
            let retry = self.retry.as_ref().map(|_| RetryScope::new(metrics, self.protocol, &labels));
            (Arc::new(RouteScope::new(metrics, self.protocol, labels)), retry)
        })
    }
}

impl RuleBackend {
    fn new(
        route: &Labels,
        protocol: RouteProtocol,
        target: &Target,
        service: Option<&ServiceRef>,
        named: Option<Backend>,
    ) -> Self {
        let own = match (&target.egress, &named) {
            (Some(Egress::Network(network)), Some(backend)) => {
                backend.kind == BackendKind::EgressNetwork
                    && (&backend.service.namespace, &backend.service.name)
                        == (&network.namespace, &network.name)
            }
            (_, named) => named.is_none(),
        };
        let network = named.as_ref().filter(|backend| backend.kind == BackendKind::EgressNetwork);
        let network = network.map(|backend| &backend.service).zip(target.egress.as_ref());
        Self {
            is_own: own,
            name: service.map(service_name).unwrap_or_default(),
            protocol,
            labels: route.and(&match (service, network) {
                (_, Some((service, Egress::Network(network)))) => {
                    egress_labels("backend", &service.namespace, &service.name, network.port)
                }
                (Some(service), _) => service_labels("backend", service),
                (None, _) if target.egress.is_some() => default_labels("backend", "unknown"),
                (None, _) => default_labels("backend", "endpoint"),
            }),
            scope: OnceLock::new(),
            missing_labels: route.and(&default_labels("backend", "fail")),
            missing_scope: OnceLock::new(),
            named,
        }
    }

    /// Returns the name of the backend's Service.
    pub(super) fn service_name(&self) -> &str {
        self.named.as_ref().map(|backend| &*backend.service.name).unwrap_or_default()
    }

    /// Returns the series of a backend that does not exist.
    pub(super) fn missing_scope(&self, metrics: &Arc<Metrics>) -> &Arc<BackendScope> {
        let create = || Arc::new(BackendScope::new(metrics, self.protocol, self.missing_labels.clone()));
        self.missing_scope.get_or_init(create)
    }

    pub(super) fn scope(&self, metrics: &Arc<Metrics>) -> &Arc<BackendScope> {
        self.scope.get_or_init(|| Arc::new(BackendScope::new(metrics, self.protocol, self.labels.clone())))
    }
}

fn denies(target: &Target) -> bool {
    matches!(&target.egress, Some(Egress::Network(network)) if !network.allow)
}

/// What the routes of a destination belong to.
pub(super) enum Parent<'a> {
    Service(&'a ServiceRef),
    /// The address of a pod.
    Endpoint,
    /// A destination outside of the cluster.
    Egress(&'a Egress),
}

impl<'a> Parent<'a> {
    pub(super) fn of(target: &'a Target) -> Self {
        match (&target.service, &target.egress) {
            (Some(service), _) => Self::Service(service),
            (None, Some(egress)) => Self::Egress(egress),
            (None, None) => Self::Endpoint,
        }
    }

    /// Returns the name of the route of requests that no object concerns.
    fn default_route(&self, protocol: RouteProtocol) -> &'static str {
        match (self, protocol) {
            (Self::Service(_) | Self::Endpoint, _) => "http",
            (Self::Egress(Egress::Fallback), _) => "egress-fallback",
            (Self::Egress(Egress::Network(network)), RouteProtocol::Http) if network.allow => {
                "http-egress-allow"
            }
            (Self::Egress(Egress::Network(_)), RouteProtocol::Http) => "http-egress-deny",
            (Self::Egress(Egress::Network(network)), RouteProtocol::Grpc) if network.allow => {
                "grpc-egress-allow"
            }
            (Self::Egress(Egress::Network(_)), RouteProtocol::Grpc) => "grpc-egress-deny",
        }
    }

    fn labels(&self) -> Labels {
        match self {
            Self::Service(service) => service_labels("parent", service),
            Self::Endpoint => default_labels("parent", "endpoint"),
            Self::Egress(Egress::Fallback) => default_labels("parent", "egress-fallback"),
            Self::Egress(Egress::Network(EgressNetwork { namespace, name, port, .. })) => {
                egress_labels("parent", namespace, name, *port)
            }
        }
    }
}

fn egress_labels(role: &str, namespace: &str, name: &str, port: u16) -> Labels {
    labels(role, [("policy.linkerd.io", "EgressNetwork"), (namespace, name)], &port.to_string())
}

fn service_labels(role: &str, ServiceRef { namespace, name, port }: &ServiceRef) -> Labels {
    labels(role, [("core", "Service"), (namespace, name)], &port.to_string())
}

/// Returns the labels of a parent or a backend that is not an object.
fn default_labels(role: &str, name: &str) -> Labels {
    labels(role, [("", "default"), ("", name)], "")
}

fn labels(role: &str, [(group, kind), (namespace, name)]: [(&str, &str); 2], port: &str) -> Labels {
    [
        ("group", group),
        ("kind", kind),
        ("namespace", namespace),
        ("name", name),
        ("port", port),
        ("section_name", ""),
    ]
    .into_iter()
    .fold(Labels::new(), |labels, (part, value)| labels.with(&format!("{role}_{part}"), value))
}
