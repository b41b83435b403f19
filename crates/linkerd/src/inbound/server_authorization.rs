//! ServerAuthorization: allows callers of the Servers that it selects; the older form of an AuthorizationPolicy.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::server::LabelSelector;
use super::{InvalidPolicy, NetworkSpec, check_networks, spec};

/// A ServerAuthorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAuthorization {
    server: SelectedServers,
    /// The networks of the callers; empty: the networks of the cluster.
    pub networks: Vec<NetworkSpec>,
    /// Which callers are allowed.
    pub clients: Clients,
}

/// The callers that a ServerAuthorization allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    /// All callers.
    Unauthenticated,
    /// All callers with TLS of the mesh, also without an identity.
    UnauthenticatedTls,
    /// Callers with one of these identities (`*` and `*.suffix` are patterns) or with the identity of one of these
    /// ServiceAccounts.
    Authenticated {
        /// The identities.
        identities: Vec<String>,
        /// The ServiceAccounts.
        service_accounts: Vec<ServiceAccount>,
    },
}

/// A ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ServiceAccount {
    /// The name.
    pub name: String,
    /// The namespace; that of the ServerAuthorization where absent.
    #[serde(default)]
    pub namespace: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct SelectedServers {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    selector: LabelSelector,
}

#[derive(Deserialize)]
struct Spec {
    server: SelectedServers,
    client: Client,
}

#[derive(Deserialize)]
struct Client {
    #[serde(default)]
    networks: Option<Vec<NetworkSpec>>,
    #[serde(default)]
    unauthenticated: bool,
    #[serde(rename = "meshTLS", default)]
    mesh_tls: Option<MeshTls>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MeshTls {
    #[serde(rename = "unauthenticatedTLS", default)]
    unauthenticated_tls: bool,
    #[serde(default)]
    identities: Option<Vec<String>>,
    #[serde(default)]
    service_accounts: Option<Vec<ServiceAccount>>,
}

impl ServerAuthorization {
    /// Parses a ServerAuthorization.
    ///
    /// # Errors
    /// A field is missing or has an invalid value, or no caller is allowed.
    pub fn from_value(object: &Value) -> Result<Self, InvalidPolicy> {
        const KIND: &str = "ServerAuthorization";
        let Spec { server, client } = spec(KIND, object)?;
        let networks = client.networks.unwrap_or_default();
        check_networks(KIND, &networks)?;
        let clients = match client.mesh_tls {
            _ if client.unauthenticated => Clients::Unauthenticated,
            Some(tls) if tls.unauthenticated_tls => Clients::UnauthenticatedTls,
            Some(tls) => {
                let identities = tls.identities.unwrap_or_default();
                let service_accounts = tls.service_accounts.unwrap_or_default();
                if identities.is_empty() && service_accounts.is_empty() {
                    return Err(InvalidPolicy::new(KIND, "`meshTLS` allows no caller"));
                }
                Clients::Authenticated { identities, service_accounts }
            }
            None => return Err(InvalidPolicy::new(KIND, "neither `unauthenticated` nor `meshTLS` is set")),
        };
        Ok(Self { server, networks, clients })
    }

    /// Whether a Server of the same namespace is selected, by its name or else by its labels.
    pub fn selects(&self, server: &str, labels: &BTreeMap<String, String>) -> bool {
        match &self.server.name {
            Some(name) => name == server,
            None => self.server.selector.selects(labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(server: Value, client: Value) -> Result<ServerAuthorization, InvalidPolicy> {
        ServerAuthorization::from_value(&json!({ "spec": { "server": server, "client": client } }))
    }

    #[test]
    fn a_server_is_selected_by_its_name_or_by_its_labels() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let of = |server| parsed(server, json!({ "unauthenticated": true })).unwrap();
        let by_name = of(json!({ "name": "web-http" }));
        assert!(by_name.selects("web-http", &labels) && !by_name.selects("other", &labels));
        let by_label = of(json!({ "selector": { "matchLabels": { "app": "web" } } }));
        assert!(by_label.selects("any", &labels) && !by_label.selects("any", &BTreeMap::new()));
        assert!(of(json!({})).selects("any", &labels), "an empty selector selects every Server");
    }

    #[test]
    fn a_client_is_anyone_any_tls_or_a_list() {
        let server = json!({ "name": "web" });
        let clients = |client| parsed(server.clone(), client).map(|found| found.clients).ok();
        assert_eq!(clients(json!({ "unauthenticated": true })), Some(Clients::Unauthenticated));
        let tls = json!({ "meshTLS": { "unauthenticatedTLS": true } });
        assert_eq!(clients(tls), Some(Clients::UnauthenticatedTls));
        let account = json!({ "meshTLS": { "serviceAccounts": [{ "name": "client" }] } });
        assert!(matches!(clients(account), Some(Clients::Authenticated { .. })));
        assert_eq!(clients(json!({})), None, "no caller");
        assert_eq!(clients(json!({ "meshTLS": {} })), None, "no caller");
        let network = json!({ "unauthenticated": true, "networks": [{ "cidr": "everything" }] });
        assert_eq!(clients(network), None);
    }
}
