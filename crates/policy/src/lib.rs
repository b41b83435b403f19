//! Changes of policies in a cluster: applied, verified and reverted.
//!
//! ```text
//! services  Services and the pods behind them; service_check: whether one is there; test_service: faults and counts of test services
//! policy    PolicyChange: apply, evidence that clients use it, revert; the journal of a session
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

pub mod policy;
mod service_check;
mod service_names;
pub mod services;
pub mod test_service;

pub use service_check::check_service;
pub use service_names::service_names;
