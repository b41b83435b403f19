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
pub(crate) mod path;
mod query;
mod read;
mod repeated;
mod stream;
mod subresource;

use path::{Place, Target};
pub(crate) use query::Query;

/// The body of an answer: whole, or a stream.
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

/// A request whose body is still to be read.
pub(crate) struct Call {
    pub(crate) core: Arc<Core>,
    pub(crate) method: Method,
    pub(crate) query: Query,
    pub(crate) headers: http::HeaderMap,
    pub(crate) upgrade: Option<hyper::upgrade::OnUpgrade>,
    /// Path and query as sent.
    pub(crate) uri: http::Uri,
}

impl Call {
    pub(crate) fn header(&self, name: &http::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Who becomes owner of fields: as asked, else the program's name from its user agent.
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
            asked => asked.to_owned(),
        }
    }
}

/// Answers a request of anyone who was let in.
pub(crate) async fn handle<B>(core: Arc<Core>, mut request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let upgrade = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
    let (parts, body) = request.into_parts();
    let query = match Query::parse(parts.uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return answer_error(&error),
    };
    let call = Call { core, method: parts.method, query, headers: parts.headers, upgrade, uri: parts.uri };
    route(call, body).await.unwrap_or_else(|error| answer_error(&error))
}

async fn route<B>(call: Call, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let path = call.uri.path().to_owned();
    match path::parse(&call.core.kinds.now(), &path)? {
        Place::Plain => crate::discovery::answer_get(&call, &path),
        Place::Target(target) => serve(call, target, body).await,
    }
}

async fn serve<B>(call: Call, target: Target, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    if matches!(
        target.subresource.as_str(),
        "log" | "portforward" | "proxy" | "exec" | "attach" | "eviction" | "token" | "binding"
    ) {
        return subresource::serve(call, target, body).await;
    }
    match call.method {
        Method::GET => read::serve(&call, &target),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
            let bytes = body::collect(body).await?;
            change::serve(&call, &target, bytes).await
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// A whole body of JSON text.
pub(crate) fn answer_bytes(code: u16, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A whole body made from a value.
pub(crate) fn answer(code: u16, value: &Value) -> Response<Body> {
    answer_bytes(code, Bytes::from(value.to_string()))
}

/// An error as its Status object.
pub(crate) fn answer_error(error: &ApiError) -> Response<Body> {
    let mut response = answer(error.code, &error.to_status());
    if error.code == 401 {
        response.headers_mut().insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
