//! Topologies: services, how they call each other, their capacity and errors.
//!
//! ```text
//!   file (kind: Topology) ──────────┐
//!   isotope's MockServiceGraph ─────┼─ yaml, read ─→ check ─→ Topology ─┬─→ manifests   objects that run it
//!   shipped topologies (by name) ───┘                                   ├─→ capacity    requests/s it can serve
//!                                                                       ├─→ lint        policies that multiply load
//!                                                                       └─→ write       the same file again
//! ```
//!
//! All functions are pure except [`Topology::load`], which reads one file. An error names the file, the line and, for an unknown
//! name or key, the nearest valid one.
//!
//! ```
//! let topology = meshy_topology::Topology::parse("two.yaml", "
//! apiVersion: meshy/v1alpha1
//! kind: Topology
//! metadata: { name: two }
//! services:
//!   - { name: front, entrypoint: true, calls: [back] }
//!   - { name: back, errors: 2% }
//! ").unwrap();
//! assert_eq!(topology.service("front").unwrap().calls()[0].service, "back");
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

mod capacity;
mod check;
mod error;
mod file;
mod lint;
mod manifests;
mod model;
mod node;
mod parsed;
mod read;
mod shipped;
mod values;
mod write;
pub mod yaml;

#[cfg(test)]
pub(crate) use crate::capacity::visits;
pub use crate::capacity::{CapacityLimit, capacity_limit};
pub use crate::error::{Error, Problem, nearest};
pub use crate::lint::{EdgePolicy, Finding, PolicyEdge, Rule, lint};
pub use crate::manifests::{
    ADMIN_PORT, EntryHost, MANAGED_BY, ManifestOptions, SERVICE_PORT, entry_hosts, manifests, manifests_yaml,
};
pub use crate::model::{
    Call, Capacity, Distribution, Probes, Protocol, ServiceSpec, ServiceTime, Step, Topology,
};
pub use crate::node::{NodeCall, NodeCapacity, NodeConfig, NodeStep};
pub use crate::shipped::shipped;
#[cfg(test)]
pub(crate) use crate::values::parse_size;
pub use crate::values::{format_duration, format_percent, parse_duration, parse_percent};

#[cfg(test)]
mod tests;
