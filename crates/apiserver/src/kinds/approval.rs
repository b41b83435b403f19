//! Approval of definitions in the groups of Kubernetes (`*.k8s.io`, `*.kubernetes.io`).

use serde_json::Value;

/// The annotation `api-approved.kubernetes.io` of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    /// No annotation, or an empty one.
    Missing,
    /// The URL of the approval.
    Approved(String),
    /// A reason that starts with `unapproved`; such a definition is accepted.
    Unapproved(String),
    /// Any other text.
    Invalid(String),
}

impl Approval {
    /// Returns the approval of a definition.
    pub(crate) fn of(definition: &Value) -> Self {
        let text = definition["metadata"]["annotations"]["api-approved.kubernetes.io"].as_str();
        let text = text.unwrap_or_default();
        let is_url =
            text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some());
        match text {
            "" => Self::Missing,
            text if text.starts_with("unapproved") => Self::Unapproved(text.to_owned()),
            text if is_url => Self::Approved(text.to_owned()),
            text => Self::Invalid(text.to_owned()),
        }
    }
}

/// Returns whether definitions in a group need an approval.
pub(crate) fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}
