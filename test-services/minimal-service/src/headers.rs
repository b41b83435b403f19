//! Headers that identify a request and its attempts.

use http::header::HeaderName;

/// The request header that identifies one request across all its attempts; the response repeats it.
pub const REQUEST_ID: &str = "meshy-request-id";

/// The response header with the number of the attempt, counted from 1 by the service that responds.
pub const ATTEMPT: &str = "meshy-attempt";

pub(crate) const REQUEST_ID_NAME: HeaderName = HeaderName::from_static(REQUEST_ID);
pub(crate) const ATTEMPT_NAME: HeaderName = HeaderName::from_static(ATTEMPT);
