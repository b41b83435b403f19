//! What goes wrong inside the proxy, and the answers made up for it.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use h2::Reason;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Response, StatusCode, Version};

use crate::body::{Answer, ResponseBody};

/// An error whose kind is known at run time.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

pub(crate) static PROXY_ERROR: HeaderName = HeaderName::from_static("l5d-proxy-error");
pub(crate) static PROXY_CONNECTION: HeaderName = HeaderName::from_static("l5d-proxy-connection");

/// Why the proxy has no answer to pass on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// No endpoint became available in time.
    #[error("service in fail-fast")]
    FailFast,
    /// Too many requests wait for an endpoint.
    #[error("service is overloaded")]
    LoadShed,
    /// A profile route's timeout.
    #[error("HTTP response timeout after {0:?}")]
    RouteTimeout(Duration),
    /// A policy's timeout.
    #[error("HTTP {} timeout", .0.words())]
    StreamTimeout(StreamTimeout),
    /// The connection could not be opened or broke.
    #[error("connect or use the connection: {0}")]
    Io(#[from] io::Error),
    /// The connection was not open in time.
    #[error("connect timed out after {0:?}")]
    ConnectTimeout(Duration),
    /// No HTTPRoute takes the request.
    #[error("no route found for request")]
    NoRoute,
    /// A rule's filter redirects.
    #[error("redirected")]
    Redirect(StatusCode, HeaderValue),
    /// A route names a backend that does not exist.
    #[error("no such backend: {0}")]
    NoBackend(String),
    /// The override header is no host and port.
    #[error("invalid l5d-dst-override")]
    BadOverride,
    /// The override header names what nobody knows.
    #[error("cannot discover {0}")]
    Unknown(String),
    /// The peer spoke no proper HTTP.
    #[error("upstream: {0}")]
    Http(#[from] hyper::Error),
    /// The caller's request broke off.
    #[error("read the request: {0}")]
    Caller(BoxError),
}

/// Which of a policy's timeouts ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamTimeout {
    Request,
    ResponseHeaders,
    Response,
    Idle,
}

impl StreamTimeout {
    fn words(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::ResponseHeaders => "response headers",
            Self::Response => "response",
            Self::Idle => "idle",
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Request => "REQUEST_TIMEOUT",
            Self::ResponseHeaders => "RESPONSE_HEADERS_TIMEOUT",
            Self::Response => "RESPONSE_STREAM_TIMEOUT",
            Self::Idle => "IDLE_TIMEOUT",
        }
    }
}

impl StdError for StreamTimeout {}
impl std::fmt::Display for StreamTimeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} timeout", self.words())
    }
}

impl ProxyError {
    /// The label `error` of the older metrics when this stands for an answer.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::RouteTimeout(_) => "timeout",
            Self::Http(error) => reset(error).map_or("unclassified", reset_class),
            _ => "unclassified",
        }
    }

    /// The label `error` of the newer metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::FailFast => "FAIL_FAST",
            Self::LoadShed => "LOAD_SHED",
            Self::StreamTimeout(timeout) => timeout.label(),
            Self::Io(_) | Self::ConnectTimeout(_) | Self::Caller(_) => "IO",
            Self::Http(error) => label(error),
            _ => "UNKNOWN",
        }
    }

    /// Whether the peer said that it did not look at the request, so that it can be sent again safely.
    pub(crate) fn refused(&self) -> bool {
        matches!(self, Self::Http(error) if reset(error) == Some(Reason::REFUSED_STREAM))
    }

    /// Whether the endpoint's stack answers for it, below the retries: 502 for a broken connection, 504 for one that
    /// was not there in time.
    pub(crate) fn rescued_at_endpoint(&self) -> bool {
        matches!(self, Self::Io(_) | Self::ConnectTimeout(_) | Self::Caller(_))
            || matches!(self, Self::Http(error) if io_cause(error))
    }

    /// Status, gRPC status, and whether the caller's connection is closed.
    fn mapped(&self) -> (StatusCode, u8, bool) {
        const DEADLINE_EXCEEDED: u8 = 4;
        const NOT_FOUND: u8 = 5;
        const INTERNAL: u8 = 13;
        const UNAVAILABLE: u8 = 14;
        match self {
            Self::FailFast | Self::RouteTimeout(_) | Self::ConnectTimeout(_) => {
                (StatusCode::GATEWAY_TIMEOUT, DEADLINE_EXCEEDED, true)
            }
            Self::StreamTimeout(_) => (StatusCode::GATEWAY_TIMEOUT, DEADLINE_EXCEEDED, false),
            Self::LoadShed => (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, true),
            Self::Io(_) | Self::Caller(_) | Self::Unknown(_) => (StatusCode::BAD_GATEWAY, UNAVAILABLE, true),
            Self::Http(error) if io_cause(error) => (StatusCode::BAD_GATEWAY, UNAVAILABLE, true),
            Self::NoRoute => (StatusCode::NOT_FOUND, NOT_FOUND, false),
            Self::Redirect(status, _) => (*status, NOT_FOUND, false),
            Self::BadOverride => (StatusCode::BAD_REQUEST, INTERNAL, true),
            Self::NoBackend(_) | Self::Http(_) => (StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, true),
        }
    }

    /// The answer to a caller of this version; with `headers` it says why.
    pub(crate) fn respond(&self, version: Version, grpc: bool, headers: bool) -> Answer {
        let (status, code, close) = self.mapped();
        let mut response = Box::new(Response::new(ResponseBody::empty()));
        let map = response.headers_mut();
        map.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let unexpected = status == StatusCode::INTERNAL_SERVER_ERROR;
        let message = if unexpected { "unexpected error".into() } else { self.to_string() };
        let message = HeaderValue::try_from(message).unwrap_or(HeaderValue::from_static("unexpected error"));
        if headers {
            map.insert(PROXY_ERROR.clone(), message.clone());
            if close {
                map.insert(PROXY_CONNECTION.clone(), HeaderValue::from_static("close"));
            }
        }
        if grpc {
            map.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            map.insert("grpc-status", HeaderValue::from(u16::from(code)));
            if headers {
                map.insert("grpc-message", message);
            }
            return response;
        }
        if close && version == Version::HTTP_11 {
            map.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Self::Redirect(_, location) = self {
            map.insert(LOCATION, location.clone());
        }
        *response.status_mut() = status;
        response
    }
}

