//! Checks of rate limits. Measured: a limit `total` also counts the probes of the kubelet, and a pod that fails them is taken
//! out of its Service.

use serde_json::Value;

use super::world::Item;
use super::{Sink, World};
use crate::inject;

/// Checks an HTTPLocalRateLimitPolicy.
pub(super) fn lint(world: &World, sink: &mut Sink<'_>) {
    let spec = &sink.object()["spec"];
    if spec.get("total").is_none_or(Value::is_null) || spec["targetRef"]["kind"] != "Server" {
        return;
    }
    let (name, namespace) =
        (spec["targetRef"]["name"].as_str().unwrap_or_default(), sink.item.namespace_or_default());
    let server = world.of_kind("Server").find(|s| s.name() == name && s.namespace_or_default() == namespace);
    let probed = server.and_then(|server| {
        world
            .all()
            .find(|item| item.namespace_or_default() == namespace && is_probed(item, &server.object["spec"]))
    });
    if let Some(workload) = probed {
        let what =
            format!("{} `{}` has a probe on the port of Server `{name}`", workload.kind(), workload.name());
        sink.add(
            "rate-limit-probes",
            "spec.total",
            what,
            "probe a port that no Server with a rate limit selects",
        );
    }
}

/// Returns whether the pods of a workload are selected by a Server on the port of one of their HTTP probes.
fn is_probed(item: &Item, server: &Value) -> bool {
    let Some(template) =
        inject::template_pointer(item.kind()).and_then(|pointer| item.object.pointer(pointer))
    else {
        return false;
    };
    let labels = &template["metadata"]["labels"];
    let Some(selector) = server["podSelector"]["matchLabels"].as_object() else { return false };
    let containers = template["spec"]["containers"].as_array().into_iter().flatten();
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        && containers.into_iter().any(|container| {
            ["livenessProbe", "readinessProbe", "startupProbe"].iter().any(|probe| {
                let port = &container[*probe]["httpGet"]["port"];
                !port.is_null() && number(port, container) == number(&server["port"], container)
            })
        })
}

/// Returns the number of a port that is a number or the name of a container's port.
fn number(port: &Value, container: &Value) -> Option<u64> {
    let named = || {
        let ports = container["ports"].as_array()?;
        ports.iter().find(|declared| declared["name"] == *port)?["containerPort"].as_u64()
    };
    port.as_u64().or_else(named)
}
