//! Callers in words: whom an authorization admits.

use super::Effective;
use super::servers::Inbound;
use crate::inbound::{
    AuthorizationPolicy, Clients, DefaultPolicy, NetworkSpec, Reference, Server, ServerAuthorization,
};

/// The words for every caller, and for none.
pub(super) const EVERYONE: &str = "every client";
pub(super) const NO_ONE: &str = "no client";

/// The most policies and the most names of one policy that are shown.
const MOST_POLICIES: usize = 2;
const MOST_NAMES: usize = 3;

/// Returns whom a default policy or an access policy admits.
pub(super) fn by_default(policy: DefaultPolicy) -> &'static str {
    match policy {
        DefaultPolicy::AllUnauthenticated => EVERYONE,
        DefaultPolicy::AllAuthenticated => "meshed clients",
        DefaultPolicy::ClusterUnauthenticated => "clients in the networks of the cluster",
        DefaultPolicy::ClusterAuthenticated => "meshed clients in the networks of the cluster",
        DefaultPolicy::Deny => NO_ONE,
        DefaultPolicy::Audit => "every client, and those that no policy allows are counted",
    }
}

/// Returns whom a Server admits, each with the object that does; empty for no one. A policy that names an absent
/// authentication is reported as without effect.
pub(super) fn by_server(
    inbound: &Inbound,
    namespace: &str,
    name: &str,
    server: &Server,
    found: &mut Effective,
) -> String {
    let mut allowed = Vec::new();
    for (policy_name, policy) in &inbound.policies {
        let object = format!("AuthorizationPolicy {policy_name}");
        let route = inbound
            .routes
            .iter()
            .find(|route| {
                route.server == name && policy.concerns_route(&route.group, &route.kind, &route.name)
            })
            .map(|route| format!(", {} {}", route.kind, route.name));
        if route.is_none() && !policy.concerns(namespace, name) {
            continue;
        }
        match by_policy(inbound, namespace, policy) {
            Ok(who) => allowed.push(format!("{who} ({object}{})", route.unwrap_or_default())),
            Err(missing) => {
                let why = format!("it allows no client: {missing}");
                found.ignore(object, "all fields", why);
            }
        }
    }
    let selecting = inbound.server_authorizations.iter().filter(|(_, one)| one.selects(name, &server.labels));
    allowed.extend(
        selecting.map(|(name, one)| format!("{} (ServerAuthorization {name})", by_clients(one, namespace))),
    );
    if server.access_policy != DefaultPolicy::Deny {
        allowed.push(format!("{} (accessPolicy {})", by_default(server.access_policy), server.access_policy));
    }
    shortened(allowed, MOST_POLICIES, "; ")
}

/// An authentication that a policy requires and that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {name} does not exist")]
struct NoAuthentication {
    kind: String,
    name: String,
}

/// Returns whom a policy admits.
///
/// # Errors
/// The authentication that does not exist.
fn by_policy(
    inbound: &Inbound,
    namespace: &str,
    policy: &AuthorizationPolicy,
) -> Result<String, NoAuthentication> {
    let (mut identities, mut networks) = (Vec::new(), None);
    for reference in &policy.required_authentication_refs {
        let key = (namespace_of(reference, namespace).to_owned(), reference.name.clone());
        let missing = || NoAuthentication { kind: reference.kind.clone(), name: reference.name.clone() };
        match &*reference.kind {
            "ServiceAccount" => identities.push(account(reference, namespace)),
            "MeshTLSAuthentication" => {
                let found = inbound.mesh_tls.get(&key).ok_or_else(missing)?;
                let names = found.identities.iter().map(|name| identity(name));
                let accounts = found.identity_refs.iter().map(|reference| account(reference, &key.0));
                identities.push(shortened(names.chain(accounts).collect(), MOST_NAMES, ", "));
            }
            "NetworkAuthentication" => {
                let found = inbound.networks.get(&key).ok_or_else(missing)?;
                networks = Some(in_words(&found.networks));
            }
            _ => return Err(missing()),
        }
    }
    let who = if identities.is_empty() { EVERYONE.to_owned() } else { identities.join(" that is also ") };
    Ok(match networks {
        Some(networks) => format!("{who} from {networks}"),
        None => who,
    })
}

fn by_clients(authorization: &ServerAuthorization, namespace: &str) -> String {
    let who = match &authorization.clients {
        Clients::Unauthenticated => EVERYONE.to_owned(),
        Clients::UnauthenticatedTls => by_default(DefaultPolicy::AllAuthenticated).to_owned(),
        Clients::Authenticated { identities, service_accounts } => {
            let names = identities.iter().map(|name| identity(name));
            let accounts = service_accounts.iter().map(|account| {
                format!("{}.{}", account.name, account.namespace.as_deref().unwrap_or(namespace))
            });
            shortened(names.chain(accounts).collect(), MOST_NAMES, ", ")
        }
    };
    match authorization.networks.is_empty() {
        true => format!("{who} in the networks of the cluster"),
        false => format!("{who} from {}", in_words(&authorization.networks)),
    }
}

fn in_words(networks: &[NetworkSpec]) -> String {
    let each = networks.iter().map(|network| match network.except.is_empty() {
        true => network.cidr.clone(),
        false => format!("{} without {}", network.cidr, network.except.join(" and ")),
    });
    shortened(each.collect(), MOST_NAMES, ", ")
}

fn namespace_of<'a>(reference: &'a Reference, own: &'a str) -> &'a str {
    reference.namespace.as_deref().unwrap_or(own)
}

/// A ServiceAccount as `NAME.NAMESPACE`, a Namespace as `*.NAMESPACE`.
pub(super) fn account(reference: &Reference, own: &str) -> String {
    match &*reference.kind {
        "Namespace" => format!("*.{}", reference.name),
        _ => format!("{}.{}", reference.name, namespace_of(reference, own)),
    }
}

/// An identity without the name of the trust domain.
fn identity(name: &str) -> String {
    match name.split_once(".serviceaccount.identity.") {
        Some((account, _)) => account.to_owned(),
        None if name == "*" => by_default(DefaultPolicy::AllAuthenticated).to_owned(),
        None => name.to_owned(),
    }
}

/// Joins the first texts, and adds the number of the others.
fn shortened(mut all: Vec<String>, most: usize, separator: &str) -> String {
    if all.len() > most {
        let others = all.len() - most;
        all.truncate(most);
        all.push(format!("{others} more"));
    }
    all.join(separator)
}
