//! The API over HTTP.
//!
//! ```text
//!   request ─ path ─┬─ documents                  discovery, health, version, OpenAPI
//!                   └─ resource ─┬─ get, list, watch
//!                                ├─ write, delete
//!                                └─ pod           logs, eviction, port-forward, proxy
//! ```

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};

use crate::error::{ApiError, Result};
use crate::state::ServerState;

mod accept;
mod body;
mod continue_token;
mod delete;
mod documents;
mod duplicate_fields;
mod get;
mod in_memory;
mod list;
mod path;
mod pod;
mod port_forward;
mod proxy;
mod query;
mod representation;
mod request;
pub(crate) mod response;
mod review;
mod service_proxy;
mod watch;
mod write;

use path::{ResourcePath, Route};
use request::ApiRequest;
pub use response::Body;

/// The API as a tower service.
#[derive(Clone)]
pub struct Service {
    state: Arc<ServerState>,
}

impl Service {
    pub(crate) fn new(state: Arc<ServerState>) -> Self {
        Self { state }
    }
}

impl<B> tower::Service<Request<B>> for Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let state = self.state.clone();
        Box::pin(async move {
            if !in_memory::needs_connection(&request) {
                return Ok(handle(state, request).await);
            }
            let response = in_memory::exchange(state, request).await;
            Ok(response.unwrap_or_else(|error| response::error(&error)))
        })
    }
}

/// Handles a request that is already authenticated.
pub(crate) async fn handle<B>(state: Arc<ServerState>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let (parts, body) = request.into_parts();
    let response = match ApiRequest::new(state, parts) {
        Ok(request) => route(request, body).await,
        Err(error) => Err(error),
    };
    response.unwrap_or_else(|error| response::error(&error))
}

async fn route<B>(request: ApiRequest, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    match path::parse(&request.state.kinds.current(), request.uri.path())? {
        Route::Document => documents::respond(&request),
        Route::Resource(path) if path.is_action() => pod::respond(request, path, body).await,
        Route::Resource(path) => {
            let result = respond(&request, &path, body).await;
            let deprecation = path.kind.custom.as_ref().and_then(|custom| custom.deprecation.as_ref());
            let Some(deprecation) = deprecation else { return result };
            let mut response = result.unwrap_or_else(|error| response::error(&error));
            response::add_warnings(&mut response, std::slice::from_ref(deprecation));
            Ok(response)
        }
    }
}

async fn respond<B>(request: &ApiRequest, path: &ResourcePath, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let (is_collection, is_object) = (path.name.is_empty(), path.subresource.is_empty());
    if path.kind.is_review {
        return match request.method {
            Method::POST if is_collection => review::review(request, path, &body::collect(body).await?),
            _ => Err(ApiError::method_not_allowed()),
        };
    }
    // A form that does not match is rejected before the write.
    let returns_list = is_collection && request.method == Method::DELETE;
    if request.method != Method::GET && !returns_list {
        request.form(false)?;
    }
    match request.method {
        Method::GET if path.watch || (is_collection && request.query.flag("watch")) => {
            watch::watch(request, path)
        }
        Method::GET if is_collection => list::list(request, path),
        Method::GET => get::get(request, path),
        Method::POST if is_collection && path.kind.namespaced && path.namespace.is_empty() => {
            Err(ApiError::method_not_allowed())
        }
        Method::POST if is_collection => write::create(request, path, &body::collect(body).await?).await,
        Method::PUT if !is_collection => write::update(request, path, &body::collect(body).await?).await,
        Method::PATCH if !is_collection => write::patch(request, path, &body::collect(body).await?).await,
        Method::DELETE if is_collection => {
            delete::delete_collection(request, path, &body::collect(body).await?).await
        }
        Method::DELETE if is_object => delete::delete(request, path, &body::collect(body).await?).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}
