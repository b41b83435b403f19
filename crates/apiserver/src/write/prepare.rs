//! Fields that only the server writes.

use rand::RngExt;
use serde_json::{Value, json};

use crate::clock::now;
use crate::error::{ApiError, Result};
use crate::kinds::Kind;
use crate::uid::uid;

/// Characters of generated name suffixes, as in Kubernetes: without vowels (to avoid words) and without similar characters.
const SUFFIX_CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Sets the namespace of the path on the object.
///
/// # Errors
/// 400 if the object has another namespace than the path, or another name than `name`.
pub(super) fn place(kind: &Kind, namespace: &str, name: Option<&str>, value: &mut Value) -> Result<()> {
    let metadata = &mut value["metadata"];
    if metadata.is_null() {
        *metadata = json!({});
    }
    match metadata["namespace"].as_str().unwrap_or_default() {
        "" if kind.namespaced => metadata["namespace"] = namespace.into(),
        given if kind.namespaced && given != namespace => {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        given if !kind.namespaced && !given.is_empty() => {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        _ => {}
    }
    if let Some(expected) = name {
        let given = metadata["name"].as_str().unwrap_or_default();
        if given.is_empty() {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({expected} based on URL) was undeterminable: name must be provided"
            )));
        }
        if given != expected {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({expected})"
            )));
        }
    }
    Ok(())
}

/// Sets name, uid, creation time, generation and status of a new object.
pub(super) fn new_object(kind: &Kind, value: &mut Value) {
    let metadata = &mut value["metadata"];
    if metadata["name"].as_str().unwrap_or_default().is_empty()
        && let Some(prefix) = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty())
    {
        // Kubernetes truncates the prefix so that the name has at most 63 characters.
        let prefix: String = prefix.chars().take(58).collect();
        metadata["name"] = format!("{prefix}{}", suffix()).into();
    }
    if let Some(map) = metadata.as_object_mut() {
        for field in
            ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "generation"]
        {
            map.remove(field);
        }
        if map.get("managedFields").is_some_and(Value::is_null) {
            map.remove("managedFields");
        }
    }
    if kind.kind == "Pod" && !kind.is_custom() {
        admit_pod(&mut value["spec"]);
    }
    let metadata = &mut value["metadata"];
    metadata["uid"] = uid().into();
    metadata["creationTimestamp"] = now().into();
    if has_generation(kind) {
        metadata["generation"] = 1.into();
    }
    if kind.kind == "Namespace" && !kind.is_custom() {
        add_namespace_finalizer(value);
    }
    reset_status(kind, value);
}

/// Adds the finalizer that keeps a namespace until the controller has deleted its objects.
fn add_namespace_finalizer(value: &mut Value) {
    let present = value["spec"]["finalizers"]
        .as_array()
        .is_some_and(|list| list.iter().any(|finalizer| finalizer == "kubernetes"));
    if !present {
        let mut finalizers = value["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
        finalizers.push("kubernetes".into());
        value["spec"]["finalizers"] = finalizers.into();
    }
}

/// Sets what Kubernetes' admission plugins set on every pod: the default priority, and tolerations of 300 s for a node
/// that is not ready or unreachable.
fn admit_pod(spec: &mut Value) {
    crate::value::default(spec, "priority", 0);
    crate::value::default(spec, "preemptionPolicy", "PreemptLowerPriority");
    let mut tolerations: Vec<Value> = crate::value::items(&spec["tolerations"]).cloned().collect();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerates = |one: &Value| {
            (one["key"] == key || one["key"].is_null())
                && (one["effect"] == "NoExecute" || one["effect"].is_null())
        };
        if !tolerations.iter().any(tolerates) {
            tolerations.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
    spec["tolerations"] = tolerations.into();
}

/// Sets the status of a new object; clients cannot set it on creation.
fn reset_status(kind: &Kind, value: &mut Value) {
    if !kind.status || value.get("status").is_none() && kind.is_custom() {
        return;
    }
    let status = match (kind.is_custom(), kind.kind.as_str()) {
        (true, _) => Value::Null,
        (_, "Namespace") => json!({"phase": "Active"}),
        (_, "Pod") => json!({"phase": "Pending", "qosClass": crate::defaults::qos(&value["spec"])}),
        (_, "Service" | "Ingress") => json!({"loadBalancer": {}}),
        (_, "ReplicaSet") => json!({"replicas": 0}),
        (_, "CustomResourceDefinition") => return,
        // A kubelet sets the status of its node when it registers.
        (_, "Node") => return,
        _ => json!({}),
    };
    match status {
        Value::Null => {
            if let Some(map) = value.as_object_mut() {
                map.remove("status");
            }
        }
        status => value["status"] = status,
    }
}

/// Returns whether objects of a kind have `metadata.generation`.
pub(super) fn has_generation(kind: &Kind) -> bool {
    kind.is_custom()
        || matches!(
            kind.kind.as_str(),
            "Deployment"
                | "ReplicaSet"
                | "Ingress"
                | "IngressClass"
                | "EndpointSlice"
                | "CustomResourceDefinition"
                | "Pod"
        )
}

fn suffix() -> String {
    let mut rng = rand::rng();
    (0..5).map(|_| char::from(SUFFIX_CHARACTERS[rng.random_range(0..SUFFIX_CHARACTERS.len())])).collect()
}

/// Returns whether an object has no finalizers.
pub(super) fn has_no_finalizers(value: &Value) -> bool {
    let empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    empty(&value["metadata"]["finalizers"])
        && (value["kind"] != "Namespace" || empty(&value["spec"]["finalizers"]))
}
