//! The proxies of the control plane's own pods, which no injector makes.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::addons::template::{self, Values};
use meshy_kube::Object;

const PROXY: &str = include_str!("../../../../../linkerd/proxy.yaml");

/// Adds proxy, init container and volumes to a Deployment of the control plane.
///
/// # Errors
/// None for the manifests shipped here.
pub(super) fn add(deployment: &mut Object, values: &Values) -> anyhow::Result<()> {
    let component = deployment.metadata.name.clone().unwrap_or_default();
    let pod = deployment.data.pointer_mut("/spec/template/spec").context("a Deployment without a pod")?;
    let ports: Vec<String> = members(pod, "containers")
        .flat_map(|c| c["ports"].as_array().into_iter().flatten())
        .filter_map(|port| Some(port["containerPort"].as_u64()?.to_string()))
        .collect();
    let mut values = values.clone();
    values.insert("inbound_ports", ports.join(","));
    for (name, owner, service, port) in [
        ("destination_address", "linkerd-destination", "linkerd-dst-headless", 8086),
        ("policy_address", "linkerd-destination", "linkerd-policy", 8090),
        ("identity_address", "linkerd-identity", "linkerd-identity-headless", 8080),
    ] {
        // A component's proxy asks its own pod, not another one that may not be there yet.
        let host = if component == owner {
            "localhost.".to_owned()
        } else {
            format!("{service}.linkerd.svc.cluster.local.")
        };
        values.insert(name, format!("{host}:{port}"));
    }
    let mut parts = template::fill(PROXY, &values)?.swap_remove(0);
    let (init, mut proxy) = (parts["init"].take(), parts["proxy"].take());
    if component == "linkerd-identity" {
        // Its proxy gets its certificate from the container next to it, so neither may wait for the other. It cannot ask
        // the policy controller before that, and so is asked to insist on TLS where certificates are asked for.
        push(&mut proxy, "env", json!({"name": "LINKERD2_PROXY_INBOUND_PORTS_REQUIRE_TLS", "value": "8080"}));
        push(pod, "containers", proxy);
        push(pod, "initContainers", init);
    } else {
        proxy["restartPolicy"] = json!("Always");
        proxy["startupProbe"] = parts["startupProbe"].take();
        push(pod, "initContainers", init);
        push(pod, "initContainers", proxy);
    }
    for volume in parts["volumes"].as_array().into_iter().flatten() {
        push(pod, "volumes", volume.clone());
    }
    Ok(())
}

fn members<'a>(pod: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    pod[key].as_array().into_iter().flatten()
}

fn push(value: &mut Value, key: &str, item: Value) {
    match value[key].as_array_mut() {
        Some(items) => items.push(item),
        None => value[key] = json!([item]),
    }
}
