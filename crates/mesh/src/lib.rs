//! What Linkerd reads of Kubernetes objects, without a cluster and without a proxy.
//!
//! ```text
//!   names        annotations, labels, groups: spelled once
//!   duration     Go's durations (profiles) and Linkerd's own (annotations)
//!   profile      ServiceProfile, typed; its budget and whether the proxy takes it
//!   policy       retry.linkerd.io/*, timeout.linkerd.io/* and the circuit breaker's annotations
//!   httproute    HTTPRoute as far as Linkerd follows it
//!   inject       the injection annotation on any workload
//!   lint         objects → findings: what is accepted by the API server and still does not do what it says
//! ```
//!
//! Everything here takes values and gives values. The embedded cluster's translator, the `lint`, `sp`, `retry` and
//! `inject` commands share it, so that they cannot disagree about what an object means.

pub mod duration;
pub mod httproute;
pub mod inject;
pub mod lint;
pub mod names;
pub mod policy;
pub mod profile;
