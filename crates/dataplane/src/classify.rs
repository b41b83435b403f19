//! Success or failure: by a route's classes, else by `grpc-status`, else by the status.

use http::{HeaderMap, StatusCode};

use crate::profile::Route;

/// What an answer counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Decided by the status; whether it is a failure.
    Http { failure: bool },
    /// Decided by a gRPC status.
    Grpc { code: u8, failure: bool },
    /// The stream broke: `timeout`, an HTTP/2 reason or `unclassified`.
    Error(&'static str),
}

impl Class {
    pub(crate) fn is_failure(self) -> bool {
        match self {
            Self::Http { failure } | Self::Grpc { failure, .. } => failure,
            Self::Error(_) => true,
        }
    }

    pub(crate) fn grpc_status(self) -> Option<u8> {
        match self {
            Self::Grpc { code, .. } => Some(code),
            _ => None,
        }
    }

    pub(crate) fn error(self) -> &'static str {
        match self {
            Self::Error(error) => error,
            _ => "",
        }
    }
}

/// The gRPC statuses that are failures.
fn grpc_failure(code: u8) -> bool {
    const UNKNOWN: u8 = 2;
    const DEADLINE_EXCEEDED: u8 = 4;
    const PERMISSION_DENIED: u8 = 7;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    const DATA_LOSS: u8 = 15;
    matches!(code, UNKNOWN | DEADLINE_EXCEEDED | PERMISSION_DENIED | INTERNAL | UNAVAILABLE | DATA_LOSS)
}

fn grpc_status(headers: &HeaderMap) -> Option<Class> {
    let code: u16 = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    // A number outside gRPC's list is UNKNOWN, and so cannot make series without end.
    let code = if code <= 16 { code as u8 } else { 2 };
    Some(Class::Grpc { code, failure: grpc_failure(code) })
}

/// What is known of an answer's class once its head is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    /// Nothing that follows changes it.
    Decided(Class),
    /// A `grpc-status` in the trailers decides, else this.
    Trailers(Class),
}

/// Looks at an answer's head. `route` is a profile's, `grpc` whether the request was a gRPC call.
pub(crate) fn start(route: Option<&Route>, grpc: bool, status: StatusCode, headers: &HeaderMap) -> Start {
    let by_status = Class::Http { failure: status.is_server_error() };
    if let Some(route) = route {
        if let Some(class) = route.response_classes.iter().find(|class| class.condition.matches(status)) {
            return Start::Decided(Class::Http { failure: class.is_failure });
        }
    } else if !grpc {
        return Start::Decided(by_status);
    }
    match grpc_status(headers) {
        Some(class) => Start::Decided(class),
        // A gRPC stream that ends without a status is a success with code UNKNOWN, unless a profile is in force.
        None if route.is_none() => Start::Trailers(Class::Grpc { code: 2, failure: false }),
        None => Start::Trailers(by_status),
    }
}

impl Start {
    /// The class at the answer's end.
    pub(crate) fn end(self, trailers: Option<&HeaderMap>) -> Class {
        match self {
            Self::Decided(class) => class,
            Self::Trailers(otherwise) => trailers.and_then(grpc_status).unwrap_or(otherwise),
        }
    }
}

/// Whether a request is a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{ResponseClass, ResponseMatch};

    fn route(classes: &[(u16, u16, bool)]) -> Route {
        let class = |&(min, max, is_failure): &(u16, u16, bool)| ResponseClass {
            condition: ResponseMatch::Status { min, max },
            is_failure,
        };
        Route { response_classes: classes.iter().map(class).collect(), ..Route::fallback() }
    }

    fn grpc(code: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), code.parse().unwrap())])
    }

    fn class(route: Option<&Route>, status: u16, headers: &HeaderMap) -> Class {
        start(route, false, StatusCode::from_u16(status).unwrap(), headers).end(None)
    }

    #[test]
    fn the_first_class_that_matches_decides_both_ends_included() {
        let route = route(&[(500, 502, false), (400, 599, true)]);
        let failure = |status| class(Some(&route), status, &HeaderMap::new()).is_failure();
        assert_eq!([499, 500, 502, 503, 399].map(failure), [true, false, false, true, false]);
    }

    #[test]
    fn without_a_matching_class_a_grpc_status_decides_and_else_the_status() {
        let route = route(&[(404, 404, true)]);
        assert_eq!(class(Some(&route), 200, &grpc("14")), Class::Grpc { code: 14, failure: true });
        assert_eq!(class(Some(&route), 500, &grpc("5")), Class::Grpc { code: 5, failure: false });
        assert!(class(Some(&route), 500, &HeaderMap::new()).is_failure());
        assert!(!class(Some(&route), 204, &HeaderMap::new()).is_failure());
    }

    #[test]
    fn a_grpc_status_in_the_trailers_counts_and_its_failures_are_six() {
        let route = route(&[]);
        let end = |code| start(Some(&route), true, StatusCode::OK, &HeaderMap::new()).end(Some(&grpc(code)));
        let failures: Vec<_> = ["0", "1", "2", "4", "5", "7", "8", "13", "14", "15", "16"]
            .into_iter()
            .filter(|code| end(code).is_failure())
            .collect();
        assert_eq!(failures, ["2", "4", "7", "13", "14", "15"]);
        let odd = end("4000000000000");
        assert!(!odd.is_failure(), "no number at all: {odd:?}");
        assert_eq!(end("99"), Class::Grpc { code: 2, failure: true });
    }

    #[test]
    fn a_grpc_stream_without_a_status_is_a_success_of_code_unknown() {
        let class = start(None, true, StatusCode::OK, &HeaderMap::new()).end(None);
        assert_eq!(class, Class::Grpc { code: 2, failure: false });
    }
}
