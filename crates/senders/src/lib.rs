//! Load from pods of a cluster: senders, which are meshed like any workload, so that the policies of a client apply.
//!
//! ```text
//! Fleet::start     pods in the role of a sender, until they are ready
//! Fleet::plan      clocks compared → one plan per sender with the agreed start
//! Planned::follow  reports, each second → merged Sent
//! Fleet::end       deletes the pods
//! cleanup          deletes the pods that a run left behind
//! ```
//!
//! A sender that dies does not end the load: what it reported until then counts, and [`Sent::is_incomplete`] is true.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

mod clock;
mod control;
mod fleet;
mod identity;
mod planned;
mod pod;
mod progress;
mod sent;

pub use fleet::Fleet;
pub use identity::Identity;
pub use planned::{Load, Planned};
pub use pod::{Placement, cleanup, is_sender, leftovers};
pub use sent::{Sender, Sent};
