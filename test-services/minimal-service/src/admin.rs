//! Requests to the admin port: reads the state of a running service and changes its faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::body::read;
use crate::fault::FaultChange;
use crate::response::{self, HttpResponse};
use crate::state::State;

/// How long the response to a change waits until the service port is closed or open.
const DOOR_TIMEOUT: Duration = Duration::from_secs(1);

/// The body of `POST /attempts`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptsRequest {
    /// Request ids; as many as fit into a body of 64 KiB.
    pub ids: Vec<String>,
}

/// The response to `GET /attempts` and `POST /attempts`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct AttemptsResponse {
    /// The number of attempts of each requested id; 0 for an id that is unknown or was dropped.
    pub attempts: BTreeMap<String, u32>,
    /// The attempts of each id by caller, for ids that came from a caller with a name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub callers: BTreeMap<String, BTreeMap<String, u32>>,
    /// Ids dropped since the start; if it is 0, every 0 in `attempts` is an unknown id.
    pub forgotten: u64,
}

/// The response to `GET /ids`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Ids {
    /// For each id in memory: the number of attempts, and whether one of them got a status below 400. The key is a hash
    /// of the id and the caller that is the same in each replica.
    pub ids: BTreeMap<String, (u32, bool)>,
    /// Ids dropped since the start.
    pub forgotten: u64,
}

/// Returns the response to a request.
pub(crate) async fn respond(state: &Arc<State>, request: Request<Incoming>) -> HttpResponse {
    let (request, body) = request.into_parts();
    match (request.uri.path(), &request.method) {
        // For the probes of a node: the service port does not accept them while the service is down.
        ("/health", &Method::GET) => response::text(StatusCode::OK, "Status OK"),
        ("/fault", &Method::GET) => response::json(StatusCode::OK, &state.ledger().faults.report()),
        ("/fault", &Method::PUT) => match parse(body).await {
            Ok(change) => put_fault(state, change).await,
            Err(response) => response,
        },
        ("/counts", &Method::GET) => response::json(StatusCode::OK, &state.ledger().counts()),
        ("/counts/peaks", &Method::DELETE) => {
            let mut ledger = state.ledger();
            ledger.reset_peaks();
            response::json(StatusCode::OK, &ledger.counts())
        }
        ("/ids", &Method::GET) => {
            let ids = {
                let ledger = state.ledger();
                Ids { ids: ledger.attempts.all(), forgotten: ledger.attempts.forgotten() }
            };
            response::json(StatusCode::OK, &ids)
        }
        ("/attempts", &Method::GET) => {
            let query = request.uri.query().unwrap_or_default();
            let ids = query.split('&').find_map(|pair| pair.strip_prefix("ids=")).unwrap_or_default();
            attempts(state, ids.split(',').filter(|id| !id.is_empty()).map(str::to_owned))
        }
        ("/attempts", &Method::POST) => match parse::<AttemptsRequest>(body).await {
            Ok(request) => attempts(state, request.ids),
            Err(response) => response,
        },
        (path @ ("/health" | "/fault" | "/counts" | "/counts/peaks" | "/ids" | "/attempts"), method) => {
            error(StatusCode::METHOD_NOT_ALLOWED, &format!("method {method} is not allowed on {path}"))
        }
        (path, _) => error(
            StatusCode::NOT_FOUND,
            &format!(
                "unknown path {path}, expected /health, /fault, /counts, /counts/peaks, /ids or /attempts"
            ),
        ),
    }
}

async fn put_fault(state: &State, change: FaultChange) -> HttpResponse {
    let changed = {
        let mut ledger = state.ledger();
        ledger.faults.change(change).map(|()| (ledger.faults.report(), ledger.faults.current().down))
    };
    let (report, down) = match changed {
        Ok(changed) => changed,
        Err(invalid) => {
            let text = format!("invalid {} `{}`: {}", invalid.key, invalid.value, invalid.reason);
            return error(StatusCode::BAD_REQUEST, &text);
        }
    };
    state.log(format!("INFO fault changed to {}", serde_json::to_string(&report).expect("plain numbers")));
    state.fault_changed.notify_one();
    // After this response, a connection to the service port is refused or accepted as the fault says.
    let mut door = state.door.subscribe();
    let _ = timeout(DOOR_TIMEOUT, door.wait_for(|door| door.open != down)).await;
    response::json(StatusCode::OK, &report)
}

fn attempts(state: &State, ids: impl IntoIterator<Item = String>) -> HttpResponse {
    let ledger = state.ledger();
    let mut response =
        AttemptsResponse { forgotten: ledger.attempts.forgotten(), ..AttemptsResponse::default() };
    for id in ids {
        let callers = ledger.attempts_of(id.as_bytes());
        response.attempts.insert(id.clone(), callers.values().sum());
        if callers.keys().any(|caller| !caller.is_empty()) {
            let callers = callers.into_iter().map(|(caller, attempts)| (caller.to_owned(), attempts));
            response.callers.insert(id, callers.collect());
        }
    }
    drop(ledger);
    response::json(StatusCode::OK, &response)
}

async fn parse<T: for<'a> Deserialize<'a>>(body: Incoming) -> Result<T, HttpResponse> {
    let body = read(body).await.ok_or_else(|| {
        error(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB or not complete")
    })?;
    serde_json::from_slice(&body).map_err(|cause| error(StatusCode::BAD_REQUEST, &cause.to_string()))
}

fn error(status: StatusCode, text: &str) -> HttpResponse {
    response::json(status, &BTreeMap::from([("error", text)]))
}
