//! The response that describes its request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Instant, SystemTime};

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, StatusCode, request::Parts};
use serde::Serialize;

use crate::clock::timestamp;
use crate::response::{self, HttpResponse};

/// When a request arrived.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) at: SystemTime,
    pub(crate) since: Instant,
}

impl Arrival {
    pub(crate) fn now() -> Self {
        Self { at: SystemTime::now(), since: Instant::now() }
    }

    /// Returns the time since the arrival, in milliseconds.
    pub(crate) fn millis(&self) -> f64 {
        self.since.elapsed().as_secs_f64() * 1000.0
    }
}

/// The JSON response; its keys and their order are those of efbar/minimal-service.
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
    /// Only in the response to a bounce: the attempts that the upstream counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempts: Option<u32>,
}

impl<'a> Echo<'a> {
    /// Describes a request; `headers` are those of the request or, for a bounce, those of the upstream's response.
    pub(crate) fn new(
        request: &'a Parts,
        headers: &HeaderMap,
        body: &'a str,
        served_by: &'a str,
        arrival: &Arrival,
    ) -> Self {
        let mut headers = title_case(headers);
        headers.insert("Request-time".to_owned(), timestamp(arrival.at));
        headers.insert("Response-time".to_owned(), timestamp(SystemTime::now()));
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
            attempts: None,
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

/// Returns the response to a `GET`: text if the request has the header `Content-Type: text/plain`, else JSON.
pub(crate) fn respond(request: &Parts, body: &[u8], served_by: &str, arrival: &Arrival) -> HttpResponse {
    let body = String::from_utf8_lossy(body);
    let echo = Echo::new(request, &request.headers, &body, served_by, arrival);
    match request.headers.get(CONTENT_TYPE) {
        Some(kind) if kind == "text/plain" => response::text(StatusCode::OK, echo.text()),
        _ => response::json(StatusCode::OK, &echo),
    }
}

/// Returns headers with names like `Content-Type`; of several with the same name the last. `Host` is left out, because it is
/// a field of [`Echo`].
fn title_case(headers: &HeaderMap) -> BTreeMap<String, String> {
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
    let header = request.headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    header.or_else(|| request.uri.authority().map(ToString::to_string)).unwrap_or_default()
}
