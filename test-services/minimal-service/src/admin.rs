//! The admin port's requests: looking at a running service and changing how it fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use crate::answer::{self, Answer};
use crate::fault::FaultChange;
use crate::service::{State, read};

/// The body of `POST /tries`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TriesQuestion {
    /// Request ids; as many as fit into a body of 64 KiB.
    pub ids: Vec<String>,
}

/// The answer of `GET /tries` and `POST /tries`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct TriesAnswer {
    /// The tries seen of each id asked for; 0 for one never seen, or forgotten.
    pub tries: BTreeMap<String, u32>,
    /// Ids forgotten since the start; 0 means that no 0 above comes from forgetting.
    pub forgotten: u64,
}

/// The answer of `GET /ids`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Ids {
    /// For each id remembered: the tries seen of it, and whether one of them was answered well. The key is a hash, the
    /// same in each replica.
    pub ids: BTreeMap<String, (u32, bool)>,
    /// Ids forgotten since the start.
    pub forgotten: u64,
}

/// Answers a request, whatever it is.
pub(crate) async fn respond(state: &Arc<State>, request: Request<Incoming>) -> Answer {
    let (request, body) = request.into_parts();
    match (request.uri.path(), &request.method) {
        ("/fault", &Method::GET) => answer::json(StatusCode::OK, state.ledger().faults.fault()),
        ("/fault", &Method::PUT) => match parse(body).await {
            Ok(change) => put_fault(state, change),
            Err(refusal) => refusal,
        },
        ("/counts", &Method::GET) => answer::json(StatusCode::OK, &state.ledger().counts()),
        ("/ids", &Method::GET) => {
            let ids = {
                let ledger = state.ledger();
                Ids { ids: ledger.tries.all(), forgotten: ledger.tries.forgotten() }
            };
            answer::json(StatusCode::OK, &ids)
        }
        ("/tries", &Method::GET) => {
            let query = request.uri.query().unwrap_or_default();
            let ids = query.split('&').find_map(|pair| pair.strip_prefix("ids=")).unwrap_or_default();
            tries(state, ids.split(',').filter(|id| !id.is_empty()).map(str::to_owned))
        }
        ("/tries", &Method::POST) => match parse::<TriesQuestion>(body).await {
            Ok(question) => tries(state, question.ids),
            Err(refusal) => refusal,
        },
        ("/fault" | "/counts" | "/ids" | "/tries", _) => {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "no such method here")
        }
        _ => refuse(StatusCode::NOT_FOUND, "known here: /fault, /counts, /ids, /tries"),
    }
}

fn put_fault(state: &State, change: FaultChange) -> Answer {
    let mut ledger = state.ledger();
    if let Err(wrong) = ledger.faults.change(change) {
        let text = format!("{} `{}`: {}", wrong.key, wrong.value, wrong.reason);
        return refuse(StatusCode::BAD_REQUEST, &text);
    }
    let fault = ledger.faults.fault().clone();
    drop(ledger);
    state.log(format!("INFO fault is now {}", serde_json::to_string(&fault).expect("plain numbers")));
    answer::json(StatusCode::OK, &fault)
}

fn tries(state: &State, ids: impl IntoIterator<Item = String>) -> Answer {
    let ledger = state.ledger();
    let of = |id: String| {
        let seen = ledger.tries.of(id.as_bytes());
        (id, seen)
    };
    let tries = ids.into_iter().map(of).collect();
    answer::json(StatusCode::OK, &TriesAnswer { tries, forgotten: ledger.tries.forgotten() })
}

async fn parse<T: for<'a> Deserialize<'a>>(body: Incoming) -> Result<T, Answer> {
    let body =
        read(body).await.ok_or_else(|| refuse(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 64 KiB"))?;
    serde_json::from_slice(&body).map_err(|error| refuse(StatusCode::BAD_REQUEST, &error.to_string()))
}

fn refuse(status: StatusCode, why: &str) -> Answer {
    answer::json(status, &BTreeMap::from([("error", why)]))
}
