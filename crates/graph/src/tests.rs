//! Tests of the crate.

mod geometry;
mod hostile;
mod picture;
mod render;

use crate::{CallEdge, CallGraph, CallNode};

/// Three services with all kinds of facts.
pub(crate) fn measured() -> CallGraph {
    let front = CallNode { entrypoint: true, ..CallNode::new("front") };
    let stock = CallNode {
        detail: Some("4 workers × 80ms exponential, queue 100".to_owned()),
        ..CallNode::new("stock")
    };
    let probe = CallNode { unmeshed: true, ..CallNode::new("probe") };
    let price = CallEdge {
        requests_per_second: Some(30.0),
        effective_success_ratio: Some(0.9999),
        actual_success_ratio: Some(0.704),
        attempts_per_request: Some(1.42),
        p50_ms: Some(2.34),
        p99_ms: Some(123.4),
        mutual_tls: Some(true),
        policy: Some("ServiceProfile price, retry budget 20% + 10/s".to_owned()),
        ..CallEdge::new("front", "price")
    };
    let optional =
        CallEdge { optional: true, requests_per_second: Some(120.0), ..CallEdge::new("front", "stock") };
    let failing = CallEdge {
        effective_success_ratio: Some(0.5),
        actual_success_ratio: Some(0.5),
        mutual_tls: Some(false),
        unmeshed_client: true,
        ..CallEdge::new("probe", "stock")
    };
    CallGraph {
        nodes: vec![front, CallNode::new("price"), stock, probe],
        edges: vec![price, optional, failing],
    }
}

/// A graph of edges alone.
pub(crate) fn graph(edges: &[(&str, &str)]) -> CallGraph {
    CallGraph { nodes: Vec::new(), edges: edges.iter().map(|(from, to)| CallEdge::new(*from, *to)).collect() }
}
