//! `POST /bounce`: a request that sends another request.

use http::uri::InvalidUri;
use http::{Response, StatusCode, Uri, request::Parts};
use hyper::ext::ReasonPhrase;
use serde::Deserialize;

use crate::echo::{Arrival, Echo};
use crate::headers::{ATTEMPT_NAME, REQUEST_ID_NAME};
use crate::response::{self, HttpResponse};
use crate::state::State;
use crate::upstream::Outgoing;

/// The body of a bounce request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounce {
    /// The text `true`, as in efbar/minimal-service.
    rebound: String,
    endpoint: String,
}

/// Sends a `GET` to the endpoint and returns a 200 whose body has the status of the upstream, whatever that is.
///
/// The status is 400 if the body is not valid, and 502 if there is no response.
pub(crate) async fn respond(state: &State, request: &Parts, body: &[u8], arrival: &Arrival) -> HttpResponse {
    let endpoint = match endpoint(body) {
        Ok(endpoint) => endpoint,
        Err(reason) => return response::text(StatusCode::BAD_REQUEST, format!("Bad Request\n{reason}\n")),
    };
    let id = request.headers.get(REQUEST_ID_NAME).cloned();
    let id = id.unwrap_or_else(|| state.upstream.new_id());
    let mut response = match state.upstream.send(&Outgoing::get(&endpoint, &id)).await {
        Ok(upstream) => {
            let status = status_text(&upstream);
            state.log(format!("INFO bounce to {endpoint}: {status}"));
            let mut echo = Echo::new(request, upstream.headers(), &status, &state.host_name, arrival);
            let attempt = upstream.headers().get(ATTEMPT_NAME);
            echo.attempts = attempt.and_then(|number| number.to_str().ok()?.parse().ok());
            response::json(StatusCode::OK, &echo)
        }
        Err(error) => {
            state.log(format!("ERROR bounce to {endpoint}: {error}"));
            response::text(StatusCode::BAD_GATEWAY, format!("Bad Gateway\n{error}\n"))
        }
    };
    response.headers_mut().insert(REQUEST_ID_NAME, id);
    response
}

const EXPECTED: &str = r#"expected a body like {"rebound":"true","endpoint":"http://HOST:PORT/PATH"}"#;

/// Why the body of a bounce request is not valid.
#[derive(Debug, thiserror::Error)]
enum InvalidBody {
    #[error("{0}\n{EXPECTED}")]
    Json(#[from] serde_json::Error),
    #[error("invalid rebound `{0}`\n{EXPECTED}")]
    Rebound(String),
    #[error("invalid endpoint `{endpoint}`: {source}")]
    Endpoint { endpoint: String, source: InvalidUri },
}

/// Returns the endpoint in the body of a bounce request.
fn endpoint(body: &[u8]) -> Result<Uri, InvalidBody> {
    let Bounce { rebound, endpoint } = serde_json::from_slice(body)?;
    if rebound != "true" {
        return Err(InvalidBody::Rebound(rebound));
    }
    endpoint.parse().map_err(|source| InvalidBody::Endpoint { endpoint, source })
}

/// Returns the status and the reason phrase of a status line: `500 Internal Server Error`.
fn status_text<B>(response: &Response<B>) -> String {
    // hyper keeps the phrase only if it is not the canonical one.
    let custom = response.extensions().get::<ReasonPhrase>();
    let phrase = match custom {
        Some(custom) => String::from_utf8_lossy(custom.as_bytes()).into_owned(),
        None => response.status().canonical_reason().unwrap_or_default().to_owned(),
    };
    format!("{} {phrase}", response.status().as_u16()).trim_end().to_owned()
}
