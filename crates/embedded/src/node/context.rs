//! What the workers of the node share.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Notify;

use crate::api::Api;
use crate::events::EventRecorder;
use crate::network::{Fabric, PodNetwork};
use crate::program::Programs;
use crate::service_table::ServiceTable;

/// What all pods of the node share.
pub(crate) struct NodeContext {
    pub(crate) node_name: String,
    pub(crate) api: Api,
    pub(crate) events: EventRecorder,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) services: Arc<ServiceTable>,
    pub(crate) programs: Programs,
}

/// What the containers of a pod share.
pub(super) struct PodContext {
    pub(super) node: Arc<NodeContext>,
    /// The pod as it was when the node admitted it.
    pub(super) pod: Arc<Pod>,
    pub(super) network: PodNetwork,
    /// Notified on each change of the status of a container.
    pub(super) changed: Notify,
}
