//! The live page: a view of the event stream of a run in a browser. It keeps no data but the events.
//!
//! ```text
//!   Recorder ─ Subscriber ─→ hub      the events of the current run, bounded; state of the controls; details of services
//!   recorded Run ──────────→  │
//!                             ├─→ server   HTTP on 127.0.0.1: token, cookie, Host, Origin; server-sent events
//!                             └─→ save     the same page with its events as one file: the report
//!   browser ─ POST /do ─→ server ─→ control::Controls: what a click does, implemented by the caller
//!   assets    pages, modules and styles inside of the program
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

pub mod assets;
pub mod control;
pub mod hub;
pub mod report;
pub mod save;
pub mod server;

pub use control::{Command, Controls, Details, Mode, State};
pub use hub::Hub;
pub use report::{Report, Reporter};
pub use server::Server;
