//! Default values of objects.

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::value::default;

pub(crate) mod custom;
pub(crate) mod definition;
mod network;
mod pod;
mod workload;

pub(crate) use pod::qos;

/// Sets the defaults of a decoded object.
pub(crate) fn set_defaults(kind: &Kind, value: &mut Value) {
    if let Some(custom) = &kind.custom {
        custom::set_defaults(&custom.schema, value);
        return;
    }
    match kind.kind.as_str() {
        "Namespace" => namespace(value),
        "Pod" => {
            pod::spec(&mut value["spec"]);
            pod::requests(&mut value["spec"]);
            default(&mut value["spec"], "enableServiceLinks", true);
        }
        "Service" => network::service(&mut value["spec"]),
        "Endpoints" => network::endpoints(value),
        "EndpointSlice" => network::endpoint_slice(value),
        "Ingress" => network::ingress(&mut value["spec"]),
        "IngressClass" => network::ingress_class(&mut value["spec"]),
        "Secret" => secret(value),
        "Deployment" => workload::deployment(&mut value["spec"]),
        "ReplicaSet" => workload::replica_set(value),
        "CustomResourceDefinition" => definition::set_defaults(&mut value["spec"]),
        _ => {}
    }
}

/// Sets the label with the name of a namespace, so that selectors can match it.
fn namespace(value: &mut Value) {
    let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if !name.is_empty() {
        if !value["metadata"]["labels"].is_object() {
            value["metadata"]["labels"] = json!({});
        }
        value["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
    }
}

/// Stores `stringData` as data.
fn secret(value: &mut Value) {
    use base64::Engine;
    if let Some(Value::Object(text)) = value.as_object_mut().and_then(|map| map.remove("stringData")) {
        if !value["data"].is_object() {
            value["data"] = json!({});
        }
        for (key, text) in text {
            let plain = text.as_str().unwrap_or_default();
            value["data"][key] = base64::prelude::BASE64_STANDARD.encode(plain).into();
        }
    }
    default(value, "type", "Opaque");
}
