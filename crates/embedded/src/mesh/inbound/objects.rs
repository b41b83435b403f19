//! The policy objects of the cluster, parsed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use meshy_linkerd::inbound::{
    AuthorizationPolicy, InvalidPolicy, MeshTlsAuthentication, NetworkAuthentication, RateLimitPolicy,
    Server, ServerAuthorization,
};
use serde_json::Value;

use crate::api::{
    AUTHORIZATION_POLICIES, HTTP_LOCAL_RATE_LIMITS, Kind, MESH_TLS_AUTHENTICATIONS, NETWORK_AUTHENTICATIONS,
    SERVER_AUTHORIZATIONS, SERVERS,
};

/// The kinds of inbound policies.
pub(crate) const KINDS: [Kind; 6] = [
    SERVERS,
    SERVER_AUTHORIZATIONS,
    AUTHORIZATION_POLICIES,
    MESH_TLS_AUTHENTICATIONS,
    NETWORK_AUTHENTICATIONS,
    HTTP_LOCAL_RATE_LIMITS,
];

/// Namespace and name.
pub(super) type Key = (String, String);
/// Objects of one kind by namespace and name, with their age.
type ByName<T> = BTreeMap<Key, (Option<Timestamp>, T)>;

/// The valid policy objects. An invalid one is absent, as for Linkerd's controller.
#[derive(Default)]
pub(super) struct Objects {
    servers: ByName<Server>,
    server_authorizations: ByName<ServerAuthorization>,
    authorization_policies: ByName<AuthorizationPolicy>,
    mesh_tls: ByName<MeshTlsAuthentication>,
    networks: ByName<NetworkAuthentication>,
    rate_limits: ByName<RateLimitPolicy>,
}

impl Objects {
    /// Replaces an object of one of [`KINDS`]; `None` removes it.
    pub(super) fn set(&mut self, kind: &Kind, key: Key, object: Option<&Value>) {
        match &*kind.resource {
            resource if resource == SERVERS.resource => {
                set(&mut self.servers, key, object, Server::from_value);
            }
            resource if resource == SERVER_AUTHORIZATIONS.resource => {
                set(&mut self.server_authorizations, key, object, ServerAuthorization::from_value);
            }
            resource if resource == AUTHORIZATION_POLICIES.resource => {
                set(&mut self.authorization_policies, key, object, AuthorizationPolicy::from_value);
            }
            resource if resource == MESH_TLS_AUTHENTICATIONS.resource => {
                set(&mut self.mesh_tls, key, object, MeshTlsAuthentication::from_value);
            }
            resource if resource == NETWORK_AUTHENTICATIONS.resource => {
                set(&mut self.networks, key, object, NetworkAuthentication::from_value);
            }
            _ => set(&mut self.rate_limits, key, object, RateLimitPolicy::from_value),
        }
    }

    /// Returns the oldest Server of a namespace that is selected, with its name.
    pub(super) fn server(
        &self,
        namespace: &str,
        selects: impl Fn(&Server) -> bool,
    ) -> Option<(&str, &Server)> {
        oldest(&self.servers, namespace, selects)
    }

    /// Returns the oldest rate limit of a Server, with its name.
    pub(super) fn rate_limit(&self, namespace: &str, server: &str) -> Option<(&str, &RateLimitPolicy)> {
        oldest(&self.rate_limits, namespace, |found| {
            found.target.kind == "Server" && found.target.name == server
        })
    }

    /// Returns the AuthorizationPolicies of a namespace, by name.
    pub(super) fn authorizations<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a AuthorizationPolicy)> {
        named(&self.authorization_policies, namespace)
    }

    /// Returns the ServerAuthorizations of a namespace, by name.
    pub(super) fn server_authorizations<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a ServerAuthorization)> {
        named(&self.server_authorizations, namespace)
    }

    pub(super) fn mesh_tls(&self, namespace: &str, name: &str) -> Option<&MeshTlsAuthentication> {
        get(&self.mesh_tls, namespace, name)
    }

    pub(super) fn networks(&self, namespace: &str, name: &str) -> Option<&NetworkAuthentication> {
        get(&self.networks, namespace, name)
    }
}

fn get<'a, T>(all: &'a ByName<T>, namespace: &str, name: &str) -> Option<&'a T> {
    all.get(&(namespace.to_owned(), name.to_owned())).map(|(_, found)| found)
}

fn named<'a, T>(all: &'a ByName<T>, namespace: &'a str) -> impl Iterator<Item = (&'a str, &'a T)> {
    let of_namespace = all.iter().filter(move |((of, _), _)| of == namespace);
    of_namespace.map(|((_, name), (_, found))| (&**name, found))
}

fn oldest<'a, T>(
    all: &'a ByName<T>,
    namespace: &str,
    matches: impl Fn(&T) -> bool,
) -> Option<(&'a str, &'a T)> {
    let of_namespace = all.iter().filter(|((of, _), (_, found))| of == namespace && matches(found));
    let first = of_namespace.min_by_key(|((_, name), (created, _))| (*created, name.as_str()))?;
    let ((_, name), (_, found)) = first;
    Some((name, found))
}

fn set<T>(
    all: &mut ByName<T>,
    key: Key,
    object: Option<&Value>,
    parse: impl Fn(&Value) -> Result<T, InvalidPolicy>,
) {
    let parsed = object.and_then(|object| {
        parse(object).inspect_err(|error| tracing::warn!(name = key.1, %error, "policy object ignored")).ok()
    });
    let created =
        object.and_then(|object| object.pointer("/metadata/creationTimestamp")?.as_str()?.parse().ok());
    match parsed {
        Some(parsed) => drop(all.insert(key, (created, parsed))),
        None => drop(all.remove(&key)),
    }
}
