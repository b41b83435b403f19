//! What a picture says.

use super::measured;
use crate::{CallEdge, CallGraph};

#[test]
fn a_picture_has_titles_numbers_and_a_legend() {
    let svg = measured().to_svg("Calls of the shop");
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"meshy-graph\" role=\"img\" aria-label=\"Calls of the shop\""));
    let expected = "<g class=\"edge retried\"><title>front → price\n30.0 requests/s\neffective success 99.9%\nactual success 70.4%\n\
                    1.42 attempts per request\np50 2.3 ms\np99 123 ms\nmutual TLS\npolicy: ServiceProfile price, retry budget 20% + 10/s\
                    </title>";
    assert!(svg.contains(expected), "{svg}");
    for part in [
        "<g class=\"edge optional\">",
        "<g class=\"edge failing plain\">",
        "<g class=\"node entry\"><title>front</title>",
        "<g class=\"node unmeshed\"><title>probe</title>",
        "<title>stock\n4 workers × 80ms exponential, queue 100</title>",
        ">30.0/s 99.9%</text>",
        ">×1.42</text>",
        ">requests fail</text>",
        ">attempts fail, retries hide it</text>",
        ">optional call</text>",
        "@media (prefers-color-scheme: dark)",
    ] {
        assert!(svg.contains(part), "no {part} in\n{svg}");
    }
    let plain = CallGraph { edges: vec![CallEdge::new("a", "b")], ..CallGraph::default() }.to_svg("x");
    assert!(!plain.contains("class=\"legend\""), "nothing to explain:\n{plain}");
}

#[test]
fn the_same_graph_gives_the_same_picture() {
    assert_eq!(measured().to_svg("x"), measured().to_svg("x"));
}

#[test]
fn a_small_picture_is_as_recorded() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/small.svg");
    let svg = measured().to_svg("Calls");
    if std::env::var_os("MESHY_BLESS").is_some() {
        std::fs::write(&file, &svg).unwrap();
    }
    let recorded = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        svg, recorded,
        "if the new picture is right: MESHY_BLESS=1 cargo test -p meshy-graph recorded"
    );
}

#[test]
fn an_empty_graph_is_an_empty_picture() {
    let svg = CallGraph::default().to_svg("nothing");
    assert!(
        svg.contains("<title>nothing</title>") && !svg.contains("<rect") && !svg.contains("NaN"),
        "{svg}"
    );
}
