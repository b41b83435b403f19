//! Requests to the service port.

use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, StatusCode, Version};
use hyper::body::Incoming;

use crate::body::read;
use crate::echo::{self, Arrival};
use crate::fault::Action;
use crate::flight::Flight;
use crate::response::{self, HttpResponse};
use crate::state::{Phase, State};
use crate::{bounce, grpc, work};

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
    if grpc::is_grpc(&request.headers) && request.version == Version::HTTP_2 {
        return call(state, request, body, arrival).await;
    }
    if let Some(node) = state.node.clone() {
        return work::respond(state, node, request, body, arrival).await;
    }
    let mut flight = Flight::arrive(state, &request.headers);
    let response = match flight.work().await {
        // Without a node, workers are unlimited and every request is admitted.
        Some(Action::Serve) | None => serve(state, &request, body, &arrival).await,
        Some(Action::Discard) => response::empty(StatusCode::OK),
        Some(Action::Reject(status)) => response::status(status, &request.headers),
    };
    flight.respond(response, &request, &arrival)
}

/// Returns the response to a gRPC call: the work is that of an HTTP request, and without a node the message is returned.
async fn call(state: &Arc<State>, request: Parts, body: Incoming, arrival: Arrival) -> HttpResponse {
    if let Some(node) = state.node.clone() {
        return grpc::response(work::respond(state, node, request, body, arrival).await);
    }
    let mut flight = Flight::arrive(state, &request.headers);
    let response = match flight.work().await {
        Some(Action::Serve) | None => match read(body).await.map(|body| grpc::request(&body)) {
            Some(Ok(message)) => HttpResponse::new(message.into()),
            Some(Err(error)) => response::empty(grpc::rejection(error)),
            None => response::empty(StatusCode::PAYLOAD_TOO_LARGE),
        },
        Some(Action::Discard) => response::empty(StatusCode::OK),
        Some(Action::Reject(status)) => response::empty(status),
    };
    grpc::response(flight.respond(response, &request, &arrival))
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
