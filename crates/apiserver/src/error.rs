//! API errors, sent to clients as a `Status` object with code and reason.

use serde_json::{Value, json};

mod causes;

pub(crate) use causes::Causes;

/// An error of the API.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason (`NotFound`, `Conflict`, …); empty where Kubernetes sets none.
    pub reason: &'static str,
    /// Message for people.
    pub message: String,
    /// `details` of the Status object, or null.
    pub details: Value,
}

/// Result with an [`ApiError`].
pub type Result<T> = std::result::Result<T, ApiError>;

/// One invalid field of an object.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Machine-readable reason: `FieldValueRequired`, `FieldValueInvalid`, …
    pub reason: &'static str,
    /// Message without the name of the field.
    pub message: String,
    /// Path of the field, for example `spec.ports[0].port`.
    pub field: String,
}

impl ApiError {
    /// Returns an error without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    /// Returns error 400: malformed request.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// Returns error 500: failure in the server.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let text = message.to_string();
        let mut error = Self::new(500, "InternalError", format!("Internal error occurred: {text}"));
        error.details = json!({"causes": [{"message": text}]});
        error
    }

    /// Returns error 404 for a path that is not served.
    pub(crate) fn no_such_path() -> Self {
        let mut error = Self::new(404, "NotFound", "the server could not find the requested resource");
        error.details = json!({});
        error
    }

    /// Returns error 404 for an object; `resource` is `plural` or `plural.group`.
    pub fn not_found(resource: &str, name: &str) -> Self {
        Self::named(404, "NotFound", resource, name, format!("{resource} \"{name}\" not found"))
    }

    /// Returns error 409: an object with this name exists.
    pub(crate) fn already_exists(resource: &str, name: &str) -> Self {
        Self::named(409, "AlreadyExists", resource, name, format!("{resource} \"{name}\" already exists"))
    }

    /// Returns error 409: the object changed since it was read, or a precondition failed.
    pub fn conflict(resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::named(409, "Conflict", resource, name, message)
    }

    /// Returns error 409: the resource version of the request is not the current one.
    pub(crate) fn modified(resource: &str, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// Returns error 403: the request is valid but not permitted.
    pub fn forbidden(resource: &str, name: &str, why: &str) -> Self {
        let message = format!("{resource} \"{name}\" is forbidden: {why}");
        Self::named(403, "Forbidden", resource, name, message)
    }

    /// Returns error 405 for a verb that the resource does not support.
    pub(crate) fn method_not_allowed() -> Self {
        let mut error = Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        error.details = json!({});
        error
    }

    /// Returns error 410: the requested resource version is not available any more.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// Returns error 410: the continue token of a list is too old.
    pub(crate) fn continue_expired() -> Self {
        Self::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter, or use the continue token in this response to retrieve the remainder of \
             the results. Continuing with the provided token results in an inconsistent list - objects that were \
             created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        )
    }

    /// Returns error 504: the requested resource version is in the future.
    pub(crate) fn resource_version_too_large(requested: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {requested}, current: {current}");
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        Self {
            details: json!({"causes": [cause], "retryAfterSeconds": 1}),
            ..Self::new(504, "Timeout", message)
        }
    }

    /// Returns error 422: the object has invalid fields. `kind` and `group` are those of the object.
    pub fn invalid(kind: &str, group: &str, name: &str, causes: &[Cause]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let messages: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let message = match messages.as_slice() {
            [] => "<nil>".to_owned(),
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let causes: Vec<Value> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        let mut details = json!({"name": name, "group": group, "kind": kind, "causes": causes});
        prune_empty(&mut details);
        Self {
            code: 422,
            reason: "Invalid",
            message: format!("{qualified} \"{name}\" is invalid: {message}"),
            details,
        }
    }

    fn named(code: u16, reason: &'static str, resource: &str, name: &str, message: String) -> Self {
        let (kind, group) = resource.split_once('.').unwrap_or((resource, ""));
        let mut details = json!({"name": name, "group": group, "kind": kind});
        prune_empty(&mut details);
        Self { code, reason, message, details }
    }

    /// Returns the `Status` object of this error.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}

fn prune_empty(details: &mut Value) {
    if let Some(map) = details.as_object_mut() {
        map.retain(|_, value| {
            value.as_str() != Some("") && value.as_array().is_none_or(|list| !list.is_empty())
        });
    }
}
