//! A proxy that treats a request as Linkerd 2.20 treats it.
//!
//! It knows HTTP and not Kubernetes: what a destination is comes typed through [`Discovery`], bytes come and go through
//! `meshy_net`. It stands in for Linkerd on the embedded cluster; `docs/dataplane-rules.md` lists the rules it keeps and
//! what differs.
//!
//! ```text
//!             outbound                                                          inbound
//!   app ──► discover ─► logical ─► route ─────────────► concrete ─► endpoint ──► detect ─► count ──► app
//!           (target)   (first     (count effective ⊃   (two random  (pool, TLS,  (TLS,     (inbound
//!                       match)     timeout ⊃ retry ⊃    choices,     502/504,     HTTP,     profile)
//!                                  count actual)        breaker)     metrics)     else TCP)
//! ```

mod admin;
mod body;
mod budget;
mod classify;
mod client;
mod detect;
mod error;
mod identity;
mod inbound;
mod listed;
mod metrics;
mod outbound;
pub mod policy;
pub mod profile;
mod proxy;
mod serve;
mod target;
mod transport;

pub use budget::{Budget, Decision, DecisionLog};
pub use identity::{Identity, IdentityError};
pub use proxy::{Mode, Probe, Proxy, ProxyConfig};
pub use target::{Destination, Discovery, Endpoint, Target};
