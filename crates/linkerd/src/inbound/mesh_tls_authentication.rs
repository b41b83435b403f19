//! MeshTLSAuthentication: a list of mesh identities.

use serde::Deserialize;
use serde_json::Value;

use super::{InvalidPolicy, Reference, spec};

/// A MeshTLSAuthentication.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshTlsAuthentication {
    /// Identities: a full name, `*` for any, `*.SUFFIX` for all that end with the suffix.
    pub identities: Vec<String>,
    /// ServiceAccounts, or Namespaces for all of their ServiceAccounts.
    pub identity_refs: Vec<Reference>,
}

impl MeshTlsAuthentication {
    /// Parses a MeshTLSAuthentication.
    ///
    /// # Errors
    /// A field has an unexpected type, or both lists are empty.
    pub fn from_value(object: &Value) -> Result<Self, InvalidPolicy> {
        const KIND: &str = "MeshTLSAuthentication";
        let found: Self = spec(KIND, object)?;
        if found.identities.is_empty() && found.identity_refs.is_empty() {
            return Err(InvalidPolicy::new(KIND, "expected identities or identityRefs"));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_of_the_two_lists_is_required() {
        let of = |spec: Value| MeshTlsAuthentication::from_value(&json!({ "spec": spec }));
        assert_eq!(of(json!({ "identities": ["*"] })).unwrap().identities, ["*"]);
        let refs = json!({ "identityRefs": [{ "kind": "ServiceAccount", "name": "client" }] });
        assert_eq!(of(refs).unwrap().identity_refs[0].name, "client");
        assert!(of(json!({})).is_err());
    }
}
