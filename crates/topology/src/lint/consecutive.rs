//! Retries on consecutive edges, whose attempts multiply.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, PolicyEdge, Rule};

/// The product stays here at the latest: more attempts mean nothing more.
const MOST_ATTEMPTS: u64 = 1_000_000_000;

/// The most edges that a message lists.
const SHOWN: usize = 8;

/// For each service, the edges that retry and leave it.
type Graph<'a> = BTreeMap<&'a str, Vec<&'a PolicyEdge>>;

/// The path with the largest product of attempts that begins at a service.
#[derive(Debug, Clone, Copy)]
struct Worst<'a> {
    edge: &'a PolicyEdge,
    /// The product along the path; an edge with a budget alone counts as 1.
    attempts: u64,
    edges: usize,
}

/// Returns a finding for each service where retries begin and whose worst path has more than one edge.
pub(super) fn consecutive_retries(edges: &[PolicyEdge]) -> Vec<Finding> {
    let mut graph = Graph::new();
    for edge in edges.iter().filter(|edge| edge.policy.retries()) {
        graph.entry(&edge.from).or_default().push(edge);
    }
    let called: BTreeSet<&str> = graph.values().flatten().map(|edge| edge.to.as_str()).collect();
    let begins = edges.iter().map(|edge| edge.from.as_str()).filter(|name| graph.contains_key(name));
    let (inner, outer): (Vec<&str>, Vec<&str>) = begins.partition(|name| called.contains(name));
    let mut worst = BTreeMap::new();
    let mut found = Vec::new();
    // The inner ones begin a path only if all their callers are in a cycle with them.
    for start in outer.into_iter().chain(inner) {
        if !worst.contains_key(start) {
            visit(start, &graph, &mut worst);
            found.extend(finding(start, &worst));
        }
    }
    found
}

/// Computes the worst path of `start` and of each service that it reaches. An edge back to a service that is being visited is left
/// out. Without recursion: a chain may have thousands of services.
fn visit<'a>(start: &'a str, graph: &Graph<'a>, worst: &mut BTreeMap<&'a str, Option<Worst<'a>>>) {
    let mut open: Vec<(&'a str, usize)> = vec![(start, 0)];
    let mut on_path = BTreeSet::from([start]);
    while let Some((name, position)) = open.pop() {
        let edges = graph.get(name).map_or(&[][..], Vec::as_slice);
        if let Some(edge) = edges.get(position) {
            open.push((name, position + 1));
            let to = edge.to.as_str();
            if !worst.contains_key(to) && on_path.insert(to) {
                open.push((to, 0));
            }
            continue;
        }
        on_path.remove(name);
        let outgoing = edges.iter().filter(|edge| !on_path.contains(edge.to.as_str()) && edge.to != name);
        let candidates = outgoing.map(|edge| {
            let inner = worst.get(edge.to.as_str()).copied().flatten();
            let own = edge.policy.attempts().unwrap_or(1);
            Worst {
                edge,
                attempts: inner.map_or(1, |inner| inner.attempts).saturating_mul(own).min(MOST_ATTEMPTS),
                edges: inner.map_or(0, |inner| inner.edges) + 1,
            }
        });
        let best = candidates.max_by_key(|candidate| (candidate.attempts, candidate.edges));
        worst.insert(name, best);
    }
}

fn finding(start: &str, worst: &BTreeMap<&str, Option<Worst<'_>>>) -> Option<Finding> {
    let first = worst.get(start).copied().flatten().filter(|first| first.edges > 1)?;
    let mut path = vec![start.to_owned()];
    let mut factors = Vec::new();
    let mut budgets = Vec::new();
    let mut next = Some(first);
    while let Some(step) = next {
        let PolicyEdge { from, to, policy } = step.edge;
        path.push(to.clone());
        factors.extend(policy.attempts().map(|attempts| attempts.to_string()));
        if policy.budget {
            budgets.push(format!("`{from}` → `{to}`"));
        }
        next = worst.get(to.as_str()).copied().flatten();
    }
    let last = path.last().cloned().unwrap_or_default();
    let most = if first.attempts == MOST_ATTEMPTS { "more than " } else { "up to " };
    let mut message = format!(
        "retries on {} consecutive edges multiply: {most}{} attempts at `{last}` for one request",
        first.edges, first.attempts
    );
    if factors.len() > 1 {
        message = format!("{message} ({})", joined(&factors, " × "));
    }
    if !budgets.is_empty() {
        message = format!("{message}; a budget bounds the retries of {}", joined(&budgets, ", "));
    }
    Some(Finding { rule: Rule::ConsecutiveRetries, path, message })
}

fn joined(parts: &[String], between: &str) -> String {
    let mut text = parts.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(between);
    if parts.len() > SHOWN {
        text = format!("{text}{between}…");
    }
    text
}
