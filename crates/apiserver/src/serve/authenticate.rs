//! Authentication of a request, and the check of its Host header.

use std::convert::Infallible;

use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;

use super::connections::ActiveRequest;
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
    if !is_loopback_host(&request) {
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

/// Returns whether the Host header names this machine. A web page that resolves its own name to loopback (DNS rebinding)
/// sends its own name.
fn is_loopback_host(request: &Request<Incoming>) -> bool {
    let header = |headers: &HeaderMap| {
        headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned)
    };
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let Some(host) = header(request.headers()).or(authority) else { return false };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(name, "127.0.0.1" | "localhost" | "::1" | "kubernetes" | "kubernetes.default.svc")
}
