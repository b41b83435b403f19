//! The service port's requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use meshy_net::SharedNetwork;
use tokio::sync::watch;

use crate::answer::{self, Answer};
use crate::echo::{self, Arrival};
use crate::fault::Fate;
use crate::ledger::Ledger;
use crate::server::Phase;
use crate::upstream::Upstream;
use crate::{Config, Logs, REQUEST_ID, TRY, bounce};

/// The largest request body that is read, here and on the admin port; a larger one is answered 413.
pub(crate) const LARGEST_BODY: usize = 64 * 1024;

const ID: HeaderName = HeaderName::from_static(REQUEST_ID);
const TRY_NUMBER: HeaderName = HeaderName::from_static(TRY);

/// What the connections of one service share.
pub(crate) struct State {
    pub(crate) host_name: String,
    pub(crate) upstream: Upstream,
    debug: bool,
    ledger: Mutex<Ledger>,
    logs: Logs,
    phase: watch::Sender<Phase>,
}

impl State {
    pub(crate) fn new(
        config: Config,
        network: SharedNetwork,
        logs: Logs,
        phase: watch::Sender<Phase>,
    ) -> Self {
        Self {
            host_name: config.host_name,
            upstream: Upstream::new(network),
            debug: config.debug,
            ledger: Mutex::new(Ledger::new(config.fault)),
            logs,
            phase,
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self, line: String) {
        (self.logs)(line);
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until a phase has come.
    pub(crate) async fn reached(&self, phase: Phase) {
        // The sender is `self.phase`: it cannot be gone.
        let _ = self.phase.subscribe().wait_for(|now| *now == phase).await;
    }

    pub(crate) fn enter(&self, phase: Phase) {
        // The end by a crash is not taken back.
        self.phase.send_if_modified(|now| *now != Phase::Crashed && std::mem::replace(now, phase) != phase);
    }
}

/// Answers a request, whatever it is.
pub(crate) async fn respond(state: &Arc<State>, request: Request<Incoming>) -> Answer {
    let arrival = Arrival::now();
    let (request, body) = request.into_parts();
    match (request.uri.path(), &request.method) {
        ("/health", &Method::GET) => {
            if state.debug {
                state.log("DEBUG GET /health 200".to_owned());
            }
            return answer::text(StatusCode::OK, "Status OK");
        }
        ("/crash", &Method::GET) => {
            state.enter(Phase::Crashed);
            // The run ends and drops this; a process that dies does not answer either.
            return std::future::pending().await;
        }
        ("/health" | "/crash", _) => return answer::empty(StatusCode::METHOD_NOT_ALLOWED),
        _ => {}
    }

    let id = request.headers.get(ID).cloned();
    let (this, fate) = state.ledger().arrival(id.as_ref().map(HeaderValue::as_bytes));
    let mut answer = match fate {
        Fate::Serve(wait) => {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            serve(state, &request, body, &arrival).await
        }
        Fate::Discard => answer::empty(StatusCode::OK),
        Fate::Reject(status) => answer::named(status, &request.headers),
    };
    let number = this.map(|this| this.number);
    if let Some(number) = number {
        answer.headers_mut().insert(TRY_NUMBER, number.into());
    }
    if let Some(id) = id {
        answer.headers_mut().insert(ID, id);
    }
    state.ledger().answer(answer.status(), this);
    state.log(line(&request, &answer, number, fate, &arrival));
    answer
}

async fn serve(state: &State, request: &Parts, body: Incoming, arrival: &Arrival) -> Answer {
    let bounce = request.method == Method::POST && request.uri.path() == "/bounce";
    if !bounce && request.method != Method::GET {
        return answer::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Some(body) = read(body).await else {
        return answer::named(StatusCode::PAYLOAD_TOO_LARGE, &request.headers);
    };
    if bounce {
        bounce::answer(state, request, &body, arrival).await
    } else {
        echo::answer(request, &body, &state.host_name, arrival)
    }
}

/// A request's whole body; nothing if it is too large or breaks off.
pub(crate) async fn read(body: Incoming) -> Option<Bytes> {
    Some(Limited::new(body, LARGEST_BODY).collect().await.ok()?.to_bytes())
}

fn line(request: &Parts, answer: &Answer, number: Option<u32>, fate: Fate, arrival: &Arrival) -> String {
    let fate = match fate {
        Fate::Serve(_) => "",
        Fate::Discard => " discarded",
        Fate::Reject(_) => " rejected",
    };
    let number = number.map(|number| format!(" try {number}")).unwrap_or_default();
    let (method, uri, status) = (&request.method, &request.uri, answer.status().as_u16());
    format!("INFO {method} {uri} {status}{fate}{number} {:.3}ms", arrival.millis())
}
