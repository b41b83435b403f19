//! Parses and checks the Kubernetes objects that Linkerd reads. Needs neither a cluster nor a proxy.
//!
//! ```text
//!   names        constants for annotations, labels, API groups and ports
//!   duration     Go durations (profiles) and annotation durations
//!   expression   compiled regular expressions, bounded and shared
//!   profile      ServiceProfile and its retry budget
//!   policy       the annotations retry.linkerd.io/*, timeout.linkerd.io/* and balancer.linkerd.io/*
//!   httproute    the fields of an HTTPRoute that Linkerd uses
//!   generate     a ServiceProfile for a service, from an OpenAPI document
//!   grpc_route   GRPCRoute, read as an HTTPRoute
//!   inbound      Server, AuthorizationPolicy, MeshTLSAuthentication, NetworkAuthentication, HTTPLocalRateLimitPolicy
//!   egress       EgressNetwork
//!   inject       the injection annotation of workloads
//!   effective    which object is in effect for the requests to a Service, and why
//!   migrate      ServiceProfile → HTTPRoutes and annotations, with the differences
//!   lint         objects → findings: problems that the API server does not report
//! ```
//!
//! All functions are pure. The embedded cluster and the commands `lint`, `sp`, `retry` and `inject` share them, so that
//! they interpret an object in the same way.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

pub mod duration;
pub mod effective;
pub mod egress;
pub mod expression;
pub mod generate;
pub mod grpc_route;
pub mod httproute;
pub mod inbound;
pub mod inject;
pub mod lint;
pub mod migrate;
pub mod names;
pub mod policy;
pub mod profile;
