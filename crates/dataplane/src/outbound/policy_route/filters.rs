//! Applies filters to requests and responses.

use http::{HeaderMap, Request};

use crate::error::ProxyError;
use crate::policy::Filter;

/// Changes a request's headers, or returns the redirect that takes the place of a response. `host` is the request's,
/// `prefix` the path prefix that its rule matched.
pub(super) fn apply_request<B>(
    filters: &[Filter],
    request: &mut Request<B>,
    host: impl Fn(&Request<B>) -> Option<&str>,
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
pub(super) fn apply_response<'a>(filters: impl IntoIterator<Item = &'a Filter>, headers: &mut HeaderMap) {
    for filter in filters {
        if let Filter::ResponseHeaders(change) = filter {
            change.apply(headers);
        }
    }
}
