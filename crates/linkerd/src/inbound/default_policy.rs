//! The default policies, also the access policies of a Server.

use std::fmt;
use std::str::FromStr;

/// Annotation of a pod or a namespace: the policy of ports without a Server.
pub const DEFAULT_INBOUND_POLICY: &str = "config.linkerd.io/default-inbound-policy";

/// Who may call a port that no AuthorizationPolicy concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultPolicy {
    /// Every caller.
    #[default]
    AllUnauthenticated,
    /// Meshed callers from anywhere.
    AllAuthenticated,
    /// Callers from the networks of the cluster.
    ClusterUnauthenticated,
    /// Meshed callers from the networks of the cluster.
    ClusterAuthenticated,
    /// No caller.
    Deny,
    /// Every caller; the metrics show who would have been denied.
    Audit,
}

/// The policies with the names that annotations and Servers use.
const NAMES: [(DefaultPolicy, &str); 6] = [
    (DefaultPolicy::AllUnauthenticated, "all-unauthenticated"),
    (DefaultPolicy::AllAuthenticated, "all-authenticated"),
    (DefaultPolicy::ClusterUnauthenticated, "cluster-unauthenticated"),
    (DefaultPolicy::ClusterAuthenticated, "cluster-authenticated"),
    (DefaultPolicy::Deny, "deny"),
    (DefaultPolicy::Audit, "audit"),
];

/// A text that is not the name of a default policy.
#[derive(Debug, thiserror::Error)]
#[error(
    "invalid policy `{0}`, expected all-unauthenticated, all-authenticated, cluster-unauthenticated, cluster-authenticated, deny or audit"
)]
pub struct ParseDefaultPolicyError(String);

impl FromStr for DefaultPolicy {
    type Err = ParseDefaultPolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(policy, _)| *policy).ok_or_else(|| ParseDefaultPolicyError(text.to_owned()))
    }
}

impl fmt::Display for DefaultPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = NAMES.iter().find(|(policy, _)| policy == self);
        f.write_str(found.map_or("", |(_, name)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_default_policy_is_parsed_by_its_name() {
        for (policy, name) in NAMES {
            assert_eq!((name.parse::<DefaultPolicy>().unwrap(), &*policy.to_string()), (policy, name));
        }
        assert!("allow".parse::<DefaultPolicy>().is_err());
    }
}
