//! The proxy from the outside: real HTTP through in-memory streams, counted on both sides.

mod balance;
mod budget;
mod changes;
mod counting;
mod hostile;
mod ingress;
mod metrics;
mod mutual_tls;
mod opaque;
mod policy;
mod profile;
mod support;
