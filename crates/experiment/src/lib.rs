//! Describes experiments and what comes out of them. Knows neither Kubernetes nor a terminal: the runner in the binary
//! applies policies and sends load, this crate reads its instructions and records its events.
//!
//! ```text
//!   scenario   a YAML file → topology, parameters, variants, steps, expectations; what changes between two steps
//!   condition  `retries.success > no-retries.success`: parsed, and judged by confidence intervals
//!   event      what a run emits; a recorder that writes each event and feeds views
//!   run        a recorded run: totals for each step, series over time, replay
//!   chart      the picture of a run: SVG and text for a terminal
//!   storm      goodput over time → recovered or metastable
//!   gate       JUnit XML and a Markdown summary for pipelines
//! ```
//!
//! The formats are described in `docs/scenarios.md`, their JSON schemas are in `schemas/`.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

mod at;
pub mod chart;
pub mod condition;
mod error;
pub mod event;
pub mod gate;
pub mod interval;
pub mod latency;
pub mod run;
pub mod scenario;
#[cfg(test)]
mod schemas;
pub mod storm;
mod units;

pub use at::At;
pub use error::{Invalid, Problem};
pub use units::{Factor, Length, PerSecond, Ratio};
