//! The fields with labels, annotations, images and replica counts that kustomize 5.8 supports.

use std::sync::LazyLock;

use crate::field::FieldSpec;

/// Group, version, kind and path; empty parts of the kind match any value.
type Row = (&'static str, &'static str, &'static str, &'static str);

fn made(rows: &[Row]) -> Vec<FieldSpec> {
    rows.iter().map(|(group, version, kind, path)| FieldSpec::new(group, version, kind, path, true)).collect()
}

fn found(rows: &[Row]) -> Vec<FieldSpec> {
    rows.iter()
        .map(|(group, version, kind, path)| FieldSpec::new(group, version, kind, path, false))
        .collect()
}

/// Labels of objects and of the pods they make.
pub(super) static TEMPLATES: LazyLock<Vec<FieldSpec>> = LazyLock::new(|| {
    made(&[
        ("", "", "", "metadata/labels"),
        ("", "v1", "ReplicationController", "spec/template/metadata/labels"),
        ("", "", "Deployment", "spec/template/metadata/labels"),
        ("", "", "ReplicaSet", "spec/template/metadata/labels"),
        ("", "", "DaemonSet", "spec/template/metadata/labels"),
        ("apps", "", "StatefulSet", "spec/template/metadata/labels"),
        ("batch", "", "Job", "spec/template/metadata/labels"),
        ("batch", "", "CronJob", "spec/jobTemplate/metadata/labels"),
        ("batch", "", "CronJob", "spec/jobTemplate/spec/template/metadata/labels"),
    ])
});

/// Labels of the volume claims that a StatefulSet makes.
pub(super) static CLAIM_TEMPLATES: LazyLock<Vec<FieldSpec>> =
    LazyLock::new(|| made(&[("apps", "", "StatefulSet", "spec/volumeClaimTemplates[]/metadata/labels")]));

/// Selectors, and all labels that they select.
pub(super) static SELECTORS: LazyLock<Vec<FieldSpec>> = LazyLock::new(|| {
    let mut specs = made(&[
        ("", "v1", "Service", "spec/selector"),
        ("", "v1", "ReplicationController", "spec/selector"),
        ("", "", "Deployment", "spec/selector/matchLabels"),
        ("", "", "ReplicaSet", "spec/selector/matchLabels"),
        ("", "", "DaemonSet", "spec/selector/matchLabels"),
        ("apps", "", "StatefulSet", "spec/selector/matchLabels"),
    ]);
    for kind in ["Deployment", "StatefulSet"] {
        for affinity in ["podAffinity", "podAntiAffinity"] {
            let base = format!("spec/template/spec/affinity/{affinity}");
            for place in [
                "preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm",
                "requiredDuringSchedulingIgnoredDuringExecution",
            ] {
                specs.push(FieldSpec::new(
                    "apps",
                    "",
                    kind,
                    &format!("{base}/{place}/labelSelector/matchLabels"),
                    false,
                ));
            }
        }
        let spread = "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels";
        specs.push(FieldSpec::new("apps", "", kind, spread, false));
    }
    specs.extend(found(&[
        ("batch", "", "Job", "spec/selector/matchLabels"),
        ("batch", "", "CronJob", "spec/jobTemplate/spec/selector/matchLabels"),
        ("policy", "", "PodDisruptionBudget", "spec/selector/matchLabels"),
        ("networking.k8s.io", "", "NetworkPolicy", "spec/podSelector/matchLabels"),
        ("networking.k8s.io", "", "NetworkPolicy", "spec/ingress/from/podSelector/matchLabels"),
        ("networking.k8s.io", "", "NetworkPolicy", "spec/egress/to/podSelector/matchLabels"),
    ]));
    specs.extend(TEMPLATES.iter().cloned());
    specs.extend(CLAIM_TEMPLATES.iter().cloned());
    specs
});

/// Annotations of objects and of the pods they make.
pub(super) static ANNOTATIONS: LazyLock<Vec<FieldSpec>> = LazyLock::new(|| {
    made(&[
        ("", "", "", "metadata/annotations"),
        ("", "v1", "ReplicationController", "spec/template/metadata/annotations"),
        ("", "", "Deployment", "spec/template/metadata/annotations"),
        ("", "", "ReplicaSet", "spec/template/metadata/annotations"),
        ("", "", "DaemonSet", "spec/template/metadata/annotations"),
        ("", "", "StatefulSet", "spec/template/metadata/annotations"),
        ("batch", "", "Job", "spec/template/metadata/annotations"),
        ("batch", "", "CronJob", "spec/jobTemplate/metadata/annotations"),
        ("batch", "", "CronJob", "spec/jobTemplate/spec/template/metadata/annotations"),
    ])
});

/// Images of containers and volumes, for kinds of pods and of what makes pods.
pub(super) static IMAGES: LazyLock<Vec<FieldSpec>> = LazyLock::new(|| {
    made(&[
        ("", "", "", "spec/containers[]/image"),
        ("", "", "", "spec/initContainers[]/image"),
        ("", "", "", "spec/volumes[]/image/reference"),
        ("", "", "", "spec/template/spec/containers[]/image"),
        ("", "", "", "spec/template/spec/initContainers[]/image"),
        ("", "", "", "spec/template/spec/volumes[]/image/reference"),
    ])
});

/// Replica counts.
pub(super) static REPLICAS: LazyLock<Vec<FieldSpec>> = LazyLock::new(|| {
    made(&[
        ("", "", "Deployment", "spec/replicas"),
        ("", "", "ReplicationController", "spec/replicas"),
        ("", "", "ReplicaSet", "spec/replicas"),
        ("", "", "StatefulSet", "spec/replicas"),
    ])
});
