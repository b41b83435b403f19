//! `meshy graph --topology`, and without anything to show.

use serde_json::Value;

use crate::home::Home;

#[test]
fn a_topology_is_shown_in_each_form_without_a_cluster() {
    let home = Home::new();
    for (format, expected) in
        [("text", "front"), ("dot", "digraph calls {"), ("mermaid", "flowchart TD"), ("svg", "<svg xmlns=")]
    {
        let shown = home.good(&format!("graph --topology diamond -o {format}"));
        assert!(shown.starts_with(expected), "{format}: {shown}");
        assert!(shown.contains("left") && shown.contains("right"), "{format}: {shown}");
    }
    let graph: Value =
        serde_json::from_str(&home.good("graph checkout --topology shop -o json")).expect("JSON");
    let edges: Vec<String> = graph["edges"]
        .as_array()
        .expect("edges")
        .iter()
        .map(|edge| {
            format!("{}-{}", edge["from"].as_str().expect("a name"), edge["to"].as_str().expect("a name"))
        })
        .collect();
    assert_eq!(edges, ["web-cart", "cart-checkout", "checkout-stock", "checkout-payment"]);
}

#[test]
fn without_a_lab_a_graph_is_a_missing_prerequisite() {
    let output = Home::new().run("graph");
    assert_eq!(output.status.code(), Some(3));
}
