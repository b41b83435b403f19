//! Runs the script of a node: sleeps and calls, in sequence or at the same time.

use std::future::poll_fn;
use std::task::Poll;

use http::StatusCode;
use http::header::HeaderValue;
use meshy_net::BoxFuture;
use tokio::time::sleep;

use crate::distribution::milliseconds;
use crate::node::{Call, Node, Step};
use crate::state::State;
use crate::upstream::{Outgoing, UpstreamError};

/// A mandatory call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The status of the call; 502 if there was no response, 504 if it timed out.
    pub(crate) status: StatusCode,
    reason: String,
}

impl Failure {
    /// Returns the body of the response: the reason phrase of the status, and which call failed.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}\n", self.status.canonical_reason().unwrap_or("Failed"), self.reason)
    }
}

struct Script<'a> {
    state: &'a State,
    id: &'a HeaderValue,
    caller: HeaderValue,
}

/// Runs the script of a node for a request with this id.
///
/// # Errors
/// Returns the first mandatory call that failed: its status is 400 or above, or there is no response. Steps after it do
/// not run. Parallel steps all run to their end; of several that failed, the first in time is returned.
pub(crate) async fn run(state: &State, node: &Node, id: &HeaderValue) -> Result<(), Failure> {
    let caller = HeaderValue::from_str(&node.name).expect("a name has letters, digits and `-`");
    Script { state, id, caller }.sequence(&node.script).await
}

impl Script<'_> {
    fn sequence<'a>(&'a self, steps: &'a [Step]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            for step in steps {
                self.step(step).await?;
            }
            Ok(())
        })
    }

    async fn step(&self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::SleepMs(number) => {
                sleep(milliseconds(*number)).await;
                Ok(())
            }
            Step::Call(call) => self.call(call).await,
            Step::Parallel(steps) => {
                let each = steps.iter().map(|step| self.sequence(std::slice::from_ref(step)));
                all(each.collect()).await
            }
        }
    }

    async fn call(&self, call: &Call) -> Result<(), Failure> {
        let service = call.service.as_str();
        {
            let mut ledger = self.state.ledger();
            if !ledger.occurs(call.probability) {
                return Ok(());
            }
            ledger.call(service);
        }
        let outgoing = Outgoing {
            endpoint: &call.url,
            id: self.id,
            caller: Some(&self.caller),
            bytes: call.request_bytes,
        };
        let result = self.state.upstream.send(&outgoing).await;
        self.state.ledger().called(service, result.as_ref().ok().map(http::Response::status));
        let failure = match result {
            Ok(response) if response.status().as_u16() < 400 => return Ok(()),
            Ok(response) => {
                let status = response.status();
                Failure { status, reason: format!("call to {service} returned {status}") }
            }
            Err(error) => {
                self.state.log(format!("ERROR call to {service}: {error}"));
                let status = match error {
                    UpstreamError::TimedOut => StatusCode::GATEWAY_TIMEOUT,
                    _ => StatusCode::BAD_GATEWAY,
                };
                Failure { status, reason: format!("call to {service} failed: {error}") }
            }
        };
        if call.optional { Ok(()) } else { Err(failure) }
    }
}

/// Runs futures at the same time in this task, until all are complete; returns the first error in time. Dropping it stops
/// all of them.
async fn all<E>(mut open: Vec<BoxFuture<'_, Result<(), E>>>) -> Result<(), E> {
    let mut first = Ok(());
    poll_fn(|context| {
        open.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(result) => {
                if first.is_ok() {
                    first = result;
                }
                false
            }
            Poll::Pending => true,
        });
        if open.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    first
}
