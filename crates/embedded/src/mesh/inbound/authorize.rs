//! Who may call: authorizations from AuthorizationPolicies and from default policies.

use meshy_dataplane::policy::{
    Authorization, Cidr, HttpRoute, Identities, IdentityMatch, Network, ObjectRef,
};
use meshy_linkerd::inbound::{
    AuthorizationPolicy, Clients, DefaultPolicy, MeshTlsAuthentication, NetworkAuthentication, NetworkSpec,
    Reference, Server, ServerAuthorization, cidr,
};

use super::objects::Objects;
use super::policy_object;
use crate::mesh::identity::identity_name;

/// The private networks, Linkerd's default for the networks of a cluster.
const CLUSTER_NETWORKS: [&str; 5] =
    ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"];

/// Returns what a default policy or an access policy allows; `None` for `deny`.
pub(super) fn by_default(policy: DefaultPolicy) -> Option<Authorization> {
    let (in_cluster, authenticated) = match policy {
        DefaultPolicy::Deny => return None,
        DefaultPolicy::AllUnauthenticated | DefaultPolicy::Audit => (false, false),
        DefaultPolicy::AllAuthenticated => (false, true),
        DefaultPolicy::ClusterUnauthenticated => (true, false),
        DefaultPolicy::ClusterAuthenticated => (true, true),
    };
    Some(Authorization {
        object: ObjectRef::default_policy(&policy.to_string()),
        networks: if in_cluster { cluster_networks() } else { Network::all() },
        identities: match authenticated {
            true => Identities::Authenticated(vec![vec![IdentityMatch::Any]]),
            false => Identities::Unauthenticated,
        },
    })
}

/// Returns what the AuthorizationPolicies of a Server allow. One that names an absent object allows no one.
pub(super) fn by_policies(objects: &Objects, namespace: &str, server: &str) -> Vec<Authorization> {
    let policies = objects.authorizations(namespace);
    let concerned = policies.filter(|(_, policy)| policy.concerns(namespace, server));
    concerned.filter_map(|(name, policy)| by_policy(objects, namespace, name, policy)).collect()
}

/// Returns what the AuthorizationPolicies of a Server's route allow, as [`by_policies`] does.
pub(super) fn by_route_policies(objects: &Objects, namespace: &str, route: &HttpRoute) -> Vec<Authorization> {
    let (group, kind) = route.kind.group_and_kind();
    let policies = objects.authorizations(namespace);
    let concerned = policies.filter(|(_, policy)| policy.concerns_route(group, kind, &route.name));
    concerned.filter_map(|(name, policy)| by_policy(objects, namespace, name, policy)).collect()
}

fn by_policy(
    objects: &Objects,
    namespace: &str,
    name: &str,
    policy: &AuthorizationPolicy,
) -> Option<Authorization> {
    let mut required = Required::default();
    for reference in &policy.required_authentication_refs {
        if required.add(objects, namespace, reference).is_none() {
            let (kind, missing) = (&reference.kind, &reference.name);
            tracing::warn!(
                policy = name,
                kind,
                missing,
                "authorization policy ignored, an authentication is missing"
            );
            return None;
        }
    }
    Some(required.authorization(policy_object("authorizationpolicy", name)))
}

/// Returns what the ServerAuthorizations that select a Server allow.
pub(super) fn by_server_authorizations(
    objects: &Objects,
    namespace: &str,
    name: &str,
    server: &Server,
) -> Vec<Authorization> {
    let all = objects.server_authorizations(namespace);
    let selecting = all.filter(|(_, found)| found.selects(name, &server.labels));
    let authorization = |(name, found): (&str, &ServerAuthorization)| Authorization {
        object: policy_object("serverauthorization", name),
        networks: match found.networks.is_empty() {
            true => cluster_networks(),
            false => translated(&found.networks),
        },
        identities: match &found.clients {
            Clients::Unauthenticated => Identities::Unauthenticated,
            // A caller without a certificate has no TLS of the mesh: TLS between meshed pods is mutual.
            Clients::UnauthenticatedTls => Identities::Authenticated(vec![vec![IdentityMatch::Any]]),
            Clients::Authenticated { identities, service_accounts } => {
                let named = identities.iter().map(|name| identity_match(name));
                let accounts = service_accounts.iter().map(|account| {
                    let namespace = account.namespace.as_deref().unwrap_or(namespace);
                    IdentityMatch::Exact(identity_name(&account.name, namespace))
                });
                Identities::Authenticated(vec![named.chain(accounts).collect()])
            }
        },
    };
    selecting.map(authorization).collect()
}

