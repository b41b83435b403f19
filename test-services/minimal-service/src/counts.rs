//! What a service counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts since the start: the body of `GET /counts`. Health checks and `/crash` are not counted.
///
/// When no request is open, `requests` is the sum of `responses` and `disconnected`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Counts {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that failed on purpose with an error status.
    pub rejected: u64,
    /// Requests that were discarded: they got an empty 200.
    pub discarded: u64,
    /// Responses by status; open requests and those whose client disconnected are not included.
    pub responses: BTreeMap<u16, u64>,
    /// Requests with an id, by attempt number. The number is per id and caller.
    pub attempts: BTreeMap<u32, u64>,
    /// Requests with an id that got a status below 400, by attempt number.
    #[serde(default)]
    pub served: BTreeMap<u32, u64>,
    /// Ids in memory now; an id from two callers is two.
    pub ids: u64,
    /// Ids dropped to bound memory; attempts of a dropped id are counted from 1 again.
    pub forgotten: u64,
    /// Requests by the caller in their header; `(other)` are the callers after the first 64.
    #[serde(default)]
    pub callers: BTreeMap<String, u64>,
    /// The calls of the script by service.
    #[serde(default)]
    pub calls: BTreeMap<String, CallCounts>,
    /// Requests that got 503 because the queue was full.
    #[serde(default)]
    pub queue_rejections: u64,
    /// Requests whose client disconnected before the response.
    #[serde(default)]
    pub disconnected: u64,
    /// Those of `disconnected` that got a worker: their work was wasted.
    #[serde(default)]
    pub wasted: u64,
    /// The service time and delay of wasted requests, in seconds; without the calls of the script.
    #[serde(default)]
    pub wasted_seconds: f64,
    /// The service time and delay of all requests, wasted or not, in seconds; open requests are not included.
    #[serde(default)]
    pub service_seconds: f64,
    /// Open requests now: those that have a worker, with or without a client, and those that wait for one.
    #[serde(default)]
    pub in_flight: u64,
    /// Requests that wait for a worker now.
    #[serde(default)]
    pub queued: u64,
    /// The highest `in_flight` since the start or the last `DELETE /counts/peaks`.
    #[serde(default)]
    pub peak_in_flight: u64,
    /// The highest `queued` since then.
    #[serde(default)]
    pub peak_queued: u64,
}

/// The calls to one service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct CallCounts {
    /// Calls that were started.
    pub requests: u64,
    /// Responses by status.
    pub responses: BTreeMap<u16, u64>,
    /// Calls without a response: no connection, connection lost, or timed out. Calls that were stopped, because their
    /// client disconnected and the node cancels work, are neither responses nor failed.
    pub failed: u64,
}
