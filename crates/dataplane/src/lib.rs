//! A proxy that treats requests as Linkerd 2.20 treats them.
//!
//! It contains no Kubernetes code: [`Discovery`] returns typed targets of destinations, `meshy_net` opens connections. It
//! takes the place of Linkerd's proxy on the embedded cluster. `docs/dataplane-rules.md` lists the rules that it follows,
//! each with its test, and the differences.
//!
//! ```text
//!             outbound                                                          inbound
//!   app ──► discover ─► logical ─► route ─────────────► concrete ─► endpoint ──► detect ─► count ──► app
//!           (target)   (first     (count effective ⊃   (two random  (pool, TLS,  (TLS,     (inbound
//!                       match)     timeout ⊃ retry ⊃    choices,     502/504,     HTTP,     profile)
//!                                  count actual)        breaker)     metrics)     else TCP)
//! ```
//!
//! Modules, lowest first; each uses only those in the lines before it:
//!
//! ```text
//!   backoff  headers  policy  profile  detect  error  identity  log
//!   budget   classify  route_filters  target
//!   config   health  metrics
//!   transport  body
//!   client  error_response  serve
//!   admin  inbound  outbound
//!   proxy
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

mod admin;
mod backoff;
mod body;
mod budget;
mod classify;
mod client;
mod config;
mod detect;
mod error;
mod error_response;
mod headers;
mod health;
mod identity;
mod inbound;
mod log;
mod metrics;
mod outbound;
pub mod policy;
pub mod profile;
mod proxy;
mod route_filters;
mod serve;
mod target;
mod transport;

pub use budget::{Budget, Decision, DecisionLog};
pub use config::{Mode, Probe, ProxyConfig};
pub use identity::{Identity, IdentityError};
pub use log::{LogSink, ParseLogLevelError, ProxyLog, parse_log_level};
pub use proxy::Proxy;
pub use target::{Destination, Discovery, Endpoint, Target};
