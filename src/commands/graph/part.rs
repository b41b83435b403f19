//! The part of a graph that belongs to one service.

use std::collections::BTreeSet;

use meshy_graph::{CallEdge, CallGraph};
use meshy_topology::nearest;

/// Returns the part of a graph with a service, those that call it and those that it calls, directly or through others. The error
/// is the service whose name is most like an unknown one.
pub(super) fn around(graph: CallGraph, service: &str) -> Result<CallGraph, Option<String>> {
    if !graph.nodes.iter().any(|node| node.name == service) {
        let names = graph.nodes.iter().map(|node| node.name.as_str());
        return Err(nearest(service, names).map(str::to_owned));
    }
    let below = reached(&graph.edges, service, |edge| (&edge.from, &edge.to));
    let above = reached(&graph.edges, service, |edge| (&edge.to, &edge.from));
    let is_part = |edge: &CallEdge| {
        let both = |names: &BTreeSet<String>| names.contains(&edge.from) && names.contains(&edge.to);
        both(&below) || both(&above)
    };
    let mut part = graph;
    part.edges.retain(is_part);
    part.nodes.retain(|node| below.contains(&node.name) || above.contains(&node.name));
    Ok(part)
}

/// Returns the names that edges lead to from a start, including the start.
fn reached(
    edges: &[CallEdge],
    start: &str,
    ends: impl Fn(&CallEdge) -> (&String, &String),
) -> BTreeSet<String> {
    let mut found = BTreeSet::from([start.to_owned()]);
    let mut open = vec![start.to_owned()];
    while let Some(name) = open.pop() {
        for (from, to) in edges.iter().map(&ends) {
            if *from == name && found.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use meshy_topology::Topology;

    use super::*;

    fn names(service: &str) -> Result<Vec<String>, Option<String>> {
        let graph = CallGraph::from(&Topology::load("shop").unwrap());
        around(graph, service).map(|part| part.nodes.into_iter().map(|node| node.name).collect())
    }

    #[test]
    fn a_part_has_callers_and_callees_through_others() {
        assert_eq!(names("checkout").unwrap(), ["web", "cart", "checkout", "stock", "payment"]);
        assert_eq!(names("web").unwrap().len(), 10);
    }

    #[test]
    fn an_unknown_service_has_a_nearest_one() {
        assert_eq!(names("chekout"), Err(Some("checkout".to_owned())));
        assert_eq!(names("zzzzzzzz"), Err(None));
    }
}
