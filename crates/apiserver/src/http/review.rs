//! Reviews: requests about the client itself. They are not stored.
//!
//! Every authenticated client is administrator, so each access is allowed.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::body;
use super::path::ResourcePath;
use super::request::ApiRequest;
use super::response::{self, Body};
use crate::clock::now;
use crate::error::{ApiError, Cause, Result};
use crate::kinds::Kind;
use crate::schema::decode::Decoder;

/// Responds to a review.
///
/// # Errors
/// 400 for an object of a wrong type, 422 for an access review without exactly one access.
pub(super) fn review(request: &ApiRequest, path: &ResourcePath, bytes: &Bytes) -> Result<Response<Body>> {
    let kind = &path.kind;
    let value = body::object(&request.headers, bytes, &kind.kind, Some(&kind.ty))?;
    let is = |field: &str, expected: &str| value[field].as_str().is_none_or(|found| found == expected);
    if !value.is_object() || !is("kind", &kind.kind) || !is("apiVersion", &kind.api_version()) {
        let (group_version, name) = (kind.api_version(), &kind.kind);
        let message =
            format!("the object provided is unrecognized (must be of type {name} in {group_version})");
        return Err(ApiError::bad_request(message));
    }
    let mut value = Decoder::default()
        .object(&kind.ty, value)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    value["kind"] = kind.kind.clone().into();
    value["apiVersion"] = kind.api_version().into();
    value["status"] = status(kind, &mut value)?;
    Ok(response::json(201, &value))
}

fn status(kind: &Kind, value: &mut Value) -> Result<Value> {
    match kind.kind.as_str() {
        "SelfSubjectAccessReview" => {
            let spec = &value["spec"];
            if spec["resourceAttributes"].is_object() == spec["nonResourceAttributes"].is_object() {
                let message = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be \
                               specified";
                let field = "spec.resourceAttributes".to_owned();
                let cause = Cause { reason: "FieldValueInvalid", message: message.to_owned(), field };
                return Err(ApiError::invalid(&kind.kind, &kind.group, "", &[cause]));
            }
            Ok(json!({"allowed": true, "reason": "every client of the embedded cluster is administrator"}))
        }
        "SelfSubjectRulesReview" => Ok(json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        })),
        _ => {
            value["metadata"]["creationTimestamp"] = now().into();
            let groups = ["system:masters", "system:authenticated"];
            Ok(json!({"userInfo": {"username": "admin", "groups": groups}}))
        }
    }
}
