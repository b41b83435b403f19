//! The built-in kinds.

/// One built-in kind.
pub(super) struct Row {
    pub(super) api_version: &'static str,
    /// Package in the type tables.
    pub(super) package: &'static str,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) short: &'static str,
    pub(super) categories: &'static str,
    pub(super) namespaced: bool,
    pub(super) status: bool,
    pub(super) scale: bool,
    pub(super) is_review: bool,
}

const fn row(
    api_version: &'static str,
    package: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Row {
    Row {
        api_version,
        package,
        kind,
        plural,
        short: "",
        categories: "",
        namespaced: true,
        status: false,
        scale: false,
        is_review: false,
    }
}

impl Row {
    /// Returns the group, empty for the core group.
    pub(super) fn group(&self) -> &'static str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    const fn short(self, short: &'static str) -> Self {
        Self { short, ..self }
    }

    const fn all(self) -> Self {
        Self { categories: "all", ..self }
    }

    const fn status(self) -> Self {
        Self { status: true, ..self }
    }

    const fn scale(self) -> Self {
        Self { scale: true, ..self }
    }

    const fn review(self) -> Self {
        Self { is_review: true, namespaced: false, ..self }
    }

    const fn cluster(self) -> Self {
        Self { namespaced: false, ..self }
    }
}

pub(super) const ROWS: [Row; 20] = [
    row("v1", "core.v1", "Namespace", "namespaces").short("ns").cluster().status(),
    row("v1", "core.v1", "Node", "nodes").short("no").cluster().status(),
    row("v1", "core.v1", "Pod", "pods").short("po").all().status(),
    row("v1", "core.v1", "Service", "services").short("svc").all().status(),
    row("v1", "core.v1", "Endpoints", "endpoints").short("ep"),
    row("v1", "core.v1", "ConfigMap", "configmaps").short("cm"),
    row("v1", "core.v1", "Secret", "secrets"),
    row("v1", "core.v1", "ServiceAccount", "serviceaccounts").short("sa"),
    row("v1", "core.v1", "Event", "events").short("ev"),
    row("apps/v1", "apps.v1", "Deployment", "deployments").short("deploy").all().status().scale(),
    row("apps/v1", "apps.v1", "ReplicaSet", "replicasets").short("rs").all().status().scale(),
    row("discovery.k8s.io/v1", "discovery.v1", "EndpointSlice", "endpointslices"),
    row("events.k8s.io/v1", "events.v1", "Event", "events").short("ev"),
    row("authentication.k8s.io/v1", "authentication.v1", "SelfSubjectReview", "selfsubjectreviews").review(),
    row("authorization.k8s.io/v1", "authorization.v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")
        .review(),
    row("authorization.k8s.io/v1", "authorization.v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews")
        .review(),
    row("networking.k8s.io/v1", "networking.v1", "Ingress", "ingresses").short("ing").status(),
    row("networking.k8s.io/v1", "networking.v1", "IngressClass", "ingressclasses").cluster(),
    row("coordination.k8s.io/v1", "coordination.v1", "Lease", "leases"),
    row(
        "apiextensions.k8s.io/v1",
        "apiextensions.v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
    )
    .short("crd crds")
    .cluster()
    .status(),
];
