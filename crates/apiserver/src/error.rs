//! Refusals, in the shape clients expect: a `Status` object with a code and a reason.

use serde_json::{Value, json};

/// Why a request was refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// The machine-readable word (`NotFound`, `Conflict`, …); empty when Kubernetes gives none.
    pub reason: &'static str,
    /// The sentence a person reads.
    pub message: String,
    /// `details` of the Status object, `Null` when there are none.
    pub details: Value,
}

/// What most functions of this crate return.
pub type Result<T> = std::result::Result<T, ApiError>;

/// One thing wrong with one field of an object.
#[derive(Clone, Debug)]
pub struct Cause {
    /// `FieldValueRequired`, `FieldValueInvalid`, …
    pub reason: &'static str,
    /// What is wrong, without the field's name.
    pub message: String,
    /// The field's path, as `spec.ports[0].port`.
    pub field: String,
}

impl ApiError {
    /// An error without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 500: something here is broken, not the request.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let text = message.to_string();
        let mut error = Self::new(500, "InternalError", format!("Internal error occurred: {text}"));
        error.details = json!({"causes": [{"message": text}]});
        error
    }

    /// 404 for a path that no resource answers.
    pub fn no_such_path() -> Self {
        let mut error = Self::new(404, "NotFound", "the server could not find the requested resource");
        error.details = json!({});
        error
    }

    /// 404 for an object; `resource` is `plural` or `plural.group`.
    pub fn not_found(resource: &str, name: &str) -> Self {
        Self::named(404, "NotFound", resource, name, format!("{resource} \"{name}\" not found"))
    }

    /// 409: an object of this name is there.
    pub fn already_exists(resource: &str, name: &str) -> Self {
        Self::named(409, "AlreadyExists", resource, name, format!("{resource} \"{name}\" already exists"))
    }

    /// 409: the object changed since it was read, or a precondition does not hold.
    pub fn conflict(resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::named(409, "Conflict", resource, name, message)
    }

    /// 409 with the words of the optimistic lock.
    pub fn modified(resource: &str, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// 403: not now, not like this.
    pub fn forbidden(resource: &str, name: &str, why: &str) -> Self {
        let message = format!("{resource} \"{name}\" is forbidden: {why}");
        Self::named(403, "Forbidden", resource, name, message)
    }

    /// 405 for a verb that a resource does not have.
    pub fn method_not_allowed() -> Self {
        let mut error = Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        error.details = json!({});
        error
    }

    /// 410: the version asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 422: the object's fields do not hold. `kind` and `group` name its type.
    pub fn invalid(kind: &str, group: &str, name: &str, causes: &[Cause]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let each: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let what = match each.as_slice() {
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
            message: format!("{qualified} \"{name}\" is invalid: {what}"),
            details,
        }
    }

    fn named(code: u16, reason: &'static str, resource: &str, name: &str, message: String) -> Self {
        let (kind, group) = resource.split_once('.').unwrap_or((resource, ""));
        let mut details = json!({"name": name, "group": group, "kind": kind});
        prune_empty(&mut details);
        Self { code, reason, message, details }
    }

    /// The `Status` object of this error.
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
