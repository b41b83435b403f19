//! Authentication of a request, and the check of its Host header.

use std::convert::Infallible;

use http::{Request, Response, header};
use hyper::body::Incoming;

use super::connections::ActiveRequest;
use super::host;
use crate::error::ApiError;
use crate::http::{Body, handle, response};
use crate::server::Server;

/// Handles a request of an authenticated client, or responds with 401 or 403.
pub(super) async fn authenticate(
    server: Server,
    request: Request<Incoming>,
    has_certificate: bool,
    active: ActiveRequest,
) -> std::result::Result<Response<Body>, Infallible> {
    if !host::is_local(request.uri(), request.headers()) {
        let message = "the Host header does not name this machine's loopback address";
        return Ok(response::error(&ApiError::new(403, "Forbidden", message)));
    }
    let is_public = matches!(request.uri().path(), "/healthz" | "/livez" | "/readyz" | "/version");
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if has_certificate || server.token().matches(authorization) {
        active.set_authenticated();
    } else if !is_public {
        return Ok(response::error(&ApiError::new(401, "Unauthorized", "Unauthorized")));
    }
    Ok(handle(server.state.clone(), request).await)
}
