//! The id of an object: group, version, kind, name and namespace.

use std::fmt;

use serde::Deserialize;

/// Group, version and kind. In a selector an empty part matches any value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub(crate) struct Gvk {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
}

impl Gvk {
    pub(crate) fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// Returns whether `selector` matches.
    pub(crate) fn is(&self, selector: &Gvk) -> bool {
        self.fits(&selector.group, &selector.version, &selector.kind)
    }

    /// [`is`](Self::is) for a selector in three parts.
    pub(crate) fn fits(&self, group: &str, version: &str, kind: &str) -> bool {
        (group.is_empty() || self.group == group)
            && (version.is_empty() || self.version == version)
            && (kind.is_empty() || self.kind == kind)
    }

    /// Returns whether objects of this kind are cluster-scoped. A kind that is not in kustomize's table counts as
    /// namespaced.
    pub(crate) fn cluster_scoped(&self) -> bool {
        CLUSTER_SCOPED.iter().any(|(group, versions, kinds)| {
            self.group == *group
                && versions.contains(&self.version.as_str())
                && kinds.contains(&self.kind.as_str())
        })
    }
}

/// The cluster-scoped kinds in the API description (1.21) that kustomize 5.8 carries, and the newer ones it adds by hand.
const CLUSTER_SCOPED: &[(&str, &[&str], &[&str])] = &[
    ("", &["v1"], &["ComponentStatus", "Namespace", "Node", "NodeProxyOptions", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &["v1", "v1beta1"],
        &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"],
    ),
    (
        "admissionregistration.k8s.io",
        &["v1"],
        &["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"],
    ),
    ("apiextensions.k8s.io", &["v1", "v1beta1"], &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["v1", "v1beta1"], &["APIService"]),
    ("certificates.k8s.io", &["v1", "v1beta1"], &["CertificateSigningRequest"]),
    ("flowcontrol.apiserver.k8s.io", &["v1beta1"], &["FlowSchema", "PriorityLevelConfiguration"]),
    ("networking.k8s.io", &["v1", "v1beta1"], &["IngressClass"]),
    ("node.k8s.io", &["v1", "v1beta1"], &["RuntimeClass"]),
    ("policy", &["v1beta1"], &["PodSecurityPolicy"]),
    ("rbac.authorization.k8s.io", &["v1", "v1beta1"], &["ClusterRole", "ClusterRoleBinding"]),
    ("scheduling.k8s.io", &["v1", "v1beta1"], &["PriorityClass"]),
    ("storage.k8s.io", &["v1", "v1beta1"], &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"]),
];

/// The namespace of cluster-scoped objects in comparisons of ids.
const NO_NAMESPACE: &str = "_non_namespaceable_";

/// The id of an object, normalized for comparisons.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) gvk: Gvk,
    pub(crate) name: String,
    /// Never empty: `default` where the manifest has none, [`NO_NAMESPACE`] for cluster-scoped kinds.
    pub(crate) namespace: String,
}

impl Id {
    pub(crate) fn new(gvk: Gvk, name: &str, namespace: &str) -> Self {
        let namespace = effective_namespace(&gvk, namespace).to_owned();
        Self { gvk, name: name.to_owned(), namespace }
    }

    pub(crate) fn cluster_scoped(&self) -> bool {
        self.namespace == NO_NAMESPACE
    }
}

/// Returns the effective namespace of an object whose manifest has the namespace `written`.
pub(crate) fn effective_namespace<'a>(gvk: &Gvk, written: &'a str) -> &'a str {
    if gvk.cluster_scoped() {
        NO_NAMESPACE
    } else if written.is_empty() {
        "default"
    } else {
        written
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gvk { group, version, kind } = &self.gvk;
        let slash = if group.is_empty() { "" } else { "/" };
        write!(f, "{group}{slash}{version} {kind} {}", self.name)?;
        if !self.cluster_scoped() {
            write!(f, " in {}", self.namespace)?;
        }
        Ok(())
    }
}
