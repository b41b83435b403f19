//! Headers that identify a request and its attempts.

use http::header::HeaderName;

/// The request header that identifies one request across all its attempts; the response repeats it.
pub const REQUEST_ID: &str = "meshy-request-id";

/// The response header with the number of the attempt, counted from 1 by the service that responds.
pub const ATTEMPT: &str = "meshy-attempt";

/// The request header with the name of the service that sent the request.
pub const CALLER: &str = "meshy-caller";

pub(crate) const REQUEST_ID_NAME: HeaderName = HeaderName::from_static(REQUEST_ID);
pub(crate) const ATTEMPT_NAME: HeaderName = HeaderName::from_static(ATTEMPT);
pub(crate) const CALLER_NAME: HeaderName = HeaderName::from_static(CALLER);
