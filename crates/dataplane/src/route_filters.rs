//! Applies the filters of routes to requests and responses.

use http::{HeaderMap, Request};

use crate::error::ProxyError;
use crate::headers::host;
use crate::policy::Filter;

/// Changes a request's headers, or returns the redirect that takes the place of a response. `prefix` is the path prefix
/// that the request's rule matched.
pub(crate) fn apply_request<B>(
    filters: &[Filter],
    request: &mut Request<B>,
    prefix: Option<&str>,
) -> Result<(), ProxyError> {
    for filter in filters {
        match filter {
            Filter::RequestHeaders(change) => change.apply(request.headers_mut()),
            Filter::ResponseHeaders(_) => {}
            Filter::Redirect(to) => {
                let location =
                    to.location(request.uri(), host(request), prefix).ok_or(ProxyError::NoRoute)?;
                return Err(ProxyError::Redirect(to.status(), location));
            }
        }
    }
    Ok(())
}

/// Changes a response's headers.
pub(crate) fn apply_response<'a>(filters: impl IntoIterator<Item = &'a Filter>, headers: &mut HeaderMap) {
    for filter in filters {
        if let Filter::ResponseHeaders(change) = filter {
            change.apply(headers);
        }
    }
}
