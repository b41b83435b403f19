//! The controllers: loops that bring the state of the cluster to the state that its objects specify.
//!
//! Each controller watches a few kinds, maps every change to the key of the object that it manages, and reconciles one
//! key at a time from the current state of the API, so that a lost or repeated change has no effect.

mod controller;
mod deployment;
mod endpoints;
mod garbage;
mod namespace;
mod queue;
mod replica_set;
mod rollout;
mod service_account;

pub(crate) use controller::{Action, Context, Controller, own_key};

use tokio::task::JoinSet;

/// Starts all controllers; they end when the set is dropped.
pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>) {
    deployment::start(context, tasks);
    replica_set::start(context, tasks);
    endpoints::start(context, tasks);
    service_account::start(context, tasks);
    namespace::start(context, tasks);
    garbage::start(&context.api, tasks);
}
