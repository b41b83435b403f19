//! Requests to the service port.

use std::sync::Arc;

use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use crate::body::read;
use crate::echo::{self, Arrival};
use crate::fault::Action;
use crate::headers::{ATTEMPT_NAME, REQUEST_ID_NAME};
use crate::response::{self, HttpResponse};
use crate::state::{Phase, State};
use crate::{bounce, ledger};

/// Returns the response to a request.
pub(crate) async fn respond(state: &Arc<State>, request: Request<Incoming>) -> HttpResponse {
    let arrival = Arrival::now();
    let (request, body) = request.into_parts();
    match (request.uri.path(), &request.method) {
        ("/health", &Method::GET) => {
            if state.debug {
                state.log("DEBUG GET /health 200".to_owned());
            }
            return response::text(StatusCode::OK, "Status OK");
        }
        ("/crash", &Method::GET) => {
            state.enter(Phase::Crashed);
            // `run` returns and drops this future, so the client gets no response, as from a killed process.
            return std::future::pending().await;
        }
        ("/health" | "/crash", _) => return response::empty(StatusCode::METHOD_NOT_ALLOWED),
        _ => {}
    }

    let id = request.headers.get(REQUEST_ID_NAME).cloned();
    let ledger::Arrived { attempt, action } = state.ledger().request(id.as_ref().map(HeaderValue::as_bytes));
    let mut response = match action {
        Action::Serve(delay) => {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            serve(state, &request, body, &arrival).await
        }
        Action::Discard => response::empty(StatusCode::OK),
        Action::Reject(status) => response::status(status, &request.headers),
    };
    let number = attempt.map(|attempt| attempt.number);
    if let Some(number) = number {
        response.headers_mut().insert(ATTEMPT_NAME, number.into());
    }
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID_NAME, id);
    }
    state.ledger().response(response.status(), attempt);
    state.log(log_line(&request, &response, number, action, &arrival));
    response
}

async fn serve(state: &State, request: &Parts, body: Incoming, arrival: &Arrival) -> HttpResponse {
    let bounce = request.method == Method::POST && request.uri.path() == "/bounce";
    if !bounce && request.method != Method::GET {
        return response::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Some(body) = read(body).await else {
        return response::status(StatusCode::PAYLOAD_TOO_LARGE, &request.headers);
    };
    if bounce {
        bounce::respond(state, request, &body, arrival).await
    } else {
        echo::respond(request, &body, &state.host_name, arrival)
    }
}

fn log_line(
    request: &Parts,
    response: &HttpResponse,
    attempt: Option<u32>,
    action: Action,
    arrival: &Arrival,
) -> String {
    let action = match action {
        Action::Serve(_) => "",
        Action::Discard => " discarded",
        Action::Reject(_) => " rejected",
    };
    let attempt = attempt.map(|number| format!(" attempt {number}")).unwrap_or_default();
    let (method, uri, status) = (&request.method, &request.uri, response.status().as_u16());
    format!("INFO {method} {uri} {status}{action}{attempt} {:.3}ms", arrival.millis())
}
