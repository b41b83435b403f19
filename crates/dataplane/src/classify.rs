//! Whether a response is a success or a failure: by a route's classes, else by `grpc-status`, else by the status.

use http::{HeaderMap, StatusCode};

use crate::profile::Route;

/// The class of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Decided by the status.
    Http { failure: bool },
    /// Decided by the gRPC status.
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

/// Whether a gRPC status is a failure; Linkerd's list.
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
    // A number outside of gRPC's list counts as UNKNOWN, so that peers cannot create any number of series.
    let code = if code <= 16 { code as u8 } else { 2 };
    Some(Class::Grpc { code, failure: grpc_failure(code) })
}

/// The class of a response as far as its head decides it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HeadClass {
    /// The head decides.
    Decided(Class),
    /// A `grpc-status` in the trailers decides; this is the class without one.
    Trailers(Class),
}

/// Classifies a response by its head. `route` is a profile's route, `grpc` whether the request was a gRPC call.
pub(crate) fn by_head(
    route: Option<&Route>,
    grpc: bool,
    status: StatusCode,
    headers: &HeaderMap,
) -> HeadClass {
    let by_status = Class::Http { failure: status.is_server_error() };
    if let Some(route) = route {
        if let Some(class) = route.response_classes.iter().find(|class| class.condition.matches(status)) {
            return HeadClass::Decided(Class::Http { failure: class.is_failure });
        }
    } else if !grpc {
        return HeadClass::Decided(by_status);
    }
    match grpc_status(headers) {
        Some(class) => HeadClass::Decided(class),
        // A gRPC stream that ends without a status is a success with code UNKNOWN, unless a profile is in force.
        None if route.is_none() => HeadClass::Trailers(Class::Grpc { code: 2, failure: false }),
        None => HeadClass::Trailers(by_status),
    }
}

impl HeadClass {
    /// Returns the class at the end of the response.
    pub(crate) fn finish(self, trailers: Option<&HeaderMap>) -> Class {
        match self {
            Self::Decided(class) => class,
            Self::Trailers(default) => trailers.and_then(grpc_status).unwrap_or(default),
        }
    }
}

/// Whether a request is a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
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
        by_head(route, false, StatusCode::from_u16(status).unwrap(), headers).finish(None)
    }

    #[test]
    fn the_first_matching_class_decides_and_ranges_are_inclusive() {
        let route = route(&[(500, 502, false), (400, 599, true)]);
        let failure = |status| class(Some(&route), status, &HeaderMap::new()).is_failure();
        assert_eq!([499, 500, 502, 503, 399].map(failure), [true, false, false, true, false]);
    }

    #[test]
    fn without_a_matching_class_the_grpc_status_decides_else_the_http_status() {
        let route = route(&[(404, 404, true)]);
        assert_eq!(class(Some(&route), 200, &grpc("14")), Class::Grpc { code: 14, failure: true });
        assert_eq!(class(Some(&route), 500, &grpc("5")), Class::Grpc { code: 5, failure: false });
        assert!(class(Some(&route), 500, &HeaderMap::new()).is_failure());
        assert!(!class(Some(&route), 204, &HeaderMap::new()).is_failure());
    }

    #[test]
    fn a_grpc_status_in_the_trailers_counts_and_six_codes_are_failures() {
        let route = route(&[]);
        let end =
            |code| by_head(Some(&route), true, StatusCode::OK, &HeaderMap::new()).finish(Some(&grpc(code)));
        let failures: Vec<_> = ["0", "1", "2", "4", "5", "7", "8", "13", "14", "15", "16"]
            .into_iter()
            .filter(|code| end(code).is_failure())
            .collect();
        assert_eq!(failures, ["2", "4", "7", "13", "14", "15"]);
        let invalid = end("4000000000000");
        assert!(!invalid.is_failure(), "an invalid number is ignored: {invalid:?}");
        assert_eq!(end("99"), Class::Grpc { code: 2, failure: true });
    }

    #[test]
    fn a_grpc_stream_without_a_status_is_a_success_with_code_unknown() {
        let class = by_head(None, true, StatusCode::OK, &HeaderMap::new()).finish(None);
        assert_eq!(class, Class::Grpc { code: 2, failure: false });
    }
}
