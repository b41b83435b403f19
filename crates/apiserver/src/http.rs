//! The API over HTTP.
//!
//! ```text
//!   request ─ path ─┬─ /version, /readyz, /api, /apis, /openapi      discovery, openapi
//!                   └─ a resource ─┬─ read    get, list, watch
//!                                  ├─ change  create, update, patch, delete
//!                                  └─ pods    log, portforward, proxy
//! ```

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::core::Core;
use crate::error::{ApiError, Result};

pub(crate) mod body;
mod change;
mod duplicate_fields;
pub(crate) mod path;
mod query;
mod read;
mod stream;
mod subresource;

use path::{ResourcePath, Route};
pub(crate) use query::Query;

/// The body of a response, complete or streamed.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// The API as a tower service.
#[derive(Clone)]
pub struct Service {
    core: Arc<Core>,
}

impl Service {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
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
        let core = self.core.clone();
        Box::pin(async move { Ok(handle(core, request).await) })
    }
}

/// A request without its body.
pub(crate) struct ApiRequest {
    pub(crate) core: Arc<Core>,
    pub(crate) method: Method,
    pub(crate) query: Query,
    pub(crate) headers: http::HeaderMap,
    pub(crate) upgrade: Option<hyper::upgrade::OnUpgrade>,
    /// Path and query as sent.
    pub(crate) uri: http::Uri,
}

impl ApiRequest {
    pub(crate) fn header(&self, name: &http::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the field manager: the query parameter `fieldManager`, else the program name in the user agent.
    pub(crate) fn manager(&self) -> String {
        match self.query.get("fieldManager") {
            "" => self
                .header(&http::header::USER_AGENT)
                .split('/')
                .next()
                .unwrap_or_default()
                .chars()
                .take(128)
                .collect(),
            manager => manager.to_owned(),
        }
    }
}

/// Handles a request that is already authenticated.
pub(crate) async fn handle<B>(core: Arc<Core>, mut request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let upgrade = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
    let (parts, body) = request.into_parts();
    let query = match Query::parse(parts.uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return error_response(&error),
    };
    let request =
        ApiRequest { core, method: parts.method, query, headers: parts.headers, upgrade, uri: parts.uri };
    route(request, body).await.unwrap_or_else(|error| error_response(&error))
}

async fn route<B>(request: ApiRequest, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let path = request.uri.path().to_owned();
    match path::parse(&request.core.kinds.current(), &path)? {
        Route::Document => crate::discovery::respond_to_get(&request, &path),
        Route::Resource(path) => serve(request, path, body).await,
    }
}

async fn serve<B>(request: ApiRequest, path: ResourcePath, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    if matches!(
        path.subresource.as_str(),
        "log" | "portforward" | "proxy" | "exec" | "attach" | "eviction" | "token" | "binding"
    ) {
        return subresource::serve(request, path, body).await;
    }
    match request.method {
        Method::GET => read::serve(&request, &path),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
            let bytes = body::collect(body).await?;
            change::serve(&request, &path, bytes).await
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Returns a response with a body of JSON text.
pub(crate) fn json_text_response(code: u16, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns a response with a JSON body.
pub(crate) fn json_response(code: u16, value: &Value) -> Response<Body> {
    json_text_response(code, Bytes::from(value.to_string()))
}

/// Returns the response for an error: its Status object.
pub(crate) fn error_response(error: &ApiError) -> Response<Body> {
    let mut response = json_response(error.code, &error.to_status());
    if error.code == 401 {
        response.headers_mut().insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
