//! The endpoints controller: writes the EndpointSlice and the Endpoints of each Service with a selector.

mod ports;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, ObjectReference, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::task::JoinSet;

use super::controller::{Action, Context, Controller, own_key};
use super::queue::Key;
use crate::api::{Api, ApiError, Deletion};
use crate::object::{ObjectExt, controller_reference, selects, short_hash, string_map};
use crate::pods;
use crate::task;

/// The label of an EndpointSlice with the name of its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

pub(super) fn start(context: &Context, tasks: &mut JoinSet<()>) {
    let queue = Controller::new("endpoints", context, tasks)
        .watch::<Service>(own_key)
        .watch::<EndpointSlice>(|slice| {
            Some((slice.namespace().to_owned(), slice.label(SERVICE_NAME)?.to_owned()))
        })
        .start(|context, key| async move { reconcile(&context.api, &key).await });
    // A pod concerns each Service that selects it.
    let (mut pods, api) = (context.api.watch::<Pod>(), context.api.clone());
    task::start(tasks, async move {
        while let Some(change) = pods.next().await {
            let pod = change.object();
            for service in api.list::<Service>(Some(pod.namespace())) {
                if selects(selector(&service), pod.as_ref()) {
                    queue.push((service.namespace().to_owned(), service.name().to_owned()));
                }
            }
        }
    });
}

fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    service.spec.as_ref()?.selector.as_ref()
}

async fn reconcile(api: &Api, key: &Key) -> Result<Action, ApiError> {
    let (namespace, name) = key;
    let Some(service) = api.get::<Service>(namespace, name) else {
        // The garbage collector deletes the slice; Endpoints have no owner reference.
        return match api.delete::<Endpoints>(namespace, name, Deletion::default()).await {
            Ok(()) | Err(ApiError::NotFound) => Ok(Action::AwaitChange),
            Err(error) => Err(error),
        };
    };
    // The endpoints of a Service without a selector are written by users.
    if service.is_deleting() || selector(&service).is_none() {
        return Ok(Action::AwaitChange);
    }
    let mut pods = api.list::<Pod>(Some(namespace));
    pods.retain(|pod| {
        selects(selector(&service), pod.as_ref()) && !pods::ip(pod).is_empty() && !pods::is_finished(pod)
    });
    let copy = |new: &EndpointSlice, found: &mut EndpointSlice| {
        found.endpoints.clone_from(&new.endpoints);
        found.ports.clone_from(&new.ports);
    };
    api.create_or_update(&slice(&service, &pods), copy).await?;
    let copy = |new: &Endpoints, found: &mut Endpoints| found.subsets.clone_from(&new.subsets);
    api.create_or_update(&endpoints(&service, &pods), copy).await?;
    Ok(Action::AwaitChange)
}

fn node_name(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}

fn is_ready(pod: &Pod, service: &Service) -> bool {
    let publishes_unready =
        service.spec.as_ref().is_some_and(|spec| spec.publish_not_ready_addresses == Some(true));
    publishes_unready || (pods::is_ready(pod) && !pod.is_deleting())
}

fn pod_reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

fn slice(service: &Service, pods: &[Arc<Pod>]) -> EndpointSlice {
    let endpoint = |pod: &Arc<Pod>| Endpoint {
        addresses: vec![pods::ip(pod).to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(is_ready(pod, service)),
            serving: Some(pods::is_ready(pod)),
            terminating: Some(pod.is_deleting()),
        }),
        node_name: node_name(pod),
        target_ref: Some(pod_reference(pod)),
        ..Endpoint::default()
    };
    let suffix = &short_hash(&service.uid())[..5];
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.extend(string_map([
        (SERVICE_NAME, service.name()),
        ("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"),
    ]));
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(format!("{}-{suffix}", service.name())),
            namespace: Some(service.namespace().to_owned()),
            labels: Some(labels),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints: pods.iter().map(endpoint).collect(),
        ports: Some(ports::of_slice(service, pods)),
    }
}

fn endpoints(service: &Service, pods: &[Arc<Pod>]) -> Endpoints {
    let addresses = |ready: bool| {
        let pods = pods.iter().filter(|pod| !pod.is_deleting() && is_ready(pod, service) == ready);
        let addresses: Vec<_> = pods
            .map(|pod| EndpointAddress {
                ip: pods::ip(pod).to_owned(),
                node_name: node_name(pod),
                target_ref: Some(pod_reference(pod)),
                ..EndpointAddress::default()
            })
            .collect();
        (!addresses.is_empty()).then_some(addresses)
    };
    let (ready, not_ready) = (addresses(true), addresses(false));
    let has_addresses = ready.is_some() || not_ready.is_some();
    let subset = || EndpointSubset {
        addresses: ready,
        not_ready_addresses: not_ready,
        ports: Some(ports::of_endpoints(service, pods)),
    };
    Endpoints {
        metadata: ObjectMeta {
            name: Some(service.name().to_owned()),
            namespace: Some(service.namespace().to_owned()),
            labels: Some(string_map([("endpoints.kubernetes.io/managed-by", "endpoint-controller")])),
            ..ObjectMeta::default()
        },
        subsets: has_addresses.then(|| vec![subset()]),
    }
}
