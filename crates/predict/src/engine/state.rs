//! What the simulation keeps about calls, jobs, proxies and pods.

use std::collections::VecDeque;

use super::Time;
use super::breaker::BreakerState;
use super::latency::Latency;
use super::limiter::Bucket;
use super::slab::Key;
use crate::budget::Budget;

/// A request of a client, with all its attempts.
pub(super) struct Call {
    pub(super) edge: u32,
    pub(super) proxy: u32,
    pub(super) parent: Parent,
    pub(super) started: Time,
    /// `Time::MAX` without a timeout.
    pub(super) deadline: Time,
    pub(super) retries: u32,
    /// The attempt in progress.
    pub(super) attempt: Option<Key>,
    /// During a backoff the status of the attempt before it.
    pub(super) status: u16,
}

/// Who waits for a call.
#[derive(Clone, Copy)]
pub(super) enum Parent {
    Load,
    Job { job: Key, optional: bool },
}

/// One attempt of a call, and the work that it causes at a pod.
pub(super) struct Job {
    /// The client's call; `None` after it disconnected.
    pub(super) call: Option<Key>,
    pub(super) edge: u32,
    pub(super) proxy: u32,
    /// The pod, once it is chosen.
    pub(super) endpoint: u32,
    /// Whether this attempt decides about an open breaker.
    pub(super) probe: bool,
    /// Whether the timeout that was set is one that is retried.
    pub(super) timeout_is_retryable: bool,
    pub(super) refused: bool,
    /// When the pod was chosen.
    pub(super) started: Time,
    pub(super) place: Place,
    /// When a worker began.
    pub(super) begun: Time,
    pub(super) service_time: Time,
    /// The position in the script and how many of its steps have not ended.
    pub(super) group: u32,
    pub(super) pending: u32,
    /// The status of the first failed mandatory call; 0 while there is none.
    pub(super) status: u16,
    /// The calls of a service that cancels.
    pub(super) children: Vec<Key>,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the client's proxy, which has no available endpoint.
    Waiting,
    Traveling,
    Queued,
    Serving,
    Script,
}

/// The outbound side of one client for one edge.
pub(super) struct Proxy {
    pub(super) budget: Option<Budget>,
    pub(super) endpoints: Vec<Endpoint>,
    /// Attempts that wait for an available endpoint.
    pub(super) waiting: VecDeque<Key>,
    /// Whether the time until fail-fast is running, and which time that is.
    pub(super) unavailable: bool,
    pub(super) epoch: u32,
    pub(super) fail_fast: bool,
}

/// A pod as one proxy tracks it.
pub(super) struct Endpoint {
    pub(super) latency: Latency,
    pub(super) breaker: Option<BreakerState>,
}

/// A pod.
#[derive(Default)]
pub(super) struct Replica {
    pub(super) busy: usize,
    pub(super) queue: VecDeque<Key>,
    /// Of the current block of shuffled errors: requests and failures that are left.
    pub(super) block: (u8, u8),
    pub(super) total: Option<Bucket>,
    /// By the calling service; the last is the load.
    pub(super) identities: Vec<Bucket>,
}

/// What happens to a new attempt.
pub(super) enum Pick {
    Endpoint { endpoint: usize, probe: bool },
    Wait,
    Reject,
}

/// How an attempt at an endpoint ended.
pub(super) struct Ended {
    pub(super) started: Time,
    pub(super) probe: bool,
    /// Whether its response is a failure; `None` without a response.
    pub(super) failure: Option<bool>,
}

/// How an attempt ended for its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The service or its proxy responded with this status.
    Response(u16),
    /// The attempt took longer than a retried attempt may.
    HeadersTimeout,
    /// The attempt took longer than any attempt may.
    ResponseTimeout,
    /// The attempt waited too long for an available endpoint.
    FailFast,
    /// The attempt was rejected since too many wait or the service is in fail-fast.
    LoadShed,
}

impl Outcome {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Response(status) => status,
            Self::LoadShed => 503,
            Self::HeadersTimeout | Self::ResponseTimeout | Self::FailFast => 504,
        }
    }
}
