//! A picture for web pages and reports.

mod parts;

use crate::clean::{clean, xml};
use crate::index::Index;
use crate::labels::{self, State};
use crate::layout::{Input, Layout, layout};
use crate::model::CallGraph;

/// The width for which rows are filled: pictures stay readable at 400 pixels.
const WIDTH: f64 = 400.0;
/// The narrowest and the widest text of a box.
const BOX: (f64, f64) = (50.0, 136.0);
/// The height of a line of the legend.
const LEGEND: f64 = 16.0;

const STYLE: &str = include_str!("svg/style.css");

impl CallGraph {
    /// Returns the graph as an SVG with layers from top to bottom, readable at a width of 400 pixels, in the colors of the reader's
    /// light or dark scheme. `title` is what a screen reader reads and a tooltip of the whole shows. It can stand alone or in HTML.
    #[must_use]
    pub fn to_svg(&self, title: &str) -> String {
        let index = Index::new(self);
        let box_width = box_width(&index);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 2 to 5")]
        let row_length = (WIDTH / (box_width + 12.0)) as usize;
        let input = Input {
            nodes: index.names.len(),
            edges: index.pairs.iter().map(|pair| (pair.from, pair.to)).collect(),
            box_width,
            row_length,
        };
        let layout = layout(&input);
        draw(&index, &layout, box_width, title)
    }
}

/// Returns the width of all boxes: that of the longest text, if it is not too long.
fn box_width(index: &Index<'_>) -> f64 {
    let longest = |texts: &mut dyn Iterator<Item = String>| {
        let length = texts.map(|text| text.chars().take(40).count()).max().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "at most 40")]
        let length = length as f64;
        length
    };
    let names = longest(&mut index.names.iter().map(|name| (*name).to_owned()));
    let loads = longest(&mut (0..index.names.len()).map(|node| parts::load(index, node)));
    (names * parts::CHARACTER).max(loads * parts::SMALL_CHARACTER).clamp(BOX.0, BOX.1) + parts::PADDING
}

fn draw(index: &Index<'_>, layout: &Layout, box_width: f64, title: &str) -> String {
    let legend = legend(index);
    #[expect(clippy::cast_precision_loss, reason = "at most 6")]
    let height = layout.height + LEGEND * legend.len() as f64;
    // The legend needs room below a narrow graph.
    let width = legend.iter().map(|(_, text)| parts::legend_width(text)).fold(layout.width, f64::max);
    let shift = (width - layout.width) / 2.0;
    let title = xml(&clean(title, 200));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"meshy-graph\" role=\"img\" aria-label=\"{title}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n<g transform=\"translate({shift:.1} 0)\">\n"
    );
    for (pair, route) in index.pairs.iter().zip(&layout.routes) {
        parts::edge(&mut svg, index, pair, route);
    }
    for (node, corner) in layout.boxes.iter().enumerate() {
        parts::node(&mut svg, index, node, *corner, box_width);
    }
    for (pair, route) in index.pairs.iter().zip(&layout.routes) {
        parts::label(&mut svg, pair, route);
    }
    svg.push_str("</g>\n");
    let mut y = layout.height + LEGEND / 2.0;
    for (class, text) in legend {
        parts::legend(&mut svg, class, text, y);
        y += LEGEND;
    }
    svg.push_str("</svg>\n");
    svg
}

/// Returns class and meaning of each kind of line in the picture that needs an explanation.
fn legend(index: &Index<'_>) -> Vec<(&'static str, &'static str)> {
    let any = |is: &dyn Fn(&crate::index::Pair<'_>) -> bool| index.pairs.iter().any(is);
    let all = [
        (any(&|pair| labels::state(pair) == State::Failing), "failing", "requests fail"),
        (any(&|pair| labels::state(pair) == State::Retried), "retried", "attempts fail, retries hide it"),
        (any(&parts::is_optional), "optional", "optional call"),
        (any(&parts::is_plain), "plain", "no mutual TLS, or a client without proxy"),
    ];
    let used = all.into_iter().filter(|(is_used, _, _)| *is_used);
    used.map(|(_, class, text)| (class, text)).collect()
}
