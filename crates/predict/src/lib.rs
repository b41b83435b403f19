//! What retries, timeouts and faults will do to a call graph, calculated without a cluster.
//!
//! ```text
//! Model ─→ engine (one run, one seed) ─→ Run ─┬→ recovery: class, relief
//!            │                                └→ predict: many runs on threads ─→ Prediction with intervals
//!            └ budget, breaker, balancer, limits: as crates/dataplane has them
//! edge, closed_form: one edge without queues, where a formula or a simulated budget is enough
//! storm: the scenario that ships; sweep: predictions over a parameter
//! ```
//!
//! The crate is pure: no sockets, no clock, no files. The same model and seed result in the same numbers.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

mod budget;
pub mod closed_form;
pub mod edge;
mod engine;
pub mod interval;
pub mod model;
mod outcome;
pub mod predict;
mod random;
pub mod recovery;
pub mod storm;
pub mod sweep;

pub use budget::Budget;
pub use interval::Interval;
pub use model::{Model, ModelError};
pub use outcome::{EdgeCounts, EdgeRun, Run, Second, ServiceRun};
pub use predict::{Options, Prediction, predict};
pub use recovery::Class;

/// Simulates a model once. The same model and seed result in the same run.
///
/// # Errors
/// When the model is invalid.
pub fn simulate(model: &Model, seed: u64) -> Result<Run, ModelError> {
    model.check()?;
    Ok(engine::simulate(model, seed))
}
