//! Which fields name objects: the references that kustomize 5.8 follows.
//!
//! One that it has wrong is left out, since it has no effect there: an Ingress's class.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::error::Error;
use crate::field::{split, walk};
use crate::id::Gvk;
use crate::resource::Resource;

/// A field of one kind that names objects of another.
pub(super) struct Rule {
    /// The kind of what is named.
    pub(super) target: Gvk,
    referrer: Gvk,
    path: Vec<String>,
}

impl Rule {
    pub(super) fn referrer(&self) -> &Gvk {
        &self.referrer
    }

    /// Returns whether the field is the role of a binding, which also contains the kind of the role.
    pub(super) fn is_role(&self) -> bool {
        self.path == ["roleRef", "name"]
    }

    /// Calls `update` with each field in `resource` that the rule is about.
    pub(super) fn visit(
        &self,
        resource: &mut Resource,
        gvk: &Gvk,
        update: &mut dyn FnMut(&mut Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        walk(&mut resource.object, &self.path, None, update).map_err(|error| {
            error.within(format!("reference `{}` of {} `{}`", self.path.join("/"), gvk.kind, resource.name()))
        })
    }
}

/// Returns the rules for objects of that kind.
pub(super) fn for_kind(kind: &str) -> impl Iterator<Item = &'static Rule> {
    RULES.get(kind).into_iter().flatten()
}

static RULES: LazyLock<HashMap<String, Vec<Rule>>> = LazyLock::new(|| {
    let mut rules: HashMap<String, Vec<Rule>> = HashMap::new();
    let mut add = |target: (&str, &str, &str), referrer: (&str, &str, &str), path: &str| {
        let gvk = |(group, version, kind): (&str, &str, &str)| Gvk {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        };
        let rule = Rule { target: gvk(target), referrer: gvk(referrer), path: split(path, '/') };
        rules.entry(referrer.2.to_owned()).or_default().push(rule);
    };
    for (target, paths) in IN_PODS {
        for (kind, pod) in PODS {
            let version = if *kind == "Pod" && CONTENT.contains(&target.2) { "v1" } else { "" };
            if NOT_IN.iter().any(|(without, kinds)| *without == target.2 && kinds.contains(kind)) {
                continue;
            }
            for path in *paths {
                add(*target, ("", version, kind), &format!("{pod}/{path}"));
            }
        }
    }
    for (target, referrer, path) in ELSEWHERE {
        add(*target, *referrer, path);
    }
    // The order of kustomize's own table: a field that may name several kinds is followed to each in turn.
    for list in rules.values_mut() {
        list.sort_by_key(|rule| {
            ORDER.iter().position(|kind| *kind == rule.target.kind).unwrap_or(ORDER.len())
        });
    }
    rules
});

