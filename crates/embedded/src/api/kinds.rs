//! The kinds the controllers deal with.

use std::borrow::Cow;

/// A kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    /// `pods`, `deployments.apps`.
    pub(crate) resource: Cow<'static, str>,
    /// Its objects live in namespaces.
    pub(crate) namespaced: bool,
}

impl Kind {
    const fn new(resource: &'static str, namespaced: bool) -> Self {
        Self { resource: Cow::Borrowed(resource), namespaced }
    }

    pub(super) fn named(resource: String, namespaced: bool) -> Self {
        Self { resource: Cow::Owned(resource), namespaced }
    }
}

pub(crate) const CONFIG_MAPS: Kind = Kind::new("configmaps", true);
pub(crate) const CUSTOM_RESOURCE_DEFINITIONS: Kind =
    Kind::new("customresourcedefinitions.apiextensions.k8s.io", false);
pub(crate) const DEPLOYMENTS: Kind = Kind::new("deployments.apps", true);
pub(crate) const ENDPOINTS: Kind = Kind::new("endpoints", true);
pub(crate) const ENDPOINT_SLICES: Kind = Kind::new("endpointslices.discovery.k8s.io", true);
pub(crate) const EVENTS: Kind = Kind::new("events", true);
pub(crate) const HTTP_ROUTES: Kind = Kind::new("httproutes.gateway.networking.k8s.io", true);
pub(crate) const INGRESSES: Kind = Kind::new("ingresses.networking.k8s.io", true);
pub(crate) const INGRESS_CLASSES: Kind = Kind::new("ingressclasses.networking.k8s.io", false);
pub(crate) const NAMESPACES: Kind = Kind::new("namespaces", false);
pub(crate) const NODES: Kind = Kind::new("nodes", false);
pub(crate) const PODS: Kind = Kind::new("pods", true);
pub(crate) const REPLICA_SETS: Kind = Kind::new("replicasets.apps", true);
pub(crate) const SECRETS: Kind = Kind::new("secrets", true);
pub(crate) const SERVICES: Kind = Kind::new("services", true);
pub(crate) const SERVICE_ACCOUNTS: Kind = Kind::new("serviceaccounts", true);
pub(crate) const SERVICE_PROFILES: Kind = Kind::new("serviceprofiles.linkerd.io", true);
