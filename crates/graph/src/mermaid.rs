//! Mermaid, which GitHub and others show within Markdown.

use crate::clean::clean;
use crate::index::Index;
use crate::labels::{self, State};
use crate::model::CallGraph;

/// The most characters of a name.
const MOST: usize = 80;

impl CallGraph {
    /// Returns the graph as a Mermaid flowchart.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let index = Index::new(self);
        let mut text = "flowchart TD\n".to_owned();
        for (number, name) in index.names.iter().enumerate() {
            let label = quoted(&clean(name, MOST));
            let shape =
                if index.is_entrypoint(number) { format!("([{label}])") } else { format!("[{label}]") };
            text.push_str(&format!("  n{number}{shape}\n"));
        }
        let mut styles = Vec::new();
        let mut position = 0;
        for pair in &index.pairs {
            for edge in &pair.edges {
                let is_dotted = edge.optional || edge.unmeshed_client || edge.mutual_tls == Some(false);
                let arrow = if is_dotted { "-.->" } else { "-->" };
                let label = labels::summary(edge);
                let label = if label.is_empty() { label } else { format!("|{}|", quoted(&label)) };
                text.push_str(&format!("  n{} {arrow}{label} n{}\n", pair.from, pair.to));
                match labels::state(pair) {
                    State::Failing => styles.push(format!("  linkStyle {position} stroke:red\n")),
                    State::Retried => styles.push(format!("  linkStyle {position} stroke:orange\n")),
                    State::Normal => {}
                }
                position += 1;
            }
        }
        styles.iter().for_each(|style| text.push_str(style));
        text
    }
}

/// Returns a quoted text. Only letters, digits and harmless signs stay as they are: Mermaid reads Markdown, HTML and its own
/// entities within quotes.
fn quoted(text: &str) -> String {
    let mut escaped = String::from("\"");
    for c in text.chars() {
        if c.is_alphanumeric() || " .,-/%:×→…\u{fffd}()".contains(c) {
            escaped.push(c);
        } else {
            escaped.push_str(&format!("#{};", u32::from(c)));
        }
    }
    escaped.push('"');
    escaped
}
