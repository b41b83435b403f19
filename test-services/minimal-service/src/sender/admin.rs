//! Requests to the admin port of a sender.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use meshy_load::protocol::{MOST_PLAN, SenderPlan};

use super::{Sender, unix_micros};
use crate::response::{self, HttpResponse};

/// A start that is further ahead is a mistake: a wrong unit, or a wrong clock.
const MOST_AHEAD: Duration = Duration::from_secs(600);

/// Returns the response to a request.
pub(super) async fn respond(sender: &Sender, request: Request<Incoming>) -> HttpResponse {
    let (request, body) = request.into_parts();
    match (request.uri.path(), &request.method) {
        ("/health", &Method::GET) => response::text(StatusCode::OK, "Status OK"),
        ("/sender", &Method::GET) => response::json(StatusCode::OK, &sender.status()),
        ("/sender/plan", &Method::PUT) => match plan(body).await {
            Ok(plan) => match sender.take(plan) {
                Ok(status) => response::json(StatusCode::OK, &status),
                Err(error) => failed(StatusCode::CONFLICT, &error.to_string()),
            },
            Err(error) => failed(StatusCode::BAD_REQUEST, &error.to_string()),
        },
        ("/sender/stop", &Method::PUT) => response::json(StatusCode::OK, &sender.stop()),
        ("/sender/report", &Method::GET) => report(sender, request.uri.query().unwrap_or_default()),
        (path @ ("/health" | "/sender" | "/sender/plan" | "/sender/stop" | "/sender/report"), method) => {
            failed(StatusCode::METHOD_NOT_ALLOWED, &format!("method {method} is not allowed on {path}"))
        }
        (path, _) => {
            let expected = "/health, /sender, /sender/plan, /sender/stop or /sender/report";
            failed(StatusCode::NOT_FOUND, &format!("unknown path {path} of a sender, expected {expected}"))
        }
    }
}

fn report(sender: &Sender, query: &str) -> HttpResponse {
    let from = query.split('&').find_map(|pair| pair.strip_prefix("from=")).unwrap_or("0");
    let Ok(from) = from.parse() else {
        return failed(StatusCode::BAD_REQUEST, "invalid `from`, expected a second");
    };
    match sender.progress(from) {
        Some(progress) => response::json(StatusCode::OK, &progress),
        None => failed(StatusCode::CONFLICT, "this sender has no plan"),
    }
}

/// Why a plan is not taken.
#[derive(Debug, thiserror::Error)]
enum InvalidPlan {
    #[error("the plan is larger than {MOST_PLAN} bytes or not complete")]
    Body,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Value(String),
    /// The start is this long ahead.
    #[error("the start is {} s ahead, the most is {} s", .0.as_secs(), MOST_AHEAD.as_secs())]
    TooFarAhead(Duration),
}

/// Reads a plan and checks every value.
async fn plan(body: Incoming) -> Result<SenderPlan, InvalidPlan> {
    let body = Limited::new(body, MOST_PLAN).collect().await;
    let body = body.map_err(|_| InvalidPlan::Body)?;
    let plan: SenderPlan = serde_json::from_slice(&body.to_bytes())?;
    plan.check().map_err(|error| InvalidPlan::Value(format!("{error:#}")))?;
    let ahead = Duration::from_micros(plan.start_unix_micros.saturating_sub(unix_micros()));
    if ahead > MOST_AHEAD {
        return Err(InvalidPlan::TooFarAhead(ahead));
    }
    Ok(plan)
}

fn failed(status: StatusCode, text: &str) -> HttpResponse {
    response::json(status, &BTreeMap::from([("error", text)]))
}
