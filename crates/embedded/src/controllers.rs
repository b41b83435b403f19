//! The loops that make what is there follow what is wanted.
//!
//! Each watches a few kinds, turns every change into the key of the object it manages, and reconciles one key at a
//! time from what the API holds at that moment, so that a lost or repeated change does no harm.

mod deployment;
mod endpoints;
mod garbage;
mod namespace;
mod queue;
mod replica_set;
mod rollout;
mod service_account;

pub(crate) use queue::{Key, Outcome, Source, own_key, run};

use tokio::task::JoinSet;

use crate::api::Api;

/// Starts all controllers; they end when the set is dropped.
pub(crate) fn start(api: &Api, tasks: &mut JoinSet<()>) {
    deployment::start(api, tasks);
    replica_set::start(api, tasks);
    endpoints::start(api, tasks);
    service_account::start(api, tasks);
    namespace::start(api, tasks);
    garbage::start(api, tasks);
}
