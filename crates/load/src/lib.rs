//! Requests at a fixed rate, and what the user got for them.
//!
//! ```text
//! Plan (rate, time, connections) + Target → engine (open loop) → Recorder → a Tick each second, a Summary at the end
//! ```
//!
//! Nothing here knows Kubernetes: a target is a socket address and a request.

mod engine;
mod exchange;
pub mod outcome;
pub mod record;
pub mod target;

pub use engine::{Ended, Observer, Plan, run, run_observed};
pub use outcome::Outcome;
pub use record::{Latency, Recorder, Summary, Tick};
pub use target::Target;
