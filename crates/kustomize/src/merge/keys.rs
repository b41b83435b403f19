//! Which lists of the API merge by which keys: its `patchMergeKey`s, for the versions (1.21) that kustomize 5.8 has.

use crate::id::Gvk;

/// The shape of a value. Lists of unknown shape are replaced as a whole.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A map with fields that lead to lists with keys.
    Map(&'static [(&'static str, Shape)]),
    /// A list whose elements these keys identify; without keys a set of scalars.
    List {
        /// The fields that make an element's key.
        keys: &'static [&'static str],
        /// The elements' own shape.
        element: Option<&'static Shape>,
    },
    /// A shape that others share.
    Same(&'static Shape),
}

impl Shape {
    /// What is known of a field.
    pub(super) fn field(&'static self, name: &str) -> Option<&'static Shape> {
        match self {
            Self::Map(fields) => match fields.iter().find(|(field, _)| *field == name)? {
                (_, Self::Same(shape)) => Some(shape),
                (_, shape) => Some(shape),
            },
            Self::Same(shape) => shape.field(name),
            Self::List { .. } => None,
        }
    }
}

const fn list(keys: &'static [&'static str]) -> Shape {
    Shape::List { keys, element: None }
}

const fn list_of(keys: &'static [&'static str], element: &'static Shape) -> Shape {
    Shape::List { keys, element: Some(element) }
}

static META: Shape = Shape::Map(&[("finalizers", list(&[])), ("ownerReferences", list(&["uid"]))]);

static CONTAINER: Shape = Shape::Map(&[
    ("env", list(&["name"])),
    ("ports", list(&["containerPort", "protocol"])),
    ("volumeDevices", list(&["devicePath"])),
    ("volumeMounts", list(&["mountPath"])),
]);

/// Ports of an ephemeral container have no merge key in that version.
static EPHEMERAL: Shape = Shape::Map(&[
    ("env", list(&["name"])),
    ("volumeDevices", list(&["devicePath"])),
    ("volumeMounts", list(&["mountPath"])),
]);

static POD: Shape = Shape::Map(&[
    ("containers", list_of(&["name"], &CONTAINER)),
    ("ephemeralContainers", list_of(&["name"], &EPHEMERAL)),
    ("hostAliases", list(&["ip"])),
    ("imagePullSecrets", list(&["name"])),
    ("initContainers", list_of(&["name"], &CONTAINER)),
    ("topologySpreadConstraints", list(&["topologyKey", "whenUnsatisfiable"])),
    ("volumes", list(&["name"])),
]);

static TEMPLATE: Shape = Shape::Map(&[("metadata", Shape::Same(&META)), ("spec", Shape::Same(&POD))]);

static CONDITIONS: Shape = Shape::Map(&[("conditions", list(&["type"]))]);

/// Nothing but metadata.
static PLAIN: Shape = Shape::Map(&[("metadata", Shape::Same(&META))]);

static POD_OBJECT: Shape = Shape::Map(&[
    ("metadata", Shape::Same(&META)),
    ("spec", Shape::Same(&POD)),
    ("status", Shape::Map(&[("conditions", list(&["type"])), ("podIPs", list(&["ip"]))])),
]);

static POD_TEMPLATE: Shape =
    Shape::Map(&[("metadata", Shape::Same(&META)), ("template", Shape::Same(&TEMPLATE))]);

static WORKLOAD: Shape = Shape::Map(&[
    ("metadata", Shape::Same(&META)),
    ("spec", Shape::Map(&[("template", Shape::Same(&TEMPLATE))])),
    ("status", Shape::Same(&CONDITIONS)),
]);

static CRON_JOB: Shape = Shape::Map(&[
    ("metadata", Shape::Same(&META)),
    (
        "spec",
        Shape::Map(&[(
            "jobTemplate",
            Shape::Map(&[
                ("metadata", Shape::Same(&META)),
                ("spec", Shape::Map(&[("template", Shape::Same(&TEMPLATE))])),
            ]),
        )]),
    ),
]);

static SERVICE: Shape = Shape::Map(&[
    ("metadata", Shape::Same(&META)),
    ("spec", Shape::Map(&[("ports", list(&["port", "protocol"]))])),
    ("status", Shape::Same(&CONDITIONS)),
]);

static SERVICE_ACCOUNT: Shape = Shape::Map(&[("metadata", Shape::Same(&META)), ("secrets", list(&["name"]))]);

static NODE: Shape = Shape::Map(&[
    ("metadata", Shape::Same(&META)),
    ("spec", Shape::Map(&[("podCIDRs", list(&[]))])),
    ("status", Shape::Map(&[("addresses", list(&["type"])), ("conditions", list(&["type"]))])),
]);

