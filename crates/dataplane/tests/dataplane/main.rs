//! Tests of the proxy from the outside: HTTP over in-memory streams, counted on both sides.

mod balance;
mod breaker;
mod budget;
mod changes;
mod corpora;
mod counters;
mod framing;
mod fuzzed;
mod hostile;
mod http2;
mod http_route;
mod inbound;
mod ingress;
mod log;
mod measured;
mod metrics;
mod mutual_tls;
mod opaque;
mod policy;
mod profile;
mod random;
mod resets;
mod rules;
mod support;
mod timing;
