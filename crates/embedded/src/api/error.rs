//! Why the API server rejected a request.

/// A failed request to the API server.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("object not found")]
    NotFound,
    #[error("object already exists")]
    AlreadyExists,
    /// The object has another resource version or uid than expected.
    #[error("object was changed by another client")]
    Conflict,
    #[error(transparent)]
    Rejected(meshy_apiserver::ApiError),
    /// A stored object does not have the shape of its kind.
    #[error("cannot read {kind} `{name}`: {reason}")]
    Malformed { kind: &'static str, name: String, reason: String },
}

impl From<meshy_apiserver::ApiError> for ApiError {
    fn from(error: meshy_apiserver::ApiError) -> Self {
        match (error.code, error.reason) {
            (404, _) => Self::NotFound,
            (409, "AlreadyExists") => Self::AlreadyExists,
            (409, _) => Self::Conflict,
            _ => Self::Rejected(error),
        }
    }
}
