//! What the user got for one request.

use std::fmt;

use http::{HeaderMap, StatusCode};
use meshy_net::grpc_status_name;
use serde::{Deserialize, Serialize};

use super::grpc;
use super::target::ATTEMPT;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A response with this status.
    Answer(u16),
    /// A response 200 whose body carries another service's status, as `/bounce` gives it.
    Carried(u16),
    /// A response to a gRPC call with this status.
    Grpc(u16),
    /// No response in time.
    TimedOut,
    /// The connection was refused, or broke before the response was complete.
    Broken,
    /// Not sent: all connections were in use for as long as a request may take.
    NeverSent,
    /// Not sent: this machine has no free file descriptor or port. The server had no part in it.
    ClientError,
}

impl Outcome {
    /// Whether the user got a successful response: below 400, and so the status in the body; for gRPC the status OK.
    pub fn succeeded(self) -> bool {
        self.status().is_some_and(|status| status < 400)
    }

    /// Returns the HTTP status of the response, or that which its gRPC status counts as; `None` without a response.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Answer(status) | Self::Carried(status) => Some(status),
            Self::Grpc(code) => Some(grpc::http_status(code).as_u16()),
            Self::TimedOut | Self::Broken | Self::NeverSent | Self::ClientError => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |status: u16| StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
        match *self {
            Self::Answer(status) => write!(f, "{status} {}", named(status).unwrap_or_default()),
            Self::Carried(status) => {
                write!(f, "200 OK carrying {status} {}", named(status).unwrap_or_default())
            }
            Self::Grpc(code) => write!(f, "gRPC {code} {}", grpc_status_name(code).unwrap_or_default()),
            Self::TimedOut => f.write_str("no response in time"),
            Self::Broken => f.write_str("connection refused or broken"),
            Self::NeverSent => f.write_str("never sent, no free connection"),
            Self::ClientError => f.write_str("never sent, no file descriptor or port left on this machine"),
        }
    }
}

/// The text of an outcome in a report: a status, `carried-` or `grpc-` with a status, or one of these words.
const KEYS: [(&str, Outcome); 4] = [
    ("timed-out", Outcome::TimedOut),
    ("broken", Outcome::Broken),
    ("never-sent", Outcome::NeverSent),
    ("client-error", Outcome::ClientError),
];

impl Serialize for Outcome {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Answer(status) => serializer.collect_str(status),
            Self::Carried(status) => serializer.collect_str(&format_args!("carried-{status}")),
            Self::Grpc(code) => serializer.collect_str(&format_args!("grpc-{code}")),
            other => {
                let key = KEYS.iter().find(|(_, outcome)| outcome == other);
                serializer.serialize_str(key.map_or("broken", |(key, _)| key))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some((_, outcome)) = KEYS.iter().find(|(key, _)| *key == text) {
            return Ok(*outcome);
        }
        let parsed = match text.split_once('-') {
            Some(("carried", status)) => status.parse().map(Self::Carried),
            Some(("grpc", code)) => code.parse().map(Self::Grpc),
            _ => text.parse().map(Self::Answer),
        };
        parsed.map_err(|_| serde::de::Error::custom(format!("invalid outcome `{text}`")))
    }
}

/// The outcome and, where the test service reports it, the number of attempts.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: Option<&[u8]>) -> (Outcome, Option<u32>) {
    let attempts = headers.get(ATTEMPT).and_then(|number| number.to_str().ok()?.parse().ok());
    let plain = (Outcome::Answer(status.as_u16()), attempts);
    let Some(body) = body.filter(|_| status == StatusCode::OK) else { return plain };
    let Ok(body) = serde_json::from_slice::<Bounce>(body) else { return plain };
    // The original service writes the status line's text: "500 Internal Server Error".
    let carried = body.body.as_deref().and_then(|text| text.get(..3)?.parse().ok());
    (carried.map_or(plain.0, Outcome::Carried), body.attempts.or(attempts))
}

/// As [`read`] for a gRPC call. A response of HTTP's own, such as that of a gateway, keeps its status.
pub(super) fn read_grpc(
    status: StatusCode,
    headers: &HeaderMap,
    trailers: Option<&HeaderMap>,
) -> (Outcome, Option<u32>) {
    let (plain, attempts) = read(status, headers, None);
    let outcome = if status == StatusCode::OK { Outcome::Grpc(grpc::code(headers, trailers)) } else { plain };
    (outcome, attempts)
}

#[derive(Deserialize)]
struct Bounce {
    body: Option<String>,
    attempts: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_a_key_of_a_map() {
        let all = KEYS.map(|(_, outcome)| outcome);
        let all = all.into_iter().chain([Outcome::Answer(200), Outcome::Carried(503), Outcome::Grpc(14)]);
        let counts: std::collections::BTreeMap<Outcome, u64> = all.zip(1..).collect();
        let text = serde_json::to_string(&counts).unwrap();
        assert!(text.contains(r#""200":5"#) && text.contains(r#""carried-503":6"#), "{text}");
        assert!(text.contains(r#""grpc-14":7"#), "{text}");
        assert_eq!(serde_json::from_str::<std::collections::BTreeMap<Outcome, u64>>(&text).unwrap(), counts);
        assert!(serde_json::from_str::<Outcome>("\"lost\"").is_err());
    }

    #[test]
    fn the_status_of_a_grpc_call_decides() {
        let status = |code: &'static str| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                http::HeaderValue::from_static(code),
            )])
        };
        let (outcome, _) = read_grpc(StatusCode::OK, &HeaderMap::new(), Some(&status("14")));
        assert_eq!((outcome, outcome.status(), outcome.succeeded()), (Outcome::Grpc(14), Some(503), false));
        assert_eq!(outcome.to_string(), "gRPC 14 UNAVAILABLE");
        assert!(read_grpc(StatusCode::OK, &status("0"), None).0.succeeded());
        assert_eq!(read_grpc(StatusCode::BAD_GATEWAY, &HeaderMap::new(), None).0, Outcome::Answer(502));
    }

    #[test]
    fn an_answer_200_that_carries_500_is_a_failure_of_its_own_kind() {
        let read = |status, body: &str| read(status, &HeaderMap::new(), Some(body.as_bytes()));
        let (outcome, attempts) =
            read(StatusCode::OK, r#"{"body":"500 Internal Server Error","attempts":3}"#);
        assert_eq!((outcome, attempts), (Outcome::Carried(500), Some(3)));
        assert!(!outcome.succeeded());
        assert!(read(StatusCode::OK, r#"{"body":"200 OK"}"#).0.succeeded());
        assert_eq!(read(StatusCode::BAD_GATEWAY, "Bad Gateway").0, Outcome::Answer(502));
        assert_eq!(read(StatusCode::OK, "not JSON").0, Outcome::Answer(200));
    }
}
