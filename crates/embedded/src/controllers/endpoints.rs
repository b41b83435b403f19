//! EndpointSlices and Endpoints: which pods a Service's traffic may go to.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::queue::own_key;
use super::{Key, Outcome, Source, queue, run};
use crate::api::{Api, ApiError, Change, ENDPOINT_SLICES, ENDPOINTS, Object, PODS, SERVICES};
use crate::object::{
    holds, int, is_deleting, list, name, owner_reference, selects_plain, short_hash, text, uid,
};

pub(super) fn start(api: &Api, tasks: &mut JoinSet<()>) {
    let sources: Vec<Source> = vec![
        (SERVICES, own_key),
        (ENDPOINT_SLICES, |slice| {
            let service = crate::object::label(slice, "kubernetes.io/service-name")?;
            Some((text(slice, "/metadata/namespace").to_owned(), service.to_owned()))
        }),
    ];
    let keys = run_with_pushes(api, tasks, sources);
    // A pod concerns every Service that selects it, now or before.
    let (mut pods, api) = (api.watch(PODS), api.clone());
    tasks.spawn(async move {
        while let Some(change) = pods.next().await {
            let (Change::Applied(pod) | Change::Deleted(pod)) = change;
            for service in api.list(SERVICES, Some(text(&pod, "/metadata/namespace"))) {
                if selects_plain(service.pointer("/spec/selector"), &pod) {
                    keys.push(own_key(&service));
                }
            }
        }
    });
}

fn run_with_pushes(api: &Api, tasks: &mut JoinSet<()>, sources: Vec<Source>) -> queue::Pusher {
    run(api, tasks, "endpoints", sources, |api, key| async move { reconcile(&api, &key).await })
}

async fn reconcile(api: &Api, key: &Key) -> Result<Outcome, ApiError> {
    let Some(service) = api.get(SERVICES, &key.0, &key.1) else {
        // The slice goes by its owner reference; Endpoints carry the Service's name and none.
        return api.delete_if_there(ENDPOINTS, &key.0, &key.1).await.map(|()| Outcome::Done);
    };
    // Without a selector someone else writes them.
    if is_deleting(&service) || service.pointer("/spec/selector").is_none_or(|s| s.is_null()) {
        return Ok(Outcome::Done);
    }
    let mut pods = api.list(PODS, Some(&key.0));
    pods.retain(|pod| {
        selects_plain(service.pointer("/spec/selector"), pod)
            && !text(pod, "/status/podIP").is_empty()
            && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
    });
    let slice = slice(&service, &pods);
    let slice_name = name(&slice).to_owned();
    api.put(ENDPOINT_SLICES, &key.0, &slice_name, slice, &["endpoints", "ports"]).await?;
    api.put(ENDPOINTS, &key.0, &key.1, endpoints(&service, &pods), &["subsets"]).await?;
    Ok(Outcome::Done)
}

fn is_ready(pod: &Value, service: &Value) -> bool {
    let unready_too = service.pointer("/spec/publishNotReadyAddresses") == Some(&json!(true));
    unready_too || (holds(pod, "Ready") && !is_deleting(pod))
}

/// The pod's port that a Service's port leads to: a number, or a name looked up among the containers' ports.
fn target_port(port: &Value, pods: &[Object]) -> Option<i64> {
    match port.get("targetPort") {
        None | Some(Value::Null) => int(port, "/port"),
        Some(Value::String(wanted)) => pods.iter().find_map(|pod| named_port(pod, wanted)),
        Some(number) => number.as_i64(),
    }
}

fn named_port(pod: &Value, wanted: &str) -> Option<i64> {
    list(pod, "/spec/containers")
        .iter()
        .chain(list(pod, "/spec/initContainers"))
        .flat_map(|container| list(container, "/ports"))
        .find(|port| text(port, "/name") == wanted)
        .and_then(|port| int(port, "/containerPort"))
}

fn ports(service: &Value, pods: &[Object], with_protocol: bool) -> Vec<Value> {
    list(service, "/spec/ports")
        .iter()
        .filter_map(|port| {
            let mut found = json!({ "port": target_port(port, pods)?, "protocol": "TCP" });
            if with_protocol || !text(port, "/name").is_empty() {
                found["name"] = json!(text(port, "/name"));
            }
            if let Some(protocol) = port.get("appProtocol") {
                found["appProtocol"] = protocol.clone();
            }
            Some(found)
        })
        .collect()
}

fn pod_reference(pod: &Value) -> Value {
    json!({ "kind": "Pod", "name": name(pod), "namespace": text(pod, "/metadata/namespace"), "uid": uid(pod) })
}

fn slice(service: &Value, pods: &[Object]) -> Value {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|pod| {
            json!({
                "addresses": [text(pod, "/status/podIP")],
                "conditions": {
                    "ready": is_ready(pod, service),
                    "serving": holds(pod, "Ready"),
                    "terminating": is_deleting(pod),
                },
                "nodeName": text(pod, "/spec/nodeName"),
                "targetRef": pod_reference(pod),
            })
        })
        .collect();
    let suffix = &short_hash(&json!(uid(service)))[..5];
    let mut labels = service["metadata"].get("labels").cloned().unwrap_or_else(|| json!({}));
    labels["kubernetes.io/service-name"] = json!(name(service));
    labels["endpointslice.kubernetes.io/managed-by"] = json!("endpointslice-controller.k8s.io");
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-{suffix}", name(service)),
            "namespace": text(service, "/metadata/namespace"),
            "labels": labels,
            "ownerReferences": [owner_reference(service, "v1", "Service")],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports(service, pods, true),
    })
}

fn endpoints(service: &Value, pods: &[Object]) -> Value {
    let address = |pod: &Object| {
        json!({
            "ip": text(pod, "/status/podIP"),
            "nodeName": text(pod, "/spec/nodeName"),
            "targetRef": pod_reference(pod),
        })
    };
    let (ready, not_ready): (Vec<_>, Vec<_>) =
        pods.iter().filter(|pod| !is_deleting(pod)).partition(|pod| is_ready(pod, service));
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": name(service),
            "namespace": text(service, "/metadata/namespace"),
            "labels": { "endpoints.kubernetes.io/managed-by": "endpoint-controller" },
        },
    });
    if ready.is_empty() && not_ready.is_empty() {
        return object;
    }
    let mut subset = json!({ "ports": ports(service, pods, false) });
    for (field, pods) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
        if !pods.is_empty() {
            subset[field] = pods.into_iter().map(address).collect();
        }
    }
    object["subsets"] = json!([subset]);
    object
}
