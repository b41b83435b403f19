//! A table for terminals: the calls as a tree, the numbers in columns.

use crate::clean::clean;
use crate::index::Index;
use crate::labels::{count, factor, latency, percent, rate, shown};
use crate::model::{CallEdge, CallGraph};

/// The most columns of the lines that lead to a name; deeper levels are cut on the left.
const MOST_LEAD: usize = 12;
/// The fewest columns of the names.
const LEAST_NAMES: usize = 19;

/// Titles of the columns after the tree.
const TITLES: [&str; 8] = ["REQUESTS", "RPS", "EFFECTIVE", "ACTUAL", "ATTEMPTS/REQ", "P50", "P99", "MTLS"];

/// A line of the table.
struct Row {
    lead: String,
    name: String,
    /// Marks after the name.
    marks: String,
    cells: [Option<String>; 8],
    /// What follows on separate lines, after `note_lead`.
    notes: Vec<String>,
    note_lead: String,
}

/// A node that is still to be listed.
struct Open<'a> {
    node: usize,
    edge: Option<&'a CallEdge>,
    /// For each level, whether more siblings follow.
    levels: Vec<bool>,
}

/// Which explanations the table needs.
#[derive(Default)]
struct Marks {
    above: bool,
    cycle: bool,
    optional: bool,
    unmeshed: bool,
}

impl CallGraph {
    /// Returns the graph as a table of at most `width` columns (at least about 70 with all numbers): a line for each call below its
    /// client, with columns only for what was measured. Calls of a service that was listed before are not repeated.
    #[must_use]
    pub fn to_text(&self, width: usize) -> String {
        let index = Index::new(self);
        if index.names.is_empty() {
            return "no services\n".to_owned();
        }
        let mut marks = Marks::default();
        let rows = rows(&index, &mut marks);
        let mut text = table(&rows, width);
        let notes = [
            (marks.above, "^ its calls are listed above"),
            (marks.cycle, "@ calls a service that it is called by"),
            (marks.optional, "? optional: its failure does not fail the request"),
            (marks.unmeshed, "! the client has no proxy: numbers of the server's proxy"),
        ];
        for (_, note) in notes.into_iter().filter(|(is_used, _)| *is_used) {
            text.push_str(&clean(note, width.max(LEAST_NAMES)));
            text.push('\n');
        }
        text
    }
}

fn rows(index: &Index<'_>, marks: &mut Marks) -> Vec<Row> {
    let outgoing = index.outgoing();
    let mut listed = vec![false; index.names.len()];
    let mut is_on_path = vec![false; index.names.len()];
    let mut rows = Vec::new();
    // The nodes that are only reached by a cycle begin a tree too, in order.
    let starts = index.roots().into_iter().chain(0..index.names.len());
    for start in starts {
        if listed[start] {
            continue;
        }
        let mut path: Vec<usize> = Vec::new();
        is_on_path.fill(false);
        let mut open = vec![Open { node: start, edge: None, levels: Vec::new() }];
        while let Some(Open { node, edge, levels }) = open.pop() {
            for left in path.drain(levels.len()..) {
                is_on_path[left] = false;
            }
            let is_cycle = is_on_path[node];
            let has_calls = !outgoing[node].is_empty();
            let is_above = listed[node] && !is_cycle && has_calls;
            marks.above |= is_above;
            marks.cycle |= is_cycle;
            let mark = if is_cycle {
                " @"
            } else if is_above {
                " ^"
            } else {
                ""
            };
            let is_first = !listed[node];
            let mut row = row(index, node, edge, &levels, is_first, marks);
            row.marks.insert_str(0, mark);
            row.note_lead = note_lead(&levels, is_first && has_calls);
            rows.push(row);
            if !is_first {
                continue;
            }
            listed[node] = true;
            path.push(node);
            is_on_path[node] = true;
            // The last edge first: the list of open nodes is a stack.
            let edges: Vec<(usize, &CallEdge)> = outgoing[node]
                .iter()
                .flat_map(|pair| index.pairs[*pair].edges.iter().map(|edge| (index.pairs[*pair].to, *edge)))
                .collect();
            for (position, (to, edge)) in edges.iter().enumerate().rev() {
                let mut levels = levels.clone();
                levels.push(position + 1 < edges.len());
                open.push(Open { node: *to, edge: Some(edge), levels });
            }
        }
    }
    rows
}

