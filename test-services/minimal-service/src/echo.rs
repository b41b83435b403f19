//! The answer that tells what the request was.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Instant, SystemTime};

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, StatusCode, request::Parts};
use serde::Serialize;

use crate::answer::{self, Answer};
use crate::clock::stamp;

/// When a request came.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) at: SystemTime,
    pub(crate) since: Instant,
}

impl Arrival {
    pub(crate) fn now() -> Self {
        Self { at: SystemTime::now(), since: Instant::now() }
    }

    /// Milliseconds up to now.
    pub(crate) fn millis(&self) -> f64 {
        self.since.elapsed().as_secs_f64() * 1000.0
    }
}

/// The JSON answer; names and order are efbar/minimal-service's.
#[derive(Serialize)]
pub(crate) struct Echo<'a> {
    pub(crate) host: String,
    pub(crate) statuscode: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) protocol: String,
    #[serde(rename = "requestURI")]
    pub(crate) request_uri: String,
    #[serde(rename = "servedBy")]
    pub(crate) served_by: &'a str,
    pub(crate) method: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) body: &'a str,
    /// Only of a bounce: the tries that the upstream saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tries: Option<u32>,
}

impl<'a> Echo<'a> {
    /// Tells of a request, `headers` being its own or, for a bounce, the upstream's.
    pub(crate) fn of(
        request: &'a Parts,
        headers: &HeaderMap,
        body: &'a str,
        served_by: &'a str,
        arrival: &Arrival,
    ) -> Self {
        let mut headers = readable(headers);
        headers.insert("Request-time".to_owned(), stamp(arrival.at));
        headers.insert("Response-time".to_owned(), stamp(SystemTime::now()));
        headers.insert("Duration".to_owned(), format!("{:.3}", arrival.millis()));
        Self {
            host: host(request),
            statuscode: 200,
            headers,
            protocol: format!("{:?}", request.version),
            request_uri: request.uri.to_string(),
            served_by,
            method: request.method.as_str(),
            body,
            tries: None,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("Request served by {}\n\n", self.served_by);
        let _ = writeln!(text, "{} {} {}", self.method, self.request_uri, self.protocol);
        let _ = writeln!(text, "Host: {}", self.host);
        for (name, value) in &self.headers {
            let _ = writeln!(text, "{name}: {value}");
        }
        let _ = write!(text, "\n{}", self.body);
        text
    }
}

/// The answer to a `GET`: text where the request said `Content-type: text/plain`, else JSON.
pub(crate) fn answer(request: &Parts, body: &[u8], served_by: &str, arrival: &Arrival) -> Answer {
    let body = String::from_utf8_lossy(body);
    let echo = Echo::of(request, &request.headers, &body, served_by, arrival);
    match request.headers.get(CONTENT_TYPE) {
        Some(kind) if kind == "text/plain" => answer::text(StatusCode::OK, echo.text()),
        _ => answer::json(StatusCode::OK, &echo),
    }
}

/// Headers as people write them, `Content-Type`; of several with one name the last. `Host` has its own place.
fn readable(headers: &HeaderMap) -> BTreeMap<String, String> {
    let entries = headers.iter().filter(|(name, _)| *name != HOST);
    entries
        .map(|(name, value)| (title(name.as_str()), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect()
}

fn title(name: &str) -> String {
    let mut start = true;
    let letters = name.chars().map(|letter| {
        let shown = if start { letter.to_ascii_uppercase() } else { letter };
        start = letter == '-';
        shown
    });
    letters.collect()
}

fn host(request: &Parts) -> String {
    let named = request.headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    named.or_else(|| request.uri.authority().map(ToString::to_string)).unwrap_or_default()
}
