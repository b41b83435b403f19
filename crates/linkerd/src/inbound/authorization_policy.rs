//! AuthorizationPolicy: allows the callers that pass all of its authentications.

use serde::Deserialize;
use serde_json::Value;

use super::{InvalidPolicy, Reference, spec};

/// An AuthorizationPolicy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationPolicy {
    /// The Server, the Namespace for all of its Servers, or a route of a Server.
    pub target_ref: Reference,
    /// All must be passed; empty: every caller is allowed.
    #[serde(default)]
    pub required_authentication_refs: Vec<Reference>,
}

impl AuthorizationPolicy {
    /// Parses an AuthorizationPolicy.
    ///
    /// # Errors
    /// A field is missing or has an unexpected type.
    pub fn from_value(object: &Value) -> Result<Self, InvalidPolicy> {
        spec("AuthorizationPolicy", object)
    }

    /// Whether the policy concerns a Server of its namespace.
    pub fn concerns(&self, namespace: &str, server: &str) -> bool {
        match &*self.target_ref.kind {
            "Server" => self.target_ref.name == server,
            "Namespace" => self.target_ref.name == namespace,
            _ => false,
        }
    }

    /// Whether the policy concerns a route of its namespace.
    pub fn concerns_route(&self, group: &str, kind: &str, name: &str) -> bool {
        let target = &self.target_ref;
        [(&*target.group, group), (&*target.kind, kind), (&*target.name, name)]
            .iter()
            .all(|(own, other)| own.eq_ignore_ascii_case(other))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_concerns_its_server_or_all_of_its_namespace() {
        let concerns = |kind: &str, name: &str| {
            let object = json!({ "spec": { "targetRef": { "kind": kind, "name": name } } });
            AuthorizationPolicy::from_value(&object).unwrap().concerns("shop", "web")
        };
        assert!(concerns("Server", "web") && concerns("Namespace", "shop"));
        assert!(!concerns("HTTPRoute", "web"));
        let target = json!({ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "api" });
        let of_route = AuthorizationPolicy::from_value(&json!({ "spec": { "targetRef": target } })).unwrap();
        assert!(of_route.concerns_route("gateway.networking.k8s.io", "HTTPRoute", "api"));
        assert!(!of_route.concerns_route("policy.linkerd.io", "HTTPRoute", "api"), "another group");
        assert!(
            !concerns("Server", "other") && !concerns("Namespace", "web") && !concerns("HTTPRoute", "web")
        );
    }
}
