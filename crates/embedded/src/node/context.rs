//! What the workers of the node share.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Notify;

use crate::api::Api;
use crate::events::EventRecorder;
use crate::mesh::Mesh;
use crate::network::{Fabric, PodNetwork};
use crate::service_table::ServiceTable;

/// What all pods of the node share.
pub(crate) struct NodeContext {
    pub(crate) node_name: String,
    pub(crate) api: Api,
    pub(crate) events: EventRecorder,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) services: Arc<ServiceTable>,
    pub(crate) mesh: Arc<Mesh>,
}

/// What the containers of a pod share.
pub(crate) struct PodContext {
    pub(crate) node: Arc<NodeContext>,
    /// The pod as it was when the node admitted it.
    pub(crate) pod: Arc<Pod>,
    pub(crate) network: PodNetwork,
    /// Notified on each change of the status of a container.
    pub(crate) changed: Notify,
}
