//! No line passes through a box, in pictures of random graphs. The tests read the picture, not the layout.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::graph;
use crate::{CallEdge, CallGraph, CallNode};

type Point = (f64, f64);

/// A box: left, top, right and bottom.
type Box = (f64, f64, f64, f64);

struct Picture {
    boxes: Vec<Box>,
    /// Points of each line, close to each other.
    lines: Vec<Vec<Point>>,
    width: f64,
    height: f64,
}

/// How many points of a curve are tested.
const SAMPLES: usize = 24;

fn picture(svg: &str) -> Picture {
    let attribute = |tag: &str, name: &str| {
        let begin = tag.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
        tag[begin..].split('"').next().unwrap().to_owned()
    };
    let number = |tag: &str, name: &str| attribute(tag, name).parse::<f64>().unwrap();
    let tags = |name: &str| {
        svg.split('<').filter(|tag| tag.starts_with(name)).map(str::to_owned).collect::<Vec<_>>()
    };
    let boxes = tags("rect ").into_iter().map(|tag| {
        let (x, y) = (number(&tag, "x"), number(&tag, "y"));
        (x, y, x + number(&tag, "width"), y + number(&tag, "height"))
    });
    let in_graph = svg.split("class=\"legend\"").next().unwrap();
    let lines = in_graph.split('<').filter(|tag| tag.starts_with("path class=\"line\"") && tag.contains('C'));
    Picture {
        boxes: boxes.collect(),
        lines: lines.map(|tag| points(&attribute(tag, "d"))).collect(),
        width: number(&tags("svg ")[0], "width"),
        height: number(&tags("svg ")[0], "height"),
    }
}

/// Returns points on a path of `M`, `L` and `C`.
fn points(path: &str) -> Vec<Point> {
    let spaced = path.replace(['M', 'L'], " ").replace('C', " C ");
    let mut words = spaced.split_whitespace().peekable();
    let mut found: Vec<Point> = Vec::new();
    while let Some(word) = words.next() {
        let mut next = || words.next().unwrap().parse::<f64>().unwrap();
        if word == "C" {
            let [first, second, third] = [(next(), next()), (next(), next()), (next(), next())];
            let from = *found.last().unwrap();
            for sample in 1..=SAMPLES {
                #[expect(clippy::cast_precision_loss, reason = "a small number")]
                let t = sample as f64 / SAMPLES as f64;
                let at = |p: f64, a: f64, b: f64, c: f64| {
                    let u = 1.0 - t;
                    u * u * u * p + 3.0 * u * u * t * a + 3.0 * u * t * t * b + t * t * t * c
                };
                let [x, y] = [at(from.0, first.0, second.0, third.0), at(from.1, first.1, second.1, third.1)];
                found.push((x, y));
            }
        } else {
            let to = (word.parse().unwrap(), next());
            let from = found.last().copied().unwrap_or(to);
            for sample in 1..=SAMPLES {
                #[expect(clippy::cast_precision_loss, reason = "a small number")]
                let t = sample as f64 / SAMPLES as f64;
                found.push((from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1)));
            }
        }
    }
    found
}

fn is_inside(point: Point, of: Box) -> bool {
    // The picture has one decimal, and a line may touch the border where it ends.
    let edge = 0.3;
    point.0 > of.0 + edge && point.0 < of.2 - edge && point.1 > of.1 + edge && point.1 < of.3 - edge
}

fn check(graph: &CallGraph) {
    let svg = graph.to_svg("test");
    let picture = picture(&svg);
    let pairs: std::collections::BTreeSet<_> =
        graph.edges.iter().map(|edge| (&edge.from, &edge.to)).collect();
    assert_eq!(picture.lines.len(), pairs.len(), "a line for each pair");
    for line in &picture.lines {
        for point in line {
            let hit = picture.boxes.iter().find(|of| is_inside(*point, **of));
            assert!(hit.is_none(), "a line passes through the box {hit:?} at {point:?}:\n{svg}");
            let is_outside =
                point.0 < 0.0 || point.0 > picture.width || point.1 < 0.0 || point.1 > picture.height;
            assert!(!is_outside, "a line leaves the picture at {point:?}:\n{svg}");
        }
    }
    for (at, a) in picture.boxes.iter().enumerate() {
        assert!(
            a.0 >= 0.0 && a.2 <= picture.width && a.1 >= 0.0 && a.3 <= picture.height,
            "{a:?} is outside:\n{svg}"
        );
        for b in &picture.boxes[at + 1..] {
            let is_apart = a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1;
            assert!(is_apart, "boxes {a:?} and {b:?} overlap:\n{svg}");
        }
    }
}

#[test]
fn no_line_passes_through_a_box_in_random_graphs() {
    let mut random = SmallRng::seed_from_u64(15);
    for _ in 0..150 {
        let nodes = random.random_range(1..25_usize);
        let edges = random.random_range(0..nodes * 3);
        let long = random.random_range(0..30_usize);
        let mut name = || format!("{}{}", "n".repeat(long), random.random_range(0..nodes));
        let edges = (0..edges).map(|_| {
            let (from, to) = (name(), name());
            CallEdge {
                requests_per_second: Some(4.0),
                attempts_per_request: Some(3.0),
                ..CallEdge::new(from, to)
            }
        });
        check(&CallGraph { nodes: Vec::new(), edges: edges.collect() });
    }
}

#[test]
fn an_edge_that_skips_a_layer_goes_around_the_box_between() {
    check(&graph(&[("a", "b"), ("b", "c"), ("a", "c")]));
    check(&graph(&[("a", "b"), ("b", "c"), ("c", "d"), ("a", "d"), ("d", "a"), ("c", "c"), ("a", "a")]));
}

#[test]
fn shipped_topologies_are_drawn_at_about_400_pixels() {
    for (name, _) in meshy_topology::shipped() {
        let graph = CallGraph::from(&meshy_topology::Topology::load(name).unwrap());
        check(&graph);
        let width = picture(&graph.to_svg(name)).width;
        assert!(width <= 450.0, "{name} has a width of {width}");
    }
}

#[test]
fn calls_go_down_except_where_a_cycle_is_closed() {
    let ends = |graph: &CallGraph| {
        let picture = picture(&graph.to_svg("test"));
        picture.lines.iter().map(|line| line.first().unwrap().1 < line.last().unwrap().1).collect::<Vec<_>>()
    };
    assert_eq!(ends(&graph(&[("a", "b"), ("b", "c"), ("a", "c"), ("c", "a")])), [true, true, true, false]);
}

#[test]
fn fewer_edges_cross_than_in_the_order_of_the_file() {
    // In the order of the file, `x` is to the left of `y`, and the last two edges cross.
    let mut crossed = graph(&[("root", "a"), ("root", "b"), ("a", "y"), ("b", "x")]);
    crossed.nodes = ["root", "a", "b", "x", "y"].map(CallNode::new).to_vec();
    let picture = picture(&crossed.to_svg("test"));
    let span = |line: &Vec<Point>| (line.first().unwrap().0, line.last().unwrap().0);
    let (ay, bx) = (span(&picture.lines[2]), span(&picture.lines[3]));
    assert!((ay.0 - bx.0) * (ay.1 - bx.1) > 0.0, "{ay:?} {bx:?}");
}

#[test]
fn a_graph_of_500_services_is_drawn() {
    let edges: Vec<(String, String)> =
        (1..500).map(|n| (format!("s{}", (n - 1) / 10), format!("s{n}"))).collect();
    let edges: Vec<(&str, &str)> = edges.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let svg = graph(&edges).to_svg("test");
    assert_eq!(svg.matches("<rect ").count(), 500);
}
