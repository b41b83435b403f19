//! The forms for terminals and other programs, as whole texts.

use meshy_topology::{Topology, shipped};

use super::{graph, measured};
use crate::CallGraph;

#[test]
fn the_table_shows_what_was_measured() {
    assert_eq!(
        measured().to_text(80),
        "\
SERVICE     RPS  EFFECTIVE  ACTUAL  ATTEMPTS/REQ     P50     P99  MTLS
front
├ price    30.0      99.9%   70.4%          1.42  2.3 ms  123 ms   yes
│   policy: ServiceProfile price, retry budget 20% + 10/s
└ stock ?   120          -       -             -       -       -     -
    4 workers × 80ms exponential, queue 100
probe !
└ stock !     -      50.0%   50.0%             -       -       -    no
? optional: its failure does not fail the request
! the client has no proxy: numbers of the server's proxy
"
    );
}

#[test]
fn the_table_shows_shared_services_and_cycles_once() {
    let cyclic = graph(&[("a", "b"), ("b", "c"), ("c", "b"), ("a", "c"), ("a", "a"), ("x", "y"), ("y", "x")]);
    assert_eq!(
        cyclic.to_text(80),
        "\
a
├ b
│ └ c
│   └ b @
├ c ^
└ a @
x
└ y
  └ x @
^ its calls are listed above
@ calls a service that it is called by
"
    );
    assert_eq!(CallGraph::default().to_text(80), "no services\n");
}

#[test]
fn a_deep_chain_stays_within_the_width() {
    let names: Vec<String> = (0..1000).map(|n| format!("service-with-a-long-name-{n}")).collect();
    let edges: Vec<(&str, &str)> =
        names.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let mut deep = graph(&edges);
    deep.edges[500] =
        crate::CallEdge { to: names[501].clone(), from: names[500].clone(), ..measured().edges[0].clone() };
    let text = deep.to_text(80);
    assert_eq!(text.lines().count(), 1 + 1000 + 1);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("… "), "{text}");
}

#[test]
fn shipped_topologies_fit_a_terminal() {
    for (name, _) in shipped() {
        let graph = CallGraph::from(&Topology::load(name).unwrap());
        let text = graph.to_text(80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(graph.nodes.iter().all(|node| text.contains(&node.name)), "{text}");
    }
}

#[test]
fn a_topology_becomes_a_graph() {
    let text = "
apiVersion: meshy/v1alpha1
kind: Topology
metadata: { name: x }
services:
  - { name: front, entrypoint: true, calls: [price, [price, { service: audit, optional: true, probability: 50% }]] }
  - { name: price, replicas: 2, errors: 2%, capacity: { workers: 8, queue: 32, serviceTime: { mean: 10ms } } }
  - name: audit
";
    let graph = CallGraph::from(&Topology::parse("x", text).unwrap());
    assert_eq!(
        graph.nodes[1].detail.as_deref(),
        Some("2 replicas, 8 workers × 10ms fixed, queue 32, 2% errors")
    );
    assert!(graph.nodes[0].entrypoint && graph.nodes[0].detail.is_none());
    let calls: Vec<_> =
        graph.edges.iter().map(|edge| (edge.to.as_str(), edge.calls_per_request, edge.optional)).collect();
    assert_eq!(calls, [("price", Some(2.0), false), ("audit", Some(0.5), true)]);
    let demo = CallGraph::from(&Topology::load("original-demo").unwrap());
    let names: Vec<_> = demo.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!((names, demo.edges.len()), (vec!["minimal-service", "bounced-service"], 0));
}

#[test]
fn dot_is_valid_for_graphviz() {
    assert_eq!(
        measured().to_dot(),
        r#"digraph calls {
  node [shape=box, style=rounded, fontname="sans-serif"];
  edge [fontname="sans-serif", fontsize=10];
  n0 [label="front", penwidth=2];
  n1 [label="price"];
  n2 [label="stock\n4 workers × 80ms exponential, queue 100"];
  n3 [label="probe", style="rounded,dashed"];
  n0 -> n1 [label="30.0/s\n99.9% effective\n70.4% actual\n×1.42 attempts\np99 123 ms", color=orange];
  n0 -> n2 [label="120/s\noptional", style=dotted];
  n3 -> n2 [label="50.0% success\nclient not meshed\nno mutual TLS", style=dashed, color=red];
}
"#
    );
}

#[test]
fn mermaid_is_a_flowchart() {
    assert_eq!(
        measured().to_mermaid(),
        r#"flowchart TD
  n0(["front"])
  n1["price"]
  n2["stock"]
  n3["probe"]
  n0 -->|"30.0/s, 99.9% effective, 70.4% actual, ×1.42 attempts, p99 123 ms"| n1
  n0 -.->|"120/s, optional"| n2
  n3 -.->|"50.0% success, client not meshed, no mutual TLS"| n2
  linkStyle 0 stroke:orange
  linkStyle 2 stroke:red
"#
    );
}

#[test]
fn json_contains_every_field_and_is_read_again() {
    let graph = measured();
    assert_eq!(serde_json::from_str::<CallGraph>(&graph.to_json()).unwrap(), graph);
    let value: serde_json::Value = serde_json::from_str(&graph.to_json()).unwrap();
    let schema = schemars::schema_for!(CallGraph).to_value();
    let fields = |of: &str| schema["$defs"][of]["properties"].as_object().unwrap().len();
    assert_eq!(value["edges"][1].as_object().unwrap().len(), fields("CallEdge"), "absent numbers are null");
    assert_eq!(value["nodes"][1].as_object().unwrap().len(), fields("CallNode"));
}

#[test]
fn only_complete_success_is_shown_as_100_percent() {
    use crate::labels::{latency, percent};
    let texts: Vec<String> = [1.0, 0.99999, 0.9, 0.7, 0.0004, 0.0].into_iter().map(percent).collect();
    assert_eq!(texts, ["100%", "99.9%", "90.0%", "70.0%", "0.0%", "0.0%"]);
    let texts: Vec<String> = [0.04, 9.94, 9.96, 9_999.0, 12_345.0].into_iter().map(latency).collect();
    assert_eq!(texts, ["0.0 ms", "9.9 ms", "10 ms", "9999 ms", "12 s"]);
}