fn row(
    index: &Index<'_>,
    node: usize,
    edge: Option<&CallEdge>,
    levels: &[bool],
    is_first: bool,
    marks: &mut Marks,
) -> Row {
    let is_unmeshed = index.is_unmeshed(node) || edge.is_some_and(|edge| edge.unmeshed_client);
    let is_optional = edge.is_some_and(|edge| edge.optional);
    marks.unmeshed |= is_unmeshed;
    marks.optional |= is_optional;
    let optional = if is_optional { " ?" } else { "" };
    let unmeshed = if is_unmeshed { " !" } else { "" };
    let detail = index.nodes[node].filter(|_| is_first).and_then(|node| node.detail.clone());
    let policy = edge.and_then(|edge| edge.policy.as_ref()).map(|policy| format!("policy: {policy}"));
    Row {
        lead: lead(levels),
        name: index.names[node].to_owned(),
        marks: format!("{optional}{unmeshed}"),
        cells: edge.map(cells).unwrap_or_default(),
        notes: detail.into_iter().chain(policy).collect(),
        note_lead: String::new(),
    }
}

fn cells(edge: &CallEdge) -> [Option<String>; 8] {
    [
        count(edge),
        shown(edge.requests_per_second, rate),
        shown(edge.effective_success_ratio, percent),
        shown(edge.actual_success_ratio, percent),
        shown(edge.attempts_per_request, factor),
        shown(edge.p50_ms, latency),
        shown(edge.p99_ms, latency),
        edge.mutual_tls.map(|tls| if tls { "yes" } else { "no" }.to_owned()),
    ]
}

/// Returns the lines that lead to a name: `│ ├ `.
fn lead(levels: &[bool]) -> String {
    let Some((last, outer)) = levels.split_last() else { return String::new() };
    format!("{}{}", bars(outer), if *last { "├ " } else { "└ " })
}

/// Returns the lines that lead past a note to what follows: `│ │ `.
fn note_lead(levels: &[bool], calls_follow: bool) -> String {
    format!("{}{}", bars(levels), if calls_follow { "│ " } else { "  " })
}

/// Returns a line down for each level on which something follows.
fn bars(levels: &[bool]) -> String {
    let shown = levels.len().min(MOST_LEAD / 2);
    let mut bars = if shown < levels.len() { "… ".to_owned() } else { String::new() };
    for more in &levels[levels.len() - shown..] {
        bars.push_str(if *more { "│ " } else { "  " });
    }
    bars
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn table(rows: &[Row], width: usize) -> String {
    let used: Vec<usize> =
        (0..TITLES.len()).filter(|column| rows.iter().any(|row| row.cells[*column].is_some())).collect();
    let column_width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.cells[column].as_deref());
        cells.map(length).max().unwrap_or_default().max(length(TITLES[column]))
    };
    let numbers: usize = used.iter().map(|column| column_width(*column) + 2).sum();
    let most = width.saturating_sub(numbers).max(LEAST_NAMES);
    let longest = rows.iter().map(|row| length(&row.lead) + length(&row.marks) + length(&row.name)).max();
    let names = longest.unwrap_or_default().clamp("SERVICE".len(), most);
    let mut text = String::new();
    let mut line = |name: &str, cell: &dyn Fn(usize) -> String| {
        let mut line = format!("{name}{}", " ".repeat(names.saturating_sub(length(name))));
        for &column in &used {
            line.push_str(&format!("  {:>1$}", cell(column), column_width(column)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    if !used.is_empty() {
        line("SERVICE", &|column| TITLES[column].to_owned());
    }
    for row in rows {
        let left = names.saturating_sub(length(&row.lead) + length(&row.marks)).max(1);
        let name = format!("{}{}{}", row.lead, clean(&row.name, left), row.marks);
        line(&name, &|column| match (&row.cells[column], row.lead.is_empty()) {
            (Some(cell), _) => cell.clone(),
            (None, true) => String::new(),
            (None, false) => "-".to_owned(),
        });
        for note in &row.notes {
            let room = width.saturating_sub(length(&row.note_lead)).max(LEAST_NAMES);
            line(&format!("{}{}", row.note_lead, clean(note, room)), &|_| String::new());
        }
    }
    text
}