static WEBHOOKS: Shape = Shape::Map(&[("metadata", Shape::Same(&META)), ("webhooks", list(&["name"]))]);

static CSI_NODE: Shape =
    Shape::Map(&[("metadata", Shape::Same(&META)), ("spec", Shape::Map(&[("drivers", list(&["name"]))]))]);

static WITH_CONDITIONS: Shape =
    Shape::Map(&[("metadata", Shape::Same(&META)), ("status", Shape::Same(&CONDITIONS))]);

static COMPONENT_STATUS: Shape =
    Shape::Map(&[("metadata", Shape::Same(&META)), ("conditions", list(&["type"]))]);

/// Returns the shape of objects of a kind, `None` for kinds that the API of that version does not have.
pub(crate) fn shape(gvk: &Gvk) -> Option<&'static Shape> {
    let (kind, version) = (gvk.kind.as_str(), gvk.version.as_str());
    let stable_or_beta = version == "v1" || version == "v1beta1";
    match gvk.group.as_str() {
        "" if version == "v1" => core(kind),
        "apps" if version == "v1" => match kind {
            "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" => Some(&WORKLOAD),
            "ControllerRevision" => Some(&PLAIN),
            _ => None,
        },
        "batch" if kind == "CronJob" && stable_or_beta => Some(&CRON_JOB),
        "batch" if kind == "Job" && version == "v1" => Some(&WORKLOAD),
        "admissionregistration.k8s.io" if stable_or_beta => match kind {
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => Some(&WEBHOOKS),
            _ => None,
        },
        "storage.k8s.io" if stable_or_beta => match kind {
            "CSINode" => Some(&CSI_NODE),
            "CSIDriver" | "StorageClass" | "VolumeAttachment" => Some(&PLAIN),
            "CSIStorageCapacity" if version == "v1beta1" => Some(&PLAIN),
            _ => None,
        },
        "policy" if kind == "PodDisruptionBudget" && stable_or_beta => Some(&WITH_CONDITIONS),
        "apiregistration.k8s.io" if kind == "APIService" && stable_or_beta => Some(&WITH_CONDITIONS),
        group => PLAIN_KINDS
            .iter()
            .any(|(known, versions, kinds)| {
                *known == group && versions.contains(&version) && kinds.contains(&kind)
            })
            .then_some(&PLAIN),
    }
}

fn core(kind: &str) -> Option<&'static Shape> {
    match kind {
        "Pod" => Some(&POD_OBJECT),
        "PodTemplate" => Some(&POD_TEMPLATE),
        "ReplicationController" => Some(&WORKLOAD),
        "Service" => Some(&SERVICE),
        "ServiceAccount" => Some(&SERVICE_ACCOUNT),
        "Node" => Some(&NODE),
        "Namespace" | "PersistentVolumeClaim" => Some(&WITH_CONDITIONS),
        "ComponentStatus" => Some(&COMPONENT_STATUS),
        "ConfigMap" | "Endpoints" | "Event" | "LimitRange" | "PersistentVolume" | "ResourceQuota"
        | "Secret" => Some(&PLAIN),
        _ => None,
    }
}

/// Kinds of which only the metadata has lists with keys.
const PLAIN_KINDS: &[(&str, &[&str], &[&str])] = &[
    ("apiextensions.k8s.io", &["v1", "v1beta1"], &["CustomResourceDefinition"]),
    ("autoscaling", &["v1", "v2beta1", "v2beta2"], &["HorizontalPodAutoscaler"]),
    ("certificates.k8s.io", &["v1", "v1beta1"], &["CertificateSigningRequest"]),
    ("coordination.k8s.io", &["v1", "v1beta1"], &["Lease"]),
    ("discovery.k8s.io", &["v1", "v1beta1"], &["EndpointSlice"]),
    ("events.k8s.io", &["v1", "v1beta1"], &["Event"]),
    ("extensions", &["v1beta1"], &["Ingress"]),
    ("flowcontrol.apiserver.k8s.io", &["v1beta1"], &["FlowSchema", "PriorityLevelConfiguration"]),
    ("networking.k8s.io", &["v1", "v1beta1"], &["Ingress", "IngressClass"]),
    ("networking.k8s.io", &["v1"], &["NetworkPolicy"]),
    ("node.k8s.io", &["v1", "v1beta1"], &["RuntimeClass"]),
    ("policy", &["v1beta1"], &["PodSecurityPolicy"]),
    (
        "rbac.authorization.k8s.io",
        &["v1", "v1beta1"],
        &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"],
    ),
    ("scheduling.k8s.io", &["v1", "v1beta1"], &["PriorityClass"]),
];
