//! The representations of objects: JSON, a table, or only the metadata.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::accept::Form;
use super::response::{self, Body};
use crate::kinds::Kind;
use crate::store::Object;
use crate::table::table;

/// Returns a response with an object.
pub(super) fn object(form: &Form, kind: &Kind, code: u16, object: &Arc<Object>) -> Response<Body> {
    match form {
        Form::Table(options) => response::json(code, &table(kind, std::slice::from_ref(object), options)),
        Form::Metadata(version) => response::json(code, &metadata(version, object)),
        Form::Objects => response::json_text(code, json_in_version(kind, object)),
    }
}

/// Returns the metadata of an object as `PartialObjectMetadata`.
pub(super) fn metadata(version: &str, object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"],
    })
}

/// Returns the JSON text of an object in the version of a kind.
pub(super) fn json_in_version(kind: &Kind, object: &Object) -> Bytes {
    if object["apiVersion"] == kind.api_version().as_str() {
        object.json()
    } else {
        Bytes::from(kind.in_version(object).to_string())
    }
}
