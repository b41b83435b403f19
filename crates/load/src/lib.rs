//! Requests at a fixed rate, and what the client got for them.
//!
//! ```text
//! Plan (rate, time, share) + Targets → engine (open loop) → Recorder → a Tick each second
//!                                                             └→ Report ──merge──▶ Report → Summary
//! ```
//!
//! Nothing here depends on Kubernetes: a target is a server and a request. Several senders that each send a [`Share`] of one plan
//! give reports whose merge is the report of the whole.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

mod connect;
mod engine;
mod exchange;
pub mod grpc;
pub mod latencies;
pub mod outcome;
pub mod plan;
pub mod protocol;
pub mod record;
pub mod report;
pub mod spec;
mod summary;
pub mod target;
mod targets;
#[cfg(feature = "tls")]
pub mod tls;

pub use engine::{Ended, Finished, Observer, Sending, run, run_observed, send};
pub use exchange::request_once;
pub use latencies::Latencies;
pub use outcome::Outcome;
pub use plan::{Plan, Share};
pub use record::Recorder;
pub use report::Report;
pub use spec::TargetSpec;
pub use summary::{Bucket, Latency, Summary, Tick, histogram};
pub use target::{Protocol, Server, Target};
pub use targets::Targets;
#[cfg(feature = "tls")]
pub use tls::Tls;
