//! The mesh: the proxy injector, and the service discovery of the proxies.
//!
//! ```text
//!   ServiceProfile ──► profile ───────┐
//!   HTTPRoute, GRPCRoute ► routes ────┤
//!   Service ─────────► policy ────────┼─► discovery ──► dataplane::Proxy (one for each meshed pod)
//!   EndpointSlice ───► service_table ─┤
//!   EgressNetwork ───► egress ────────┤
//!   Server and others ► inbound ──────┘
//!   Pod created ─────► inject
//! ```

mod discovery;
mod egress;
mod endpoints;
mod identity;
mod inbound;
mod inject;
mod policy;
mod profile;
mod proxy;
mod route_index;
mod route_status;
mod routes;
mod shared;
mod targets;
mod workload;

pub(crate) use discovery::Mesh;
pub(crate) use identity::Authority;
pub(crate) use inject::Injector;
pub(crate) use proxy::ProxyProgram;
