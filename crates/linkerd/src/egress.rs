//! EgressNetwork: whether requests to addresses outside of the cluster are allowed. Unknown fields are ignored.

use serde::Deserialize;
use serde_json::Value;

use crate::inbound::{InvalidPolicy, NetworkSpec};

/// An EgressNetwork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressNetwork {
    /// The networks; empty: every address outside of the cluster.
    pub networks: Vec<NetworkSpec>,
    /// Whether requests without a route are allowed.
    pub allow: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    networks: Vec<NetworkSpec>,
    traffic_policy: String,
}

impl EgressNetwork {
    /// Parses an EgressNetwork.
    ///
    /// # Errors
    /// A field is missing or has an invalid value.
    pub fn from_value(object: &Value) -> Result<Self, InvalidPolicy> {
        const KIND: &str = "EgressNetwork";
        let spec: Spec = crate::inbound::spec(KIND, object)?;
        crate::inbound::check_networks(KIND, &spec.networks)?;
        let allow = match &*spec.traffic_policy {
            "Allow" => true,
            "Deny" => false,
            other => {
                let what = format!("invalid trafficPolicy `{other}`, expected Allow or Deny");
                return Err(InvalidPolicy::new(KIND, what));
            }
        };
        Ok(Self { networks: spec.networks, allow })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_traffic_policy_is_allow_or_deny() {
        let of = |policy: &str| EgressNetwork::from_value(&json!({ "spec": { "trafficPolicy": policy } }));
        assert!(of("Allow").unwrap().allow && !of("Deny").unwrap().allow);
        assert!(of("allow").is_err());
        let networks = json!({ "spec": { "trafficPolicy": "Deny", "networks": [{ "cidr": "everything" }] } });
        assert!(EgressNetwork::from_value(&networks).is_err());
    }
}
