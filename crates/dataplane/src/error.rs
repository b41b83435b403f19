//! What fails inside the proxy, and the names of these errors in the metrics.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use h2::Reason;
use http::{HeaderValue, StatusCode};

/// An error whose type is known at run time.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why the proxy has no response to pass on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// No endpoint became available in time.
    #[error("service in fail-fast")]
    FailFast,
    /// The service is in fail-fast: no request waits until an endpoint is available again.
    #[error("service unavailable")]
    LoadShed,
    /// The timeout of a profile's route.
    #[error("HTTP response timeout after {0:?}")]
    RouteTimeout(Duration),
    /// A timeout of a policy.
    #[error("timed out waiting for response headers: {0}: {1:?}")]
    StreamTimeout(StreamTimeout, Duration),
    /// The connection could not be opened, or it broke.
    #[error("connect or use the connection: {0}")]
    Io(#[from] io::Error),
    /// The connection was not open in time.
    #[error("connect timed out after {0:?}")]
    ConnectTimeout(Duration),
    /// No HTTPRoute matches the request.
    #[error("no route")]
    NoRoute,
    /// A rule's filter redirects.
    #[error("redirected")]
    Redirect(StatusCode, HeaderValue),
    /// A route names a backend that does not exist.
    #[error("Service not found {0}")]
    NoBackend(String),
    /// The egress policy denies the destination.
    #[error("traffic not allowed")]
    NotAllowed,
    /// No authorization covers the caller.
    #[error("no authorization covers the caller")]
    Unauthorized,
    /// The caller's requests are over a limit.
    #[error("over the rate limit")]
    RateLimited,
    /// `l5d-dst-override` is not a host with an optional port.
    #[error("invalid l5d-dst-override")]
    InvalidOverride,
    /// `l5d-dst-override` or a profile's override names an unknown service.
    #[error("cannot discover {0}")]
    UnknownService(String),
    /// The upstream did not send a valid response.
    #[error("upstream: {0}")]
    Http(#[from] hyper::Error),
    /// The caller's request body broke.
    #[error("read the request: {0}")]
    RequestBody(BoxError),
}

/// Which of a policy's timeouts expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamTimeout {
    Request,
    ResponseHeaders,
    Response,
    Idle,
}

impl StreamTimeout {
    /// Returns the label `error` of the `outbound_*` families.
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
        f.write_str(match self {
            Self::Request => "request timeout",
            Self::ResponseHeaders => "response headers timeout",
            Self::Response => "response stream timeout",
            Self::Idle => "idle timeout",
        })
    }
}

impl ProxyError {
    /// Returns the label `error` of the `response_total` families, where the error takes the place of a response.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::RouteTimeout(_) => "timeout",
            Self::Http(error) => reset_reason(error).map_or("unclassified", reset_class),
            _ => "unclassified",
        }
    }

    /// Returns the label `error` of the `outbound_*` families.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::FailFast => "FAIL_FAST",
            Self::LoadShed => "LOAD_SHED",
            Self::StreamTimeout(timeout, _) => timeout.label(),
            Self::Io(_) | Self::ConnectTimeout(_) | Self::RequestBody(_) => "IO",
            Self::Http(error) => stream_label(error),
            _ => "UNKNOWN",
        }
    }

    /// Returns the label `error` of the `outbound_http_errors_total` and `inbound_http_errors_total` families.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::FailFast => "failfast",
            Self::LoadShed => "loadshed",
            Self::RouteTimeout(_) => "response timeout",
            Self::Io(_) | Self::RequestBody(_) => "i/o",
            Self::ConnectTimeout(_) => "connect timeout",
            _ => "unexpected",
        }
    }

    /// Whether the peer did not process the request (HTTP/2 `REFUSED_STREAM`), so that it can be sent again safely.
    pub(crate) fn is_refused_stream(&self) -> bool {
        matches!(self, Self::Http(error) if reset_reason(error) == Some(Reason::REFUSED_STREAM))
    }

    /// Whether the endpoint synthesizes a response for this error, below the retries: 502 for a broken connection, 504 for
    /// a connection that did not open in time.
    pub(crate) fn is_rescued_at_endpoint(&self) -> bool {
        matches!(self, Self::Io(_) | Self::ConnectTimeout(_) | Self::RequestBody(_)) || self.has_io_cause()
    }

    /// Whether an I/O error caused hyper's error.
    pub(crate) fn has_io_cause(&self) -> bool {
        matches!(self, Self::Http(error) if chain(error).any(|cause| cause.is::<io::Error>()))
    }
}

/// Iterates over an error and its causes.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn h2_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a h2::Error> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

fn reset_reason(error: &(dyn StdError + 'static)) -> Option<Reason> {
    h2_error(error)?.reason()
}

/// A reset's name in the `response_total` families.
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
        // A peer can invent reasons; they do not become series.
        _ => "unclassified",
    }
}

/// A broken stream's name in the `outbound_*` families.
fn stream_label(error: &(dyn StdError + 'static)) -> &'static str {
    let Some(error) = h2_error(error) else {
        return if chain(error).any(|cause| cause.is::<io::Error>()) { "IO" } else { "UNKNOWN" };
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

/// Returns the names of an error that broke a response body: in the `response_total` and in the `outbound_*` families.
pub(crate) fn body_error_names(error: &BoxError) -> (&'static str, &'static str) {
    match error.downcast_ref::<StreamTimeout>() {
        Some(timeout) => ("timeout", timeout.label()),
        None => (reset_reason(&**error).map_or("unclassified", reset_class), stream_label(&**error)),
    }
}
