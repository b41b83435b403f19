//! The workload of a pod: its ServiceAccount, its Deployment, its identity.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use meshy_linkerd::names;

use super::identity::identity_name;
use crate::api::{Api, Typed};
use crate::object::ObjectExt;

/// Returns the ServiceAccount of a pod.
pub(super) fn service_account(pod: &Pod) -> &str {
    match pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()) {
        None | Some("") => "default",
        Some(name) => name,
    }
}

/// Returns the identity of a pod's proxy, or `None` if the pod is not meshed.
pub(super) fn proxy_identity(pod: &Pod) -> Option<Arc<str>> {
    pod.label(names::CONTROL_PLANE_NS_LABEL)?;
    Some(identity_name(service_account(pod), pod.namespace()).into())
}

/// Returns the Deployment of a pod in `namespace`. During admission, the namespace of the pod is not set yet.
pub(super) fn deployment(api: &Api, namespace: &str, pod: &Pod) -> Option<Arc<Deployment>> {
    let set = controller::<ReplicaSet>(api, namespace, pod)?;
    controller::<Deployment>(api, namespace, set.as_ref())
}

fn controller<K: Typed>(api: &Api, namespace: &str, object: &impl ObjectExt) -> Option<Arc<K>> {
    let owner = object.controller().filter(|owner| owner.kind == K::KIND)?;
    api.get::<K>(namespace, &owner.name).filter(|found| found.uid() == owner.uid)
}