/// What is named, as group, version and kind; empty parts stand for any.
type Kind = (&'static str, &'static str, &'static str);

const CONFIG_MAP: Kind = ("", "v1", "ConfigMap");
const SECRET: Kind = ("", "v1", "Secret");
const SERVICE: Kind = ("", "v1", "Service");
const ACCOUNT: Kind = ("", "v1", "ServiceAccount");
const CLAIM: Kind = ("", "v1", "PersistentVolumeClaim");
const VOLUME: Kind = ("", "v1", "PersistentVolume");
const STORAGE: Kind = ("storage.k8s.io", "v1", "StorageClass");
const PRIORITY: Kind = ("scheduling.k8s.io", "v1", "PriorityClass");
const RBAC: &str = "rbac.authorization.k8s.io";

/// kustomize's order of kinds, those it ranks first.
const ORDER: &[&str] = &[
    "StorageClass",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "ConfigMap",
    "Secret",
    "Service",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
];

/// Kinds with a pod in them, and where it is.
const PODS: &[(&str, &str)] = &[
    ("Pod", "spec"),
    ("PodTemplate", "template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicaSet", "spec/template/spec"),
    ("ReplicationController", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
];

/// Kinds whose references from pods are followed in v1 only.
const CONTENT: &[&str] = &["ConfigMap", "Secret"];

/// Gaps in kustomize's table.
const NOT_IN: &[(&str, &[&str])] = &[
    ("ConfigMap", &["ReplicationController"]),
    ("Secret", &["ReplicationController"]),
    ("ServiceAccount", &["PodTemplate", "ReplicaSet"]),
    ("PersistentVolumeClaim", &["PodTemplate", "ReplicaSet"]),
    ("PriorityClass", &["PodTemplate", "ReplicaSet"]),
];

/// What a pod names.
const IN_PODS: &[(Kind, &[&str])] = &[
    (
        CONFIG_MAP,
        &[
            "volumes/configMap/name",
            "containers/env/valueFrom/configMapKeyRef/name",
            "initContainers/env/valueFrom/configMapKeyRef/name",
            "containers/envFrom/configMapRef/name",
            "initContainers/envFrom/configMapRef/name",
            "volumes/projected/sources/configMap/name",
        ],
    ),
    (
        SECRET,
        &[
            "volumes/secret/secretName",
            "containers/env/valueFrom/secretKeyRef/name",
            "initContainers/env/valueFrom/secretKeyRef/name",
            "containers/envFrom/secretRef/name",
            "initContainers/envFrom/secretRef/name",
            "imagePullSecrets/name",
            "volumes/projected/sources/secret/name",
        ],
    ),
    (ACCOUNT, &["serviceAccountName"]),
    (CLAIM, &["volumes/persistentVolumeClaim/claimName"]),
    (PRIORITY, &["priorityClassName"]),
];

/// What other kinds name.
const ELSEWHERE: &[(Kind, Kind, &str)] = &[
    (("", "", "Deployment"), ("", "", "HorizontalPodAutoscaler"), "spec/scaleTargetRef/name"),
    (("", "", "ReplicationController"), ("", "", "HorizontalPodAutoscaler"), "spec/scaleTargetRef/name"),
    (("", "", "ReplicaSet"), ("", "", "HorizontalPodAutoscaler"), "spec/scaleTargetRef/name"),
    (("", "", "StatefulSet"), ("", "", "HorizontalPodAutoscaler"), "spec/scaleTargetRef/name"),
    (CONFIG_MAP, ("", "", "Node"), "spec/configSource/configMap"),
    (CONFIG_MAP, ("", "", "Role"), "rules/resourceNames"),
    (CONFIG_MAP, ("", "", "ClusterRole"), "rules/resourceNames"),
    (
        CONFIG_MAP,
        ("", "", "Ingress"),
        r"metadata/annotations/nginx.ingress.kubernetes.io\/fastcgi-params-configmap",
    ),
    (SECRET, ("", "", "Ingress"), "spec/tls/secretName"),
    (SECRET, ("", "", "Ingress"), r"metadata/annotations/ingress.kubernetes.io\/auth-secret"),
    (SECRET, ("", "", "Ingress"), r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-secret"),
    (SECRET, ("", "", "Ingress"), r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-tls-secret"),
    (SECRET, ("", "", "ServiceAccount"), "imagePullSecrets/name"),
    (SECRET, ("", "", "StorageClass"), "parameters/secretName"),
    (SECRET, ("", "", "StorageClass"), "parameters/adminSecretName"),
    (SECRET, ("", "", "StorageClass"), "parameters/userSecretName"),
    (SECRET, ("", "", "StorageClass"), "parameters/secretRef"),
    (SECRET, ("", "", "Role"), "rules/resourceNames"),
    (SECRET, ("", "", "ClusterRole"), "rules/resourceNames"),
    (
        SECRET,
        ("serving.knative.dev", "v1", "Service"),
        "spec/template/spec/containers/env/valueFrom/secretKeyRef/name",
    ),
    (SECRET, ("", "", "PersistentVolume"), "spec/azureFile/secretName"),
    (SERVICE, ("apps", "", "StatefulSet"), "spec/serviceName"),
    (SERVICE, ("", "", "Ingress"), "spec/rules/http/paths/backend/serviceName"),
    (SERVICE, ("", "", "Ingress"), "spec/backend/serviceName"),
    (SERVICE, ("", "", "Ingress"), "spec/rules/http/paths/backend/service/name"),
    (SERVICE, ("", "", "Ingress"), "spec/defaultBackend/service/name"),
    (SERVICE, ("apiregistration.k8s.io", "", "APIService"), "spec/service/name"),
    (
        SERVICE,
        ("admissionregistration.k8s.io", "", "ValidatingWebhookConfiguration"),
        "webhooks/clientConfig/service",
    ),
    (
        SERVICE,
        ("admissionregistration.k8s.io", "", "MutatingWebhookConfiguration"),
        "webhooks/clientConfig/service",
    ),
    ((RBAC, "", "Role"), (RBAC, "", "RoleBinding"), "roleRef/name"),
    ((RBAC, "", "ClusterRole"), (RBAC, "", "RoleBinding"), "roleRef/name"),
    ((RBAC, "", "ClusterRole"), (RBAC, "", "ClusterRoleBinding"), "roleRef/name"),
    (ACCOUNT, (RBAC, "", "RoleBinding"), "subjects"),
    (ACCOUNT, (RBAC, "", "ClusterRoleBinding"), "subjects"),
    (VOLUME, ("", "", "PersistentVolumeClaim"), "spec/volumeName"),
    (VOLUME, ("", "", "ClusterRole"), "rules/resourceNames"),
    (STORAGE, ("", "", "PersistentVolume"), "spec/storageClassName"),
    (STORAGE, ("", "", "PersistentVolumeClaim"), "spec/storageClassName"),
    (STORAGE, ("", "", "StatefulSet"), "spec/volumeClaimTemplates/spec/storageClassName"),
    (
        ("admissionregistration.k8s.io", "", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "", "ValidatingAdmissionPolicyBinding"),
        "spec/policyName",
    ),
];
