//! Requests with an upgrade that do not come over a connection: those of a client in this process.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{client, server};
use hyper_util::rt::TokioIo;

use super::response::Body;
use crate::error::{ApiError, Result};
use crate::state::ServerState;

/// The most bytes that one side sends before the other has read them.
const BUFFER_SIZE: usize = 64 * 1024;

/// Whether a request has to come over a connection and does not: without one there is nothing to upgrade.
pub(super) fn needs_connection<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(UPGRADE) && request.extensions().get::<OnUpgrade>().is_none()
}

/// Sends a request over a connection in memory, which client and server can upgrade. It ends with its last user.
///
/// # Errors
/// 500 if the connection ends before the response.
pub(super) async fn exchange<B>(state: Arc<ServerState>, request: Request<B>) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let (near, far) = tokio::io::duplex(BUFFER_SIZE);
    let service = service_fn(move |request: Request<Incoming>| {
        let state = state.clone();
        async move { Ok::<_, std::convert::Infallible>(super::handle(state, request).await) }
    });
    let served = server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service);
    tokio::spawn(async move {
        if let Err(error) = served.with_upgrades().await {
            tracing::debug!(%error, "connection in memory ended");
        }
    });
    let handshake = client::conn::http1::handshake(TokioIo::new(near)).await;
    let (mut sender, connection) = handshake.map_err(ApiError::internal)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection in memory ended");
        }
    });
    let request =
        request.map(|body| body.map_err(|error| io::Error::other(error.to_string())).boxed_unsync());
    let response = sender.send_request(request).await.map_err(ApiError::internal)?;
    Ok(response.map(|body| body.map_err(io::Error::other).boxed_unsync()))
}
