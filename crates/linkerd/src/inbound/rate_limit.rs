//! HTTPLocalRateLimitPolicy: limits the requests per second of a Server's pods, each pod on its own.

use serde::Deserialize;
use serde_json::Value;

use super::{InvalidPolicy, Reference, spec};

/// An HTTPLocalRateLimitPolicy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RateLimitPolicy {
    /// The Server.
    #[serde(rename = "targetRef")]
    pub target: Reference,
    /// The limit of all callers together.
    #[serde(default)]
    pub total: Option<Limit>,
    /// The limit of each identity.
    #[serde(default)]
    pub identity: Option<Limit>,
    /// Limits of some callers in place of `identity`.
    #[serde(default)]
    pub overrides: Vec<Override>,
}

/// A number of requests per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Limit {
    /// Requests per second.
    #[serde(rename = "requestsPerSecond")]
    pub requests_per_second: u32,
}

/// A limit of some ServiceAccounts, together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Override {
    /// Requests per second.
    #[serde(rename = "requestsPerSecond")]
    pub requests_per_second: u32,
    /// The ServiceAccounts.
    #[serde(rename = "clientRefs")]
    pub clients: Vec<Reference>,
}

impl RateLimitPolicy {
    /// Parses an HTTPLocalRateLimitPolicy.
    ///
    /// # Errors
    /// A field is missing or has an unexpected type, or an identity's limit exceeds that of all callers.
    pub fn from_value(object: &Value) -> Result<Self, InvalidPolicy> {
        const KIND: &str = "HTTPLocalRateLimitPolicy";
        let found: Self = spec(KIND, object)?;
        let total = found.total.map_or(u32::MAX, |limit| limit.requests_per_second);
        let others = found.identity.iter().map(|limit| limit.requests_per_second);
        let others = others.chain(found.overrides.iter().map(|one| one.requests_per_second));
        if others.into_iter().any(|limit| limit > total) {
            return Err(InvalidPolicy::new(KIND, "a limit is above that of all callers"));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_requests_per_second_and_the_total_is_the_largest() {
        let of = |total: u32| {
            RateLimitPolicy::from_value(&json!({ "spec": {
                "targetRef": { "group": "policy.linkerd.io", "kind": "Server", "name": "web" },
                "total": { "requestsPerSecond": total }, "identity": { "requestsPerSecond": 3 },
                "overrides": [{ "requestsPerSecond": 9, "clientRefs": [{ "kind": "ServiceAccount", "name": "vip" }] }],
            } }))
        };
        let found = of(10).unwrap();
        assert_eq!(found.total, Some(Limit { requests_per_second: 10 }));
        assert_eq!(found.overrides[0].clients[0].name, "vip");
        assert!(of(5).is_err(), "the override is above the total");
        assert!(RateLimitPolicy::from_value(&json!({ "spec": {} })).is_err());
    }
}
