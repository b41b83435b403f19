//! A small Kubernetes API server: one process, in memory, no controllers.
//!
//! It knows Kubernetes' rules for objects (patches, server-side apply, watches, custom resources) and nothing of what
//! runs behind them: pods' logs and ports come from a [`PodBackend`], changes to objects on their way in from
//! [`Admission`] hooks, and whoever holds the [`Server`] brings the controllers.
//!
//! ```text
//!   kubectl ─ HTTPS ─ serve ─┐
//!   kube::Client ────────────┴─ Server::service ─ http ─┬─ discovery, openapi
//!   controllers ──────────────── Server::store ─────────┴─ write: patch ─ defaults ─ validate ─ store
//! ```

mod address;
mod admission;
mod auth;
mod core;
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
mod store;
mod table;
mod tls;
mod validate;
mod value;
mod watch;
mod write;

pub use admission::{Admission, Operation, Review};
pub use auth::Token;
pub use error::{ApiError, Cause, Result};
pub use http::{Body, Service};
pub use kubeconfig::kubeconfig;
pub use local::{List, Local};
pub use options::{DeleteOptions, FieldValidation, ListOptions, Propagation, WriteOptions};
pub use pods::{LogOptions, PodBackend};
pub use serve::Served;
pub use server::{Options, Server};
pub use store::{Change, Event, Key, Object};
pub use tls::Authority;
pub use watch::Watch;
pub use write::{Deleted, Patch, Written};
