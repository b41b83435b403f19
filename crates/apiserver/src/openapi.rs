//! OpenAPI, as far as kubectl's validation, `explain` and apply ask for it.

use http::Response;

use crate::error::{ApiError, Result};
use crate::http::{Body, Call};

/// Documents made once and kept until the kinds change.
#[derive(Debug, Default)]
pub(crate) struct Cache {}

impl Cache {
    /// The kinds changed.
    pub(crate) fn forget(&self) {}
}

/// Answers a path below `/openapi`.
pub(crate) fn answer(_call: &Call, _rest: &[&str]) -> Result<Response<Body>> {
    Err(ApiError::no_such_path())
}
