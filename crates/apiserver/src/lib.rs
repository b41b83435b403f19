//! A small Kubernetes API server: one process, in memory, no controllers.
//!
//! It implements Kubernetes' rules for objects: patches, server-side apply, watches, custom resources. The owner of the
//! [`Server`] supplies what runs behind the objects: a [`PodBackend`] serves logs and ports of pods, [`Admission`]
//! hooks change or reject writes, and controllers use the [`LocalClient`].
//!
//! ```text
//!   kubectl ─ HTTPS ─ serve ─┐
//!   kube::Client ────────────┴─ Server::service ─ http ─┬─ discovery, openapi
//!   controllers ──────────────── Server::client ────────┴─ write: patch ─ defaults ─ validate ─ store
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

mod address;
mod admission;
mod auth;
mod clock;
mod defaults;
mod discovery;
mod error;
mod http;
mod kinds;
mod kubeconfig;
mod local;
mod openapi;
mod options;
mod patch;
mod pods;
mod quantity;
mod schema;
mod selector;
mod serve;
mod server;
mod state;
mod store;
mod system;
mod table;
mod tls;
mod uid;
mod validate;
mod value;
mod watch;
mod write;

pub use admission::{Admission, AdmissionRequest, Operation};
pub use auth::Token;
pub use error::{ApiError, Cause, Result};
pub use http::{Body, Service};
pub use kubeconfig::kubeconfig;
pub use local::{List, LocalClient};
pub use options::{DeleteOptions, FieldValidation, ListOptions, Propagation, WriteOptions};
pub use pods::{LogOptions, PodBackend};
pub use serve::RunningServer;
pub use server::Server;
pub use state::Options;
pub use store::{Change, Event, Key, Object};
pub use tls::CertificateAuthority;
pub use watch::Watch;
pub use write::{DeleteResult, Patch, WriteResult};
