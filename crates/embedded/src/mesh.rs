//! The mesh: what users of Linkerd see of it in the cluster, and what the proxies are told.
//!
//! ```text
//!   ServiceProfile ──► profile ─┐
//!   HTTPRoute ───────► policy  ─┼─► discovery ──► dataplane::Proxy (one a meshed pod)
//!   EndpointSlice ───► topology ┘
//!   Pod created ─────► inject
//! ```

pub(crate) mod discovery;
pub(crate) mod identity;
pub(crate) mod inject;
mod policy;
mod profile;
pub(crate) mod proxy;
mod routes;

pub(crate) use discovery::Mesh;
