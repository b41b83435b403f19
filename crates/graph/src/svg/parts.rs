//! Boxes, lines and texts.

use std::fmt::Write as _;

use crate::clean::{clean, xml};
use crate::index::{Index, Pair};
use crate::labels::{self, State, factor, percent, rate, shown};
use crate::layout::{BOX_HEIGHT, Point, Route};

/// The most characters of a detail in a tooltip.
const MOST: usize = 200;
/// The mean width of a character of a name, and of the line below it.
pub(super) const CHARACTER: f64 = 7.2;
pub(super) const SMALL_CHARACTER: f64 = 6.6;
/// The space left and right of a text in a box.
pub(super) const PADDING: f64 = 12.0;
/// Half the width and the length of an arrow's head.
const HEAD: (f64, f64) = (4.0, 7.0);

/// Whether all calls of a pair are optional.
pub(super) fn is_optional(pair: &Pair<'_>) -> bool {
    pair.edges.iter().all(|edge| edge.optional)
}

/// Whether some connection of a pair has no mutual TLS.
pub(super) fn is_plain(pair: &Pair<'_>) -> bool {
    pair.edges.iter().any(|edge| edge.unmeshed_client || edge.mutual_tls == Some(false))
}

fn class(pair: &Pair<'_>) -> String {
    let state = match labels::state(pair) {
        State::Normal => "",
        State::Retried => " retried",
        State::Failing => " failing",
    };
    let line = if is_plain(pair) {
        " plain"
    } else if is_optional(pair) {
        " optional"
    } else {
        ""
    };
    format!("edge{state}{line}")
}

/// The largest number of attempts per request of a pair.
fn attempts(pair: &Pair<'_>) -> Option<f64> {
    let all = pair.edges.iter().filter_map(|edge| edge.attempts_per_request);
    all.filter(|attempts| attempts.is_finite()).max_by(f64::total_cmp)
}

/// Draws the line of a pair; attempts make it wider.
pub(super) fn edge(svg: &mut String, index: &Index<'_>, pair: &Pair<'_>, route: &Route) {
    let line = line(route);
    let width = 1.5 + attempts(pair).unwrap_or(1.0).clamp(1.0, 32.0).log2() * 0.8;
    let tooltip = xml(&labels::tooltip(index, pair));
    let class = class(pair);
    // Writing into a text cannot fail.
    let _ = writeln!(
        svg,
        "<g class=\"{class}\"><title>{tooltip}</title><path class=\"hit\" d=\"{line}\"/>\
         <path class=\"line\" stroke-width=\"{width:.1}\" d=\"{line}\"/><path class=\"head\" d=\"{}\"/></g>",
        head(route)
    );
}

/// Curves in the gaps, whose control points stay in the gap, and straight lines through the rows.
fn line(route: &Route) -> String {
    let mut path = String::new();
    match route {
        Route::Line(points) => {
            for (at, pair) in points.chunks_exact(2).enumerate() {
                let [from, to] = [pair[0], pair[1]];
                let middle = f64::midpoint(from.y, to.y);
                let begin = if at == 0 { "M" } else { " L" };
                let _ = write!(
                    path,
                    "{begin}{:.1} {:.1} C{:.1} {middle:.1} {:.1} {middle:.1} {:.1} {:.1}",
                    from.x, from.y, from.x, to.x, to.x, to.y
                );
            }
        }
        Route::Loop(from, to) => {
            let low = from.y + 18.0;
            let _ = write!(
                path,
                "M{:.1} {:.1} C{:.1} {low:.1} {:.1} {low:.1} {:.1} {:.1}",
                from.x,
                from.y,
                from.x - 6.0,
                to.x + 6.0,
                to.x,
                to.y
            );
        }
    }
    path
}

/// A triangle whose tip is the end of the line. Lines reach boxes from above or below.
fn head(route: &Route) -> String {
    let (tip, before) = match route {
        Route::Line(points) => match points.as_slice() {
            [.., before, tip] => (*tip, *before),
            _ => return String::new(),
        },
        Route::Loop(from, to) => (*to, Point { x: from.x, y: from.y + 1.0 }),
    };
    let back = if before.y < tip.y { tip.y - HEAD.1 } else { tip.y + HEAD.1 };
    format!("M{:.1} {:.1} L{:.1} {back:.1} L{:.1} {back:.1} Z", tip.x, tip.y, tip.x - HEAD.0, tip.x + HEAD.0)
}

