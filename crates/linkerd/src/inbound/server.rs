//! Server: selects a port of pods.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{DefaultPolicy, InvalidPolicy, spec};

/// A Server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The labels of the Server itself, by which ServerAuthorizations select it.
    pub labels: BTreeMap<String, String>,
    /// The pods in the namespace of the Server.
    pub pod_selector: LabelSelector,
    /// The port of the pods.
    pub port: Port,
    /// Whether connections are forwarded without protocol detection (`proxyProtocol: opaque`).
    pub opaque: bool,
    /// Whether GRPCRoutes instead of HTTPRoutes are attached (`proxyProtocol: gRPC`).
    pub grpc: bool,
    /// Who may call in addition to what AuthorizationPolicies allow; `deny` where absent.
    pub access_policy: DefaultPolicy,
}

/// A port by its number or by the name of a container's port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Port {
    /// The number.
    Number(u16),
    /// The name.
    Name(String),
}

/// Selects objects by their labels. An empty selector selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have these values.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions, all of which must hold.
    #[serde(default)]
    pub match_expressions: Vec<Expression>,
}

/// A condition on a label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Expression {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values of `In` and `NotIn`.
    #[serde(default)]
    pub values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    pod_selector: LabelSelector,
    port: Port,
    #[serde(default)]
    proxy_protocol: Option<String>,
    #[serde(default)]
    access_policy: Option<String>,
}

impl Server {
    /// Parses a Server.
    ///
    /// # Errors
    /// A field is missing or has an invalid value.
    pub fn from_value(object: &Value) -> Result<Self, InvalidPolicy> {
        const KIND: &str = "Server";
        let spec: Spec = spec(KIND, object)?;
        let protocol = spec.proxy_protocol.as_deref().unwrap_or("unknown");
        if !matches!(protocol, "unknown" | "HTTP/1" | "HTTP/2" | "gRPC" | "opaque" | "TLS") {
            return Err(InvalidPolicy::new(KIND, format!("invalid proxyProtocol `{protocol}`")));
        }
        let access_policy = spec.access_policy.as_deref().unwrap_or("deny").parse();
        let labels = object.pointer("/metadata/labels").map(BTreeMap::deserialize).transpose();
        Ok(Self {
            labels: labels.map_err(|error| InvalidPolicy::new(KIND, error))?.unwrap_or_default(),
            grpc: protocol == "gRPC",
            pod_selector: spec.pod_selector,
            port: spec.port,
            opaque: matches!(protocol, "opaque" | "TLS"),
            access_policy: access_policy.map_err(|error| InvalidPolicy::new(KIND, error))?,
        })
    }
}

impl LabelSelector {
    /// Whether an object with these labels is selected.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |one: &Expression| {
            let value = labels.get(&one.key);
            match &*one.operator {
                "In" => value.is_some_and(|value| one.values.contains(value)),
                "NotIn" => value.is_none_or(|value| !one.values.contains(value)),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        };
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(holds)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_without_an_access_policy_denies() {
        let object =
            json!({ "spec": { "podSelector": { "matchLabels": { "app": "web" } }, "port": "http" } });
        let server = Server::from_value(&object).unwrap();
        assert_eq!((server.port, server.access_policy), (Port::Name("http".into()), DefaultPolicy::Deny));
        assert!(!server.opaque);
    }

    #[test]
    fn invalid_fields_are_named() {
        for (field, value) in
            [("proxyProtocol", json!("SSH")), ("accessPolicy", json!("allow")), ("port", json!(-1))]
        {
            let mut object = json!({ "spec": { "podSelector": {}, "port": 80 } });
            object["spec"][field] = value;
            assert!(Server::from_value(&object).is_err(), "{field}");
        }
        assert!(Server::from_value(&json!({})).is_err());
    }

    #[test]
    fn a_selector_compares_labels_and_expressions() {
        let selector: LabelSelector = serde_json::from_value(json!({
            "matchLabels": { "app": "web" },
            "matchExpressions": [
                { "key": "tier", "operator": "In", "values": ["a", "b"] },
                { "key": "old", "operator": "DoesNotExist" },
            ],
        }))
        .unwrap();
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        assert!(selector.selects(&labels(&[("app", "web"), ("tier", "b")])));
        assert!(!selector.selects(&labels(&[("app", "web"), ("tier", "c")])));
        assert!(!selector.selects(&labels(&[("app", "web"), ("tier", "a"), ("old", "")])));
        assert!(LabelSelector::default().selects(&labels(&[])));
    }
}
