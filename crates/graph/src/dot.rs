//! Graphviz.

use crate::clean::clean;
use crate::index::Index;
use crate::labels::{self, State};
use crate::model::CallGraph;

/// The most characters of a name.
const MOST: usize = 200;

impl CallGraph {
    /// Returns the graph in the language of Graphviz, for `dot -Tsvg`.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let index = Index::new(self);
        let mut text =
            "digraph calls {\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n".to_owned();
        text.push_str("  edge [fontname=\"sans-serif\", fontsize=10];\n");
        for (number, name) in index.names.iter().enumerate() {
            let mut label = clean(name, MOST);
            if let Some(detail) = index.nodes[number].and_then(|node| node.detail.as_deref()) {
                label = format!("{label}\n{}", clean(detail, MOST));
            }
            let bold = if index.is_entrypoint(number) { ", penwidth=2" } else { "" };
            let dashed = if index.is_unmeshed(number) { ", style=\"rounded,dashed\"" } else { "" };
            text.push_str(&format!("  n{number} [label={}{bold}{dashed}];\n", quoted(&label)));
        }
        for pair in &index.pairs {
            for edge in &pair.edges {
                let mut attributes = Vec::new();
                let label = labels::summary(edge).replace(", ", "\n");
                if !label.is_empty() {
                    attributes.push(format!("label={}", quoted(&label)));
                }
                if edge.unmeshed_client || edge.mutual_tls == Some(false) {
                    attributes.push("style=dashed".to_owned());
                } else if edge.optional {
                    attributes.push("style=dotted".to_owned());
                }
                match labels::state(pair) {
                    State::Failing => attributes.push("color=red".to_owned()),
                    State::Retried => attributes.push("color=orange".to_owned()),
                    State::Normal => {}
                }
                let attributes = if attributes.is_empty() {
                    String::new()
                } else {
                    format!(" [{}]", attributes.join(", "))
                };
                text.push_str(&format!("  n{} -> n{}{attributes};\n", pair.from, pair.to));
            }
        }
        text.push_str("}\n");
        text
    }
}

/// Returns a quoted string, in which a line end becomes Graphviz's `\n`.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
