//! The kinds of objects: those with a Rust type, and those that are known only by name.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind with a type of `k8s-openapi`.
pub(crate) trait Typed:
    k8s_openapi::Resource
    + k8s_openapi::Metadata<Ty = ObjectMeta>
    + Serialize
    + DeserializeOwned
    + Clone
    + PartialEq
    + Send
    + Sync
    + 'static
{
    /// Returns the resource, such as `pods` or `deployments.apps`.
    fn resource() -> Cow<'static, str> {
        if Self::GROUP.is_empty() {
            Cow::Borrowed(Self::URL_PATH_SEGMENT)
        } else {
            Cow::Owned(format!("{}.{}", Self::URL_PATH_SEGMENT, Self::GROUP))
        }
    }
}

impl<K> Typed for K where
    K: k8s_openapi::Resource
        + k8s_openapi::Metadata<Ty = ObjectMeta>
        + Serialize
        + DeserializeOwned
        + Clone
        + PartialEq
        + Send
        + Sync
        + 'static
{
}

/// Any kind that the API server serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    /// The resource, such as `pods` or `deployments.apps`.
    pub(crate) resource: Cow<'static, str>,
    pub(crate) namespaced: bool,
}

impl Kind {
    const fn new(resource: &'static str, namespaced: bool) -> Self {
        Self { resource: Cow::Borrowed(resource), namespaced }
    }
}

pub(crate) const CUSTOM_RESOURCE_DEFINITIONS: Kind =
    Kind::new("customresourcedefinitions.apiextensions.k8s.io", false);
pub(crate) const EVENTS: Kind = Kind::new("events", true);
pub(crate) const HTTP_ROUTES: Kind = Kind::new("httproutes.gateway.networking.k8s.io", true);
pub(crate) const SERVICE_PROFILES: Kind = Kind::new("serviceprofiles.linkerd.io", true);
pub(crate) const GRPC_ROUTES: Kind = Kind::new("grpcroutes.gateway.networking.k8s.io", true);
pub(crate) const POLICY_HTTP_ROUTES: Kind = Kind::new("httproutes.policy.linkerd.io", true);
pub(crate) const SERVER_AUTHORIZATIONS: Kind = Kind::new("serverauthorizations.policy.linkerd.io", true);
pub(crate) const SERVERS: Kind = Kind::new("servers.policy.linkerd.io", true);
pub(crate) const AUTHORIZATION_POLICIES: Kind = Kind::new("authorizationpolicies.policy.linkerd.io", true);
pub(crate) const MESH_TLS_AUTHENTICATIONS: Kind = Kind::new("meshtlsauthentications.policy.linkerd.io", true);
pub(crate) const NETWORK_AUTHENTICATIONS: Kind = Kind::new("networkauthentications.policy.linkerd.io", true);
pub(crate) const HTTP_LOCAL_RATE_LIMITS: Kind =
    Kind::new("httplocalratelimitpolicies.policy.linkerd.io", true);
pub(crate) const EGRESS_NETWORKS: Kind = Kind::new("egressnetworks.policy.linkerd.io", true);