/// The authentications of one policy.
#[derive(Default)]
struct Required {
    networks: Option<Vec<Network>>,
    identities: Vec<Vec<IdentityMatch>>,
}

impl Required {
    /// Adds an authentication; `None` if it does not exist or is of an unknown kind.
    fn add(&mut self, objects: &Objects, own_namespace: &str, reference: &Reference) -> Option<()> {
        let namespace = reference.namespace.as_deref().unwrap_or(own_namespace);
        match &*reference.kind {
            "MeshTLSAuthentication" => {
                let found = objects.mesh_tls(namespace, &reference.name)?;
                self.identities.push(identities(found, namespace));
            }
            "ServiceAccount" => {
                self.identities.push(vec![IdentityMatch::Exact(identity(reference, own_namespace))]);
            }
            // Linkerd accepts one list of networks for each policy.
            "NetworkAuthentication" if self.networks.is_none() => {
                self.networks = Some(networks(objects.networks(namespace, &reference.name)?));
            }
            _ => return None,
        }
        Some(())
    }

    fn authorization(self, object: ObjectRef) -> Authorization {
        let identities = match self.identities.is_empty() {
            true => Identities::Unauthenticated,
            false => Identities::Authenticated(self.identities),
        };
        Authorization { object, networks: self.networks.unwrap_or_else(Network::all), identities }
    }
}

/// Returns the mesh identity of a ServiceAccount.
pub(super) fn identity(account: &Reference, own_namespace: &str) -> String {
    identity_name(&account.name, account.namespace.as_deref().unwrap_or(own_namespace))
}

fn identities(found: &MeshTlsAuthentication, namespace: &str) -> Vec<IdentityMatch> {
    let by_name = found.identities.iter().map(|name| identity_match(name));
    let by_reference = found.identity_refs.iter().map(|reference| match &*reference.kind {
        // Every ServiceAccount of the namespace.
        "Namespace" => IdentityMatch::Suffix(identity_name("", &reference.name)),
        _ => IdentityMatch::Exact(identity(reference, namespace)),
    });
    by_name.chain(by_reference).collect()
}

fn identity_match(name: &str) -> IdentityMatch {
    match name.strip_prefix('*') {
        Some("") => IdentityMatch::Any,
        Some(suffix) => IdentityMatch::Suffix(suffix.to_owned()),
        None => IdentityMatch::Exact(name.to_owned()),
    }
}

fn networks(found: &NetworkAuthentication) -> Vec<Network> {
    translated(&found.networks)
}

fn translated(all: &[NetworkSpec]) -> Vec<Network> {
    all.iter().filter_map(|one| network(&one.cidr, &one.except)).collect()
}

fn cluster_networks() -> Vec<Network> {
    CLUSTER_NETWORKS.iter().filter_map(|text| network(text, &[])).collect()
}

/// Returns a network; `None` if a text is not a CIDR, which the parser has excluded.
pub(in crate::mesh) fn network(text: &str, except: &[String]) -> Option<Network> {
    let parse = |text: &str| cidr(text).map(|(address, length)| Cidr { address, length });
    let except = except.iter().map(|text| parse(text)).collect::<Option<_>>()?;
    Some(Network { cidr: parse(text)?, except })
}
