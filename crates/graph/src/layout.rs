//! Places a graph in layers from top to bottom, so that no line of an edge passes through a box.
//!
//! ```text
//!   edges ─→ layers ─→ rows ─→ order ─→ place ─→ boxes and routes
//!            longest   at most  fewer    positions
//!            paths,    n boxes  crossings
//!            cycles    in each;
//!            cut       lanes for long edges
//! ```
//!
//! Between two rows of boxes is a gap without boxes. An edge crosses a row only in a lane, a slot of the row that no box has, and
//! goes sideways only in gaps. Long edges of the same service share a lane.

mod layers;
mod order;
mod place;
mod rows;

use rows::Rows;

/// The height of a box.
pub(crate) const BOX_HEIGHT: f64 = 38.0;
/// The height of the space between two rows.
pub(crate) const GAP: f64 = 46.0;
/// The space around the graph.
pub(crate) const MARGIN: f64 = 8.0;

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// The left upper corner of each node's box.
    pub(crate) boxes: Vec<Point>,
    /// The route of each edge, from the client to the service.
    pub(crate) routes: Vec<Route>,
}

/// A point, in units of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// The way of an edge.
#[derive(Debug)]
pub(crate) enum Route {
    /// Points between which the edge goes sideways in a gap, then straight through a row, and so on.
    Line(Vec<Point>),
    /// From a box to itself, below the box from the first to the second point.
    Loop(Point, Point),
}

/// What is to be placed.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// The number of nodes.
    pub(crate) nodes: usize,
    /// Client and service of each edge; each pair once.
    pub(crate) edges: Vec<(usize, usize)>,
    /// The width of all boxes.
    pub(crate) box_width: f64,
    /// The most boxes in a row.
    pub(crate) row_length: usize,
}

/// Returns the places of a graph.
pub(crate) fn layout(input: &Input) -> Layout {
    let is_backward = layers::backward(input.nodes, &input.edges);
    // Each edge from the upper to the lower end.
    let downward = input.edges.iter().zip(&is_backward);
    let downward: Vec<(usize, usize)> =
        downward.map(|(&(from, to), back)| if *back { (to, from) } else { (from, to) }).collect();
    let layers = order::layers(&layers::layers(input.nodes, &downward), &downward);
    let mut rows = Rows::new(&layers, input.row_length, &downward, &is_backward);
    order::rows(&mut rows);
    let (positions, width) = place::positions(&rows, input.box_width);
    let ports = place::ports(&rows, &positions, input.box_width);
    let top = |row: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a number of rows")]
        let row = row as f64;
        MARGIN + row * (BOX_HEIGHT + GAP)
    };
    let boxes = (0..input.nodes).map(|node| {
        let slot = rows.slot_of_node[node];
        Point { x: positions[slot] - input.box_width / 2.0, y: top(rows.slots[slot].row) }
    });
    let boxes: Vec<Point> = boxes.collect();
    let routes = (0..input.edges.len()).map(|edge| {
        let (upper, lower) = downward[edge];
        if upper == lower {
            let bottom = boxes[upper].y + BOX_HEIGHT;
            let right = boxes[upper].x + input.box_width;
            return Route::Loop(Point { x: right - 14.0, y: bottom }, Point { x: right - 4.0, y: bottom });
        }
        let mut points = Vec::new();
        for pair in rows.ways[edge].windows(2) {
            let (from, to) = ports[&(pair[0], pair[1])];
            points.push(Point { x: from, y: top(rows.slots[pair[0]].row) + BOX_HEIGHT });
            points.push(Point { x: to, y: top(rows.slots[pair[1]].row) });
        }
        if is_backward[edge] {
            points.reverse();
        }
        Route::Line(points)
    });
    let routes = routes.collect();
    let has_loop = input.edges.iter().any(|(from, to)| from == to);
    let below = if has_loop { GAP / 2.0 } else { 0.0 };
    let height = top(rows.rows.len()) - GAP + MARGIN + below;
    Layout { width, height: height.max(2.0 * MARGIN), boxes, routes }
}
