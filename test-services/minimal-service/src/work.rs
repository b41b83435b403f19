//! Requests to a node of a call graph: a worker, the service time, the script, the response.

use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::body::drain;
use crate::echo::Arrival;
use crate::fault::Action;
use crate::flight::Flight;
use crate::node::Node;
use crate::response::{self, HttpResponse};
use crate::script;
use crate::state::State;

/// Returns the response to a request. The work runs in a task that continues when the client disconnects, unless the node
/// cancels work.
pub(crate) async fn respond(
    state: &Arc<State>,
    node: Arc<Node>,
    request: Parts,
    body: Incoming,
    arrival: Arrival,
) -> HttpResponse {
    let complete = drain(body).await;
    let flight = Flight::arrive(state, &request.headers);
    let immediate = if !complete {
        Some(response::status(StatusCode::PAYLOAD_TOO_LARGE, &request.headers))
    } else if flight.action().is_none() {
        Some(response::text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\nthe queue is full\n"))
    } else {
        None
    };
    if let Some(response) = immediate {
        return flight.respond(response, &request, &arrival);
    }
    let cancels = node.cancels();
    let client = flight.client();
    let work = work(state.clone(), node, flight, request, arrival);
    if cancels {
        return work.await;
    }
    let (sender, receiver) = oneshot::channel();
    state.spawn(Box::pin(async move {
        // A client that disconnected does not need the response.
        let _ = sender.send(work.await);
    }));
    let response = receiver.await;
    drop(client);
    // If the work was stopped because the service is down, this connection was closed before.
    response.unwrap_or_else(|_| response::empty(StatusCode::INTERNAL_SERVER_ERROR))
}

async fn work(
    state: Arc<State>,
    node: Arc<Node>,
    mut flight: Flight,
    request: Parts,
    arrival: Arrival,
) -> HttpResponse {
    flight.worker().await;
    let action = flight.action().unwrap_or(Action::Serve);
    let time = state.ledger().time(action);
    if !time.is_zero() {
        sleep(time).await;
    }
    let response = match action {
        Action::Discard => response::empty(StatusCode::OK),
        Action::Reject(status) => response::status(status, &request.headers),
        Action::Serve => match script::run(&state, &node, &flight.id()).await {
            Ok(()) => response::of_size(node.response_bytes),
            Err(failure) => response::text(failure.status, failure.text()),
        },
    };
    flight.respond(response, &request, &arrival)
}
