//! The response to each request.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::Incoming;

use super::guard::{Guard, Refused};
use super::stream;
use crate::control::{Command, Controls};
use crate::hub::Hub;
use crate::report::Reporter;
use crate::{assets, save};

/// What the server serves.
pub(super) struct Site {
    pub(super) guard: Guard,
    pub(super) hub: Arc<Hub>,
    pub(super) controls: Option<Arc<dyn Controls>>,
    pub(super) reporter: Reporter,
    /// The page of a recorded run.
    pub(super) recorded: Option<Bytes>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The largest command.
const LARGEST: usize = 16 * 1024;

/// Scripts and styles come from this server, and nothing else is loaded or reached.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A recorded run goes on in each viewer by itself, and its file has no notes.
const NO_SPEAKER: &str = "a recorded run has no speaker's page\n\n\
                          hint: `meshy dashboard` without --replay has one while a scenario runs; `meshy run NAME --dry-run` prints its notes\n";

pub(super) async fn respond(site: &Site, request: Request<Incoming>) -> Response<Body> {
    let mut response = route(site, request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn route(site: &Site, request: Request<Incoming>) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let is_read = method == Method::GET || method == Method::HEAD;
    if let Err(refused) = site.guard.place(&method, request.headers()) {
        return refuse(refused);
    }
    if is_read && assets::is_page(&path) && site.guard.has_token(request.uri().query()) {
        return enter(site, &path);
    }
    if let Err(refused) = site.guard.check(&method, request.headers()) {
        return refuse(refused);
    }
    match (is_read, path.as_str()) {
        (true, "/events") => {
            let mut response =
                Response::new(StreamBody::new(stream::events(site.hub.clone())).boxed_unsync());
            content_type(&mut response, "text/event-stream");
            response
        }
        (true, "/save") => {
            let mut response =
                text(StatusCode::OK, "text/html; charset=utf-8", save::page(&site.hub, site.reporter));
            let name = HeaderValue::from_static("attachment; filename=\"meshy-run.html\"");
            response.headers_mut().insert(CONTENT_DISPOSITION, name);
            response
        }
        (true, "/speaker") if site.controls.is_none() => plain(StatusCode::NOT_FOUND, NO_SPEAKER),
        (true, path) => match assets::find(path) {
            Some(asset) if path == "/" => {
                let page = site.recorded.clone().unwrap_or(Bytes::from_static(asset.content.as_bytes()));
                text(StatusCode::OK, asset.media_type, page)
            }
            Some(asset) => text(StatusCode::OK, asset.media_type, asset.content),
            None => plain(StatusCode::NOT_FOUND, "not found"),
        },
        (false, "/do") if method == Method::POST => act(site, request).await,
        _ => plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
    }
}

/// Exchanges the token for the cookie, so that it does not stay in the address.
fn enter(site: &Site, path: &str) -> Response<Body> {
    let mut response = plain(StatusCode::SEE_OTHER, "");
    let place = if path == "/speaker" { "/speaker" } else { "/" };
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(place));
    response.headers_mut().insert(SET_COOKIE, site.guard.set_cookie());
    response
}

async fn act(site: &Site, request: Request<Incoming>) -> Response<Body> {
    let json = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !json {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected application/json");
    }
    let Some(controls) = &site.controls else {
        return plain(StatusCode::CONFLICT, "this page only shows");
    };
    let Ok(body) = Limited::new(request.into_body(), LARGEST).collect().await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "the command is too large");
    };
    let command: Command = match serde_json::from_slice(&body.to_bytes()) {
        Ok(command) => command,
        Err(error) => return plain(StatusCode::BAD_REQUEST, format!("invalid command: {error}")),
    };
    match controls.act(command).await {
        Ok(()) => plain(StatusCode::NO_CONTENT, ""),
        Err(error) => plain(StatusCode::CONFLICT, error.to_string()),
    }
}

fn refuse(refused: Refused) -> Response<Body> {
    let reason = match refused {
        Refused::Host => "the Host header does not name this server\n",
        Refused::Origin => "the request comes from another origin\n",
        Refused::Token => "open the address that `meshy dashboard` printed: it has the token\n",
    };
    plain(StatusCode::FORBIDDEN, reason)
}

fn plain(status: StatusCode, reason: impl Into<Bytes>) -> Response<Body> {
    text(status, "text/plain; charset=utf-8", reason)
}

fn text(status: StatusCode, kind: &'static str, content: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(content.into()).boxed_unsync());
    *response.status_mut() = status;
    content_type(&mut response, kind);
    response
}

fn content_type(response: &mut Response<Body>, kind: &'static str) {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
}
