//! The proxy from the outside: real HTTP through in-memory streams, counted on both sides.

mod balance;
mod breaking;
mod budget;
mod changes;
mod corpora;
mod counting;
mod framing;
mod fuzzed;
mod hostile;
mod http2;
mod http_route;
mod inbound;
mod ingress;
mod log;
mod metrics;
mod moments;
mod mutual_tls;
mod opaque;
mod policy;
mod profile;
mod random;
mod resets;
mod rules;
mod support;
