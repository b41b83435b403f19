//! The call graph that a topology describes.

use std::collections::HashMap;

use meshy_topology::{ServiceSpec, Topology, format_duration, format_percent};

use crate::model::{CallEdge, CallGraph, CallNode};

/// Returns the graph of a topology, without measured numbers. A topology of overlays has a node for each, named by its folder.
impl From<&Topology> for CallGraph {
    fn from(topology: &Topology) -> Self {
        let overlay = |path: &String| CallNode {
            entrypoint: true,
            ..CallNode::new(path.rsplit('/').next().unwrap_or_default())
        };
        let overlays = topology.overlays.iter().map(overlay);
        Self {
            nodes: topology.services.iter().map(node).chain(overlays).collect(),
            edges: topology.services.iter().flat_map(edges).collect(),
        }
    }
}

fn node(service: &ServiceSpec) -> CallNode {
    let capacity = service.capacity.map(|capacity| {
        let time = capacity.service_time;
        format!(
            "{} workers × {} {}, queue {}",
            capacity.workers,
            format_duration(time.mean),
            time.distribution.name(),
            capacity.queue
        )
    });
    let parts = [
        (service.replicas > 1).then(|| format!("{} replicas", service.replicas)),
        capacity,
        (service.errors > 0.0).then(|| format!("{} errors", format_percent(service.errors))),
    ];
    let detail = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    CallNode {
        entrypoint: service.entrypoint,
        detail: Some(detail).filter(|detail| !detail.is_empty()),
        ..CallNode::new(&service.name)
    }
}

/// Returns an edge for each service called, although the script may call it several times.
fn edges(service: &ServiceSpec) -> Vec<CallEdge> {
    let mut found: Vec<CallEdge> = Vec::new();
    let mut known = HashMap::new();
    for call in service.calls() {
        let number = *known.entry(&call.service).or_insert(found.len());
        if let Some(edge) = found.get_mut(number) {
            edge.calls_per_request = edge.calls_per_request.map(|calls| calls + call.probability);
            edge.optional &= call.optional;
        } else {
            found.push(CallEdge {
                calls_per_request: Some(call.probability),
                optional: call.optional,
                ..CallEdge::new(&service.name, &call.service)
            });
        }
    }
    found
}
