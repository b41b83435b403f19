//! Validation of objects, with the messages of Kubernetes.

use serde_json::Value;

use crate::error::{Cause, Causes};
use crate::kinds::Kind;

mod custom;
mod definition;
mod event;
mod metadata;
mod names;
mod network;
mod pod;
mod workload;

/// Returns the invalid fields of a new object.
pub(crate) fn new_object(kind: &Kind, value: &Value) -> Causes {
    let mut found = object(kind, value);
    if kind.kind == "Event" && !kind.is_custom() {
        event::check(kind, value, &mut found);
    }
    found
}

/// Returns the invalid fields of a new or changed object.
fn object(kind: &Kind, value: &Value) -> Causes {
    let mut found = metadata::check(kind, value);
    if let Some(custom) = &kind.custom {
        custom::check(&custom.schema, value, "", &mut found);
        return found;
    }
    let spec = &value["spec"];
    match kind.kind.as_str() {
        "Pod" => pod::spec(spec, "spec", &mut found),
        "Deployment" | "ReplicaSet" => workload::check(value, &mut found),
        "Service" => network::service(spec, &mut found),
        "Ingress" => network::ingress(spec, &mut found),
        "ConfigMap" | "Secret" => metadata::data_keys(value, &mut found),
        "CustomResourceDefinition" => definition::check(value, &mut found),
        _ => {}
    }
    found
}

/// Returns the invalid fields of a changed object.
pub(crate) fn update(kind: &Kind, old: &Value, value: &Value, subresource: &str) -> Causes {
    if !subresource.is_empty() && kind.custom.is_none() {
        return metadata::check(kind, value);
    }
    let mut found = object(kind, value);
    if kind.is_custom() {
        return found;
    }
    match kind.kind.as_str() {
        "Pod" => pod::update(&old["spec"], &value["spec"], &mut found),
        "Deployment" | "ReplicaSet" if old["spec"]["selector"] != value["spec"]["selector"] => {
            found.push(invalid("spec.selector", &value["spec"]["selector"], "field is immutable"));
        }
        "Service" => network::service_update(&old["spec"], &value["spec"], &mut found),
        "ConfigMap" | "Secret" if old["immutable"] == true => {
            if value["immutable"] != true {
                found.push(forbidden("immutable", "field is immutable when `immutable` is set"));
            }
            for field in ["data", "binaryData"].into_iter().filter(|field| old[*field] != value[*field]) {
                found.push(forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
        "Secret" if old["type"] != value["type"] => {
            found.push(invalid("type", &value["type"], "field is immutable"));
        }
        _ => {}
    }
    found
}

/// Returns warnings for valid but probably wrong fields.
pub(crate) fn warnings(kind: &Kind, value: &Value) -> Vec<String> {
    match kind.kind.as_str() {
        _ if kind.is_custom() => Vec::new(),
        "Pod" => pod::warnings(&value["spec"], "spec"),
        "Deployment" | "ReplicaSet" => {
            pod::warnings(&value["spec"]["template"]["spec"], "spec.template.spec")
        }
        _ => Vec::new(),
    }
}

fn required(field: &str, why: &str) -> Cause {
    let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
    Cause { reason: "FieldValueRequired", message, field: field.to_owned() }
}

fn invalid(field: &str, value: &Value, why: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {value}: {why}"),
        field: field.to_owned(),
    }
}

fn duplicate(field: &str, value: &Value) -> Cause {
    Cause {
        reason: "FieldValueDuplicate",
        message: format!("Duplicate value: {value}"),
        field: field.to_owned(),
    }
}

fn forbidden(field: &str, why: &str) -> Cause {
    Cause { reason: "FieldValueForbidden", message: format!("Forbidden: {why}"), field: field.to_owned() }
}

fn unsupported(field: &str, value: &Value, supported: &[&str]) -> Cause {
    let quoted: Vec<String> = supported.iter().map(|value| format!("\"{value}\"")).collect();
    let message = format!("Unsupported value: {value}: supported values: {}", quoted.join(", "));
    Cause { reason: "FieldValueNotSupported", message, field: field.to_owned() }
}
