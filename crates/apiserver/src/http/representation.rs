//! The representations of objects: JSON or a table.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use super::request::ApiRequest;
use super::response::{self, Body};
use crate::kinds::Kind;
use crate::store::Object;
use crate::table::table;

/// Returns a response with an object, as a table if the client prefers one.
pub(super) fn object(request: &ApiRequest, kind: &Kind, code: u16, object: &Arc<Object>) -> Response<Body> {
    match request.table_options() {
        Some(options) => response::json(code, &table(kind, std::slice::from_ref(object), &options)),
        None => response::json_text(code, json_in_version(kind, object)),
    }
}

/// Returns the JSON text of an object in the version of a kind.
pub(super) fn json_in_version(kind: &Kind, object: &Object) -> Bytes {
    if object["apiVersion"] == kind.api_version().as_str() {
        object.json()
    } else {
        Bytes::from(kind.in_version(object).to_string())
    }
}
