//! Labs: a named cluster with its registry, its add-ons and its entries in the user's kubeconfig.
//!
//! ```text
//! lab      the state folder: record, lock, name; `Env`, what an operation gets from its caller
//! cluster  providers: kind, existing, embedded; the registry and its image; kubeconfig entries
//! connect  from a kubeconfig to a client
//! addons   ingress-nginx and Linkerd: apply, wait, verify
//! up       creates a lab, or completes one; deploy: overlays in the cluster; down: removes a lab
//! image    the test service's image and the registry's API
//! overlay  kustomize overlays; files: what the program ships
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

pub mod addons;
pub mod cluster;
pub mod connect;
pub mod deploy;
pub mod down;
pub mod files;
pub mod image;
pub mod lab;
pub mod overlay;
pub mod up;

pub use lab::{Env, LabName, Provider, Record};
