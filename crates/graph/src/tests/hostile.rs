//! Names and texts from a hostile cluster.

use crate::{CallEdge, CallGraph, CallNode};

/// Names that could leave their place in one of the forms.
const NAMES: [&str; 9] = [
    "</title><script>alert(1)</script>",
    "\u{1b}[31mred\u{1b}]0;title\u{7}",
    "\"];evil->x;\n\"",
    "back\\slash\\",
    "`#quot;` --> x[\"y\"]",
    "right\u{202e}left",
    "line\r\nend\ttab\0null",
    "&amp;&lt;'",
    "%% comment",
];

fn graph(name: &str) -> CallGraph {
    let node = CallNode { detail: Some(name.to_owned()), ..CallNode::new(name) };
    let edge = CallEdge {
        policy: Some(name.to_owned()),
        requests_per_second: Some(f64::NAN),
        effective_success_ratio: Some(f64::INFINITY),
        attempts_per_request: Some(f64::INFINITY),
        p99_ms: Some(f64::MAX),
        ..CallEdge::new(name, "victim")
    };
    CallGraph { nodes: vec![node], edges: vec![edge] }
}

#[test]
fn names_are_escaped_in_every_form() {
    for name in NAMES {
        let graph = graph(name);
        let svg = graph.to_svg(name);
        assert!(!svg.contains("<script") && !svg.contains("NaN") && !svg.contains("inf "), "{svg}");
        for text in [&svg, &graph.to_text(80), &graph.to_dot(), &graph.to_mermaid()] {
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
            assert!(!text.contains('\u{202e}'), "{text:?}");
        }
        assert!(is_well_formed(&svg), "{svg}");
        assert_eq!(graph.to_text(80).lines().count(), 5, "{}", graph.to_text(80));
        assert_eq!(graph.to_dot().lines().count(), 7, "{}", graph.to_dot());
        assert_eq!(graph.to_mermaid().lines().count(), 4, "{}", graph.to_mermaid());
    }
    let mermaid = graph("`#quot;` --> x[\"y\"]").to_mermaid();
    assert!(mermaid.contains("n0[\"#96;#35;quot#59;#96; --#62; x#91;#34;y#34;#93;\"]"), "{mermaid}");
    let dot = graph("back\\\"slash").to_dot();
    assert!(dot.contains(r#"n0 [label="back\\\"slash\n"#), "{dot}");
}

/// Whether each tag is closed in order and each `&` begins an entity.
fn is_well_formed(svg: &str) -> bool {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let Some((inside, text)) = tag.split_once('>') else { return false };
        let name = inside.split([' ', '/']).next().unwrap_or_default();
        if let Some(closed) = inside.strip_prefix('/') {
            if open.pop() != Some(closed) {
                return false;
            }
        } else if !inside.ends_with('/') {
            open.push(name);
        }
        let entities = ["amp;", "lt;", "gt;", "quot;", "#39;"];
        let is_entity = |rest: &str| entities.iter().any(|entity| rest.starts_with(entity));
        if !text.split('&').skip(1).all(is_entity) || !inside.split('&').skip(1).all(is_entity) {
            return false;
        }
    }
    open.is_empty()
}

#[test]
fn long_names_are_cut() {
    for name in ["x".repeat(10_000), "<".repeat(10_000), "\u{1b}".repeat(10_000), "é".repeat(10_000)] {
        let graph = graph(&name);
        let sizes = [
            graph.to_svg(&name).len(),
            graph.to_text(80).len(),
            graph.to_dot().len(),
            graph.to_mermaid().len(),
        ];
        assert!(sizes.iter().all(|size| *size < 12_000), "{sizes:?}");
        assert!(graph.to_text(80).lines().all(|line| line.chars().count() <= 80), "{}", graph.to_text(80));
    }
}
