//! Requests to a node of a call graph: a worker, the service time, the script, the response.

use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;
use tokio::sync::oneshot;

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
    if !flight.is_admitted() {
        let response =
            response::text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\nthe queue is full\n");
        return flight.respond(response, &request, &arrival);
    }
    if !complete {
        let response = response::status(StatusCode::PAYLOAD_TOO_LARGE, &request.headers);
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
    // Work ends without a response only if it panicked.
    response.unwrap_or_else(|_| response::empty(StatusCode::INTERNAL_SERVER_ERROR))
}

async fn work(
    state: Arc<State>,
    node: Arc<Node>,
    mut flight: Flight,
    request: Parts,
    arrival: Arrival,
) -> HttpResponse {
    let response = match flight.work().await {
        Some(Action::Discard) => response::empty(StatusCode::OK),
        Some(Action::Reject(status)) => response::status(status, &request.headers),
        Some(Action::Serve) | None => match script::run(&state, &node, &flight.id()).await {
            Ok(()) => response::of_size(node.response_bytes),
            Err(failure) => response::text(failure.status, failure.text()),
        },
    };
    flight.respond(response, &request, &arrival)
}
