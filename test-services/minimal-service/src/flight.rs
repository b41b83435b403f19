//! A request between its arrival and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderValue;
use http::request::Parts;
use tokio::time::{Instant, sleep};

use crate::attempts::Attempt;
use crate::echo::Arrival;
use crate::fault::Action;
use crate::headers::{ATTEMPT_NAME, CALLER_NAME, REQUEST_ID_NAME};
use crate::ledger::{Arrived, End};
use crate::pool::Place;
use crate::response::HttpResponse;
use crate::state::State;

/// An open request. Its end is counted exactly once: by [`Flight::respond`], or as a disconnected client when it is
/// dropped, which happens when the connection or the service ends first.
pub(crate) struct Flight {
    state: Arc<State>,
    id: Option<HeaderValue>,
    attempt: Option<Attempt>,
    action: Option<Action>,
    /// `None` for a request that was not admitted, and after the end.
    place: Option<Place>,
    work: Work,
    disconnected: Arc<AtomicBool>,
    ended: bool,
}

/// How much of its service time and delay a request has used.
#[derive(Clone, Copy)]
enum Work {
    /// It has no worker.
    None,
    /// It began at this instant, of this duration.
    Begun(Instant, Duration),
    Done(Duration),
}

/// Belongs to the connection of a request whose work runs in another task; dropping it reports that the client
/// disconnected.
pub(crate) struct Client(Arc<AtomicBool>);

impl Flight {
    /// Counts a request that arrived with these headers, and admits it.
    pub(crate) fn arrive(state: &Arc<State>, headers: &HeaderMap) -> Self {
        let id = headers.get(REQUEST_ID_NAME).cloned();
        let caller = headers.get(CALLER_NAME).map(HeaderValue::as_bytes);
        let Arrived { attempt, admitted } =
            state.ledger().request(id.as_ref().map(HeaderValue::as_bytes), caller);
        let (place, action) = admitted.unzip();
        let state = state.clone();
        Self {
            state,
            id,
            attempt,
            action,
            place,
            work: Work::None,
            disconnected: Arc::default(),
            ended: false,
        }
    }

    /// Returns whether the request has a worker or waits for one; otherwise the queue was full.
    pub(crate) fn is_admitted(&self) -> bool {
        self.place.is_some()
    }

    /// Returns the id of the request; a request without one gets one, for its calls and its response.
    pub(crate) fn id(&mut self) -> HeaderValue {
        self.id.get_or_insert_with(|| self.state.upstream.new_id()).clone()
    }

    /// Returns the client's side of this request.
    pub(crate) fn client(&self) -> Client {
        Client(self.disconnected.clone())
    }

    /// Waits until the request has a worker, and for its service time and delay. Returns what the service does then; `None`
    /// if the queue was full, without a wait.
    pub(crate) async fn work(&mut self) -> Option<Action> {
        let action = self.action?;
        if let Some(Place::Queue(turn)) = &mut self.place {
            // The sender is in the pool of `self.state` until the worker is handed over.
            let _ = (&mut turn.worker).await;
            self.place = Some(Place::Worker);
        }
        let time = self.state.ledger().time(action);
        let begin = Instant::now();
        self.work = Work::Begun(begin, time);
        let shortened = self.state.ledger().sleep(time);
        if !shortened.is_zero() {
            sleep(shortened).await;
            self.state.ledger().overslept(begin.elapsed().saturating_sub(shortened));
        }
        self.work = Work::Done(time);
        Some(action)
    }

    /// Counts and logs the response; returns it with the headers of the request's id and attempt.
    pub(crate) fn respond(
        mut self,
        mut response: HttpResponse,
        request: &Parts,
        arrival: &Arrival,
    ) -> HttpResponse {
        if let Some(attempt) = self.attempt {
            response.headers_mut().insert(ATTEMPT_NAME, attempt.number.into());
        }
        if let Some(id) = &self.id {
            response.headers_mut().insert(REQUEST_ID_NAME, id.clone());
        }
        let disconnected = self.disconnected.load(Ordering::Relaxed);
        self.end(if disconnected { End::Disconnected } else { End::Responded(response.status()) });
        self.state.log(self.log_line(request, &response, disconnected, arrival));
        response
    }

    fn log_line(
        &self,
        request: &Parts,
        response: &HttpResponse,
        disconnected: bool,
        arrival: &Arrival,
    ) -> String {
        let action = match self.action {
            Some(Action::Serve) => "",
            Some(Action::Discard) => " discarded",
            Some(Action::Reject(_)) => " rejected",
            None => " queue full",
        };
        let wasted = if disconnected { " client disconnected" } else { "" };
        let attempt = self.attempt.map(|attempt| format!(" attempt {}", attempt.number)).unwrap_or_default();
        let (method, uri, status) = (&request.method, &request.uri, response.status().as_u16());
        format!("INFO {method} {uri} {status}{action}{attempt}{wasted} {:.3}ms", arrival.millis())
    }

    fn end(&mut self, end: End) {
        self.ended = true;
        let worked = match self.work {
            Work::None => None,
            Work::Begun(begin, time) => Some(time.min(begin.elapsed())),
            Work::Done(time) => Some(time),
        };
        self.state.ledger().end(end, self.attempt, self.place.take(), worked);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.ended {
            self.end(End::Disconnected);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