/// An error and what stands behind it.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
}

/// Whether an I/O error stands behind hyper's.
fn io_cause(error: &hyper::Error) -> bool {
    chain(error).any(|error| error.is::<io::Error>())
}

/// The reason of an HTTP/2 reset.
fn reset(error: &(dyn StdError + 'static)) -> Option<Reason> {
    chain(error).find_map(|error| error.downcast_ref::<h2::Error>()).and_then(h2::Error::reason)
}

/// A reset in the words of the older metrics.
fn reset_class(reason: Reason) -> &'static str {
    match reason {
        Reason::NO_ERROR => "h2(NO_ERROR)",
        Reason::PROTOCOL_ERROR => "h2(PROTOCOL_ERROR)",
        Reason::INTERNAL_ERROR => "h2(INTERNAL_ERROR)",
        Reason::FLOW_CONTROL_ERROR => "h2(FLOW_CONTROL_ERROR)",
        Reason::SETTINGS_TIMEOUT => "h2(SETTINGS_TIMEOUT)",
        Reason::STREAM_CLOSED => "h2(STREAM_CLOSED)",
        Reason::FRAME_SIZE_ERROR => "h2(FRAME_SIZE_ERROR)",
        Reason::REFUSED_STREAM => "h2(REFUSED_STREAM)",
        Reason::CANCEL => "h2(CANCEL)",
        Reason::COMPRESSION_ERROR => "h2(COMPRESSION_ERROR)",
        Reason::CONNECT_ERROR => "h2(CONNECT_ERROR)",
        Reason::ENHANCE_YOUR_CALM => "h2(ENHANCE_YOUR_CALM)",
        Reason::INADEQUATE_SECURITY => "h2(INADEQUATE_SECURITY)",
        Reason::HTTP_1_1_REQUIRED => "h2(HTTP_1_1_REQUIRED)",
        // A peer can make up numbers; they do not become series.
        _ => "unclassified",
    }
}

/// A broken stream in the words of the newer metrics.
fn label(error: &(dyn StdError + 'static)) -> &'static str {
    let Some(error) = chain(error).find_map(|error| error.downcast_ref::<h2::Error>()) else {
        return if chain(error).any(|error| error.is::<io::Error>()) { "IO" } else { "UNKNOWN" };
    };
    match error.reason() {
        _ if error.is_go_away() => "GO_AWAY",
        Some(Reason::CANCEL) => "CANCEL",
        Some(Reason::REFUSED_STREAM) => "REFUSED",
        Some(Reason::ENHANCE_YOUR_CALM) => "ENHANCE_YOUR_CALM",
        Some(_) => "RESET",
        None => "UNKNOWN",
    }
}

/// What an answer whose body broke is called by the older and by the newer metrics.
pub(crate) fn stream_words(error: &BoxError) -> (&'static str, &'static str) {
    match error.downcast_ref::<StreamTimeout>() {
        Some(timeout) => ("timeout", timeout.label()),
        None => (reset(&**error).map_or("unclassified", reset_class), label(&**error)),
    }
}
