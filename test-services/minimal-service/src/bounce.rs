//! `POST /bounce`: a request that makes another one.

use http::header::HeaderName;
use http::{Response, StatusCode, Uri, request::Parts};
use hyper::ext::ReasonPhrase;
use serde::Deserialize;

use crate::answer::{self, Answer};
use crate::echo::{Arrival, Echo};
use crate::service::State;
use crate::{REQUEST_ID, TRY};

/// What a bounce is asked with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// The text `true`; as efbar/minimal-service wants it.
    rebound: String,
    endpoint: String,
}

/// Sends a `GET` to the endpoint and tells of its answer, always with 200: the upstream's status is in the body.
pub(crate) async fn answer(state: &State, request: &Parts, body: &[u8], arrival: &Arrival) -> Answer {
    let endpoint = match order(body) {
        Ok(endpoint) => endpoint,
        Err(why) => return answer::text(StatusCode::BAD_REQUEST, format!("Bad Request\n{why}\n")),
    };
    let named = request.headers.get(REQUEST_ID).cloned();
    let id = named.unwrap_or_else(|| state.upstream.new_id());
    let mut answer = match state.upstream.get(&endpoint, &id).await {
        Ok(upstream) => {
            let status = status_text(&upstream);
            state.log(format!("INFO bounced to {endpoint}: {status}"));
            let mut echo = Echo::of(request, upstream.headers(), &status, &state.host_name, arrival);
            echo.tries = upstream.headers().get(TRY).and_then(|number| number.to_str().ok()?.parse().ok());
            answer::json(StatusCode::OK, &echo)
        }
        Err(error) => {
            state.log(format!("ERROR bounce to {endpoint}: {error}"));
            answer::text(StatusCode::BAD_GATEWAY, format!("Bad Gateway\n{error}\n"))
        }
    };
    answer.headers_mut().insert(HeaderName::from_static(REQUEST_ID), id);
    answer
}

/// The endpoint out of a bounce's body, or why there is none.
fn order(body: &[u8]) -> Result<Uri, String> {
    const FORM: &str = r#"the body is to be {"rebound":"true","endpoint":"http://HOST:PORT/PATH"}"#;
    let order: Order = serde_json::from_slice(body).map_err(|error| format!("{error}\n{FORM}"))?;
    if order.rebound != "true" {
        return Err(format!("rebound is `{}`\n{FORM}", order.rebound));
    }
    order.endpoint.parse().map_err(|error| format!("endpoint `{}`: {error}", order.endpoint))
}

/// A status as its status line had it: `500 Internal Server Error`.
fn status_text<B>(answer: &Response<B>) -> String {
    // hyper keeps the phrase only where it is not the usual one.
    let own = answer.extensions().get::<ReasonPhrase>();
    let phrase = match own {
        Some(own) => String::from_utf8_lossy(own.as_bytes()).into_owned(),
        None => answer.status().canonical_reason().unwrap_or_default().to_owned(),
    };
    format!("{} {phrase}", answer.status().as_u16()).trim_end().to_owned()
}