/// Draws the box of a node: the name, below it the load and the success of all calls.
pub(super) fn node(svg: &mut String, index: &Index<'_>, node: usize, corner: Point, width: f64) {
    let mut class = "node".to_owned();
    if index.is_entrypoint(node) {
        class.push_str(" entry");
    }
    if index.is_unmeshed(node) {
        class.push_str(" unmeshed");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 6 to 21")]
    let room = |character: f64| ((width - PADDING) / character + 0.01) as usize;
    let mut tooltip = clean(index.names[node], MOST);
    if let Some(detail) = index.nodes[node].and_then(|node| node.detail.as_deref()) {
        tooltip = format!("{tooltip}\n{}", clean(detail, MOST));
    }
    let middle = corner.x + width / 2.0;
    let sub = clean(&load(index, node), room(SMALL_CHARACTER));
    let name_y = corner.y + if sub.is_empty() { BOX_HEIGHT / 2.0 + 4.0 } else { 16.0 };
    let _ = write!(
        svg,
        "<g class=\"{class}\"><title>{}</title><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{BOX_HEIGHT:.1}\" \
         rx=\"6\"/><text x=\"{middle:.1}\" y=\"{name_y:.1}\">{}</text>",
        xml(&tooltip),
        corner.x,
        corner.y,
        xml(&clean(index.names[node], room(CHARACTER)))
    );
    if !sub.is_empty() {
        let _ = write!(
            svg,
            "<text class=\"sub\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            corner.y + 31.0,
            xml(&sub)
        );
    }
    svg.push_str("</g>\n");
}

/// Returns requests per second and effective success of all calls of a node: `30.0/s 99.0%`.
pub(super) fn load(index: &Index<'_>, node: usize) -> String {
    let edges = || index.pairs.iter().filter(|pair| pair.to == node).flat_map(|pair| pair.edges.iter());
    let rates: Vec<f64> = edges().filter_map(|edge| edge.requests_per_second).collect();
    let total: f64 = rates.iter().sum();
    let weighted =
        edges().filter_map(|edge| Some((edge.requests_per_second?, edge.effective_success_ratio?)));
    let (weight, success) =
        weighted.fold((0.0, 0.0), |sum, (rate, ratio)| (sum.0 + rate, sum.1 + rate * ratio));
    let parts = [
        shown(Some(total).filter(|_| !rates.is_empty()), |total| format!("{}/s", rate(total))),
        shown(Some(success / weight).filter(|_| weight > 0.0), percent),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Writes the attempts per request near the end of a line, if there were retries.
pub(super) fn label(svg: &mut String, pair: &Pair<'_>, route: &Route) {
    let (Some(attempts), Route::Line(points)) = (attempts(pair).filter(|attempts| *attempts >= 1.005), route)
    else {
        return;
    };
    if let [.., before, tip] = points.as_slice() {
        // On the curve, nearer to its end: edges that share a lane differ there.
        let (x, y) = (before.x + 0.784 * (tip.x - before.x), before.y + 0.658 * (tip.y - before.y));
        let text = format!("×{}", factor(attempts));
        #[expect(clippy::cast_precision_loss, reason = "at most 10")]
        let width = text.chars().count() as f64 * SMALL_CHARACTER + 2.0;
        // The line ends around the text: a point or a 1 would not hide it.
        let _ = writeln!(
            svg,
            "<path class=\"back\" d=\"M{:.1} {:.1} h{width:.1} v14 h-{width:.1} Z\"/>\
             <text class=\"label\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>",
            x - width / 2.0,
            y - 7.0,
            y + 4.0
        );
    }
}

/// Where the texts of the legend begin.
const LEGEND: f64 = 40.0;

/// Returns the width of a line of the legend.
pub(super) fn legend_width(text: &str) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 50")]
    let length = text.chars().count() as f64;
    LEGEND + length * SMALL_CHARACTER + PADDING
}

/// Draws a line of the legend.
pub(super) fn legend(svg: &mut String, class: &str, text: &str, y: f64) {
    let _ = writeln!(
        svg,
        "<g class=\"{class}\"><path class=\"line\" stroke-width=\"2\" d=\"M8 {y:.1} h24\"/>\
         <text class=\"legend\" x=\"{LEGEND}\" y=\"{:.1}\">{text}</text></g>",
        y + 4.0
    );
}
