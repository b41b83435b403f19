//! Kubernetes as meshy uses it: manifests to objects, server-side apply in order, waits that know their reason.
//!
//! ```text
//! port_forward  one port of a pod
//! transport (checks each response) → kinds (discovery, kept) → apply (by rank, parallel within one) → wait (by watch)
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

pub mod apply;
mod body;
mod conflict;
pub mod delete;
pub mod failure;
pub mod kinds;
pub mod manifest;
pub mod own;
pub mod port_forward;
mod rank;
mod readiness;
mod ready;
pub mod stuck;
mod transport;
pub mod wait;

pub use apply::{Applied, Apply, Manager};
pub use kinds::{Kinds, NotServed};
pub use ready::{is_node_ready, is_pod_ready};
pub use transport::checked;

/// An object of any kind.
pub type Object = kube::api::DynamicObject;

/// The label on what meshy makes; `down` goes by it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY`] and the field manager of manifests.
pub const MESHY: &str = "meshy";

/// Returns whether meshy created an object: its label [`MANAGED_BY`] names meshy.
pub fn is_from_meshy(object: &impl kube::ResourceExt) -> bool {
    object.labels().get(MANAGED_BY).is_some_and(|by| by == MESHY)
}
