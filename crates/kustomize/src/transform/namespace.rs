//! `namespace`: moves all namespaced objects.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::Value;

use crate::error::Error;
use crate::field::{FieldSpec, Leaf};
use crate::resource::Resource;

/// The fields with a namespace outside the metadata of an object.
static ELSEWHERE: LazyLock<[FieldSpec; 2]> = LazyLock::new(|| {
    [
        FieldSpec::new("apiregistration.k8s.io", "", "APIService", "spec/service/namespace", true),
        FieldSpec::new(
            "apiextensions.k8s.io",
            "",
            "CustomResourceDefinition",
            "spec/conversion/webhook/clientConfig/service/namespace",
            false,
        ),
    ]
});

/// Moves the objects to `namespace`, unless that is empty.
pub(super) fn set(namespace: &str, list: &mut [Resource]) -> Result<(), Error> {
    if namespace.is_empty() {
        return Ok(());
    }
    for resource in list.iter_mut() {
        resource.remember();
        if resource.kind() == "Namespace" && resource.api_version() == "v1" {
            resource.set_name(namespace);
        } else if !resource.gvk().cluster_scoped() {
            resource.set_namespace(namespace);
        }
        if matches!(resource.kind(), "RoleBinding" | "ClusterRoleBinding") {
            default_subjects(namespace, resource);
        }
        for spec in &*ELSEWHERE {
            spec.visit(resource, Some(Leaf::Scalar), &mut |field| {
                *field = namespace.into();
                Ok(())
            })?;
        }
    }
    let mut seen = HashSet::new();
    match list.iter().map(Resource::id).find(|id| !seen.insert(id.clone())) {
        Some(id) => Err(Error::Duplicate { id: id.to_string() }),
        None => Ok(()),
    }
}

/// Sets the namespace of subjects named `default`, the service account of each namespace. Other subjects follow their
/// object.
fn default_subjects(namespace: &str, binding: &mut Resource) {
    let Some(Value::Array(subjects)) = binding.object.get_mut("subjects") else { return };
    for subject in subjects.iter_mut().filter_map(Value::as_object_mut) {
        if subject.get("name").and_then(Value::as_str) == Some("default") {
            subject.insert("namespace".to_owned(), namespace.into());
        }
    }
}
