//! What must hold between the services of a topology.

use std::collections::{HashMap, HashSet};

use crate::error::{Problem, nearest};
use crate::model::Topology;
use crate::parsed::Parsed;
use crate::yaml::fields::shown;

/// Checks names, references, cycles and entry points, the first problem of the text first in each group.
pub(crate) fn check(place: &str, parsed: &Parsed) -> Result<(), Problem> {
    let Parsed { topology, lines } = parsed;
    if !is_label(&topology.name) {
        let message = format!(
            "invalid name of the topology `{}`: expected at most 63 characters of a-z, 0-9 and -",
            shown(&topology.name)
        );
        return Err(Problem::new(place, 0, message));
    }
    if !topology.overlays.is_empty() {
        return Ok(());
    }
    if topology.services.is_empty() {
        return Err(Problem::new(place, lines.list, "the topology has no service"));
    }
    let services = names(place, parsed)?;
    let edges = edges(place, parsed, &services)?;
    if topology.entrypoints().next().is_none() {
        let message = format!(
            "no service is an entry point: add `{}: true` to the service that clients call",
            lines.entrypoint_key
        );
        return Err(Problem::new(place, lines.list, message));
    }
    match cycle(&edges) {
        None => Ok(()),
        Some(cycle) => Err(cycle_problem(place, parsed, &cycle)),
    }
}

/// Returns the index of each service.
fn names<'a>(place: &str, parsed: &'a Parsed) -> Result<HashMap<&'a str, usize>, Problem> {
    let mut found = HashMap::new();
    for (index, service) in parsed.topology.services.iter().enumerate() {
        let name = service.name.as_str();
        let line = parsed.lines.services[index];
        if !is_label(name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            let message = format!(
                "invalid name of a service `{}`: expected at most 63 characters of a-z, 0-9 and -, a letter first",
                shown(name)
            );
            return Err(Problem::new(place, line, message));
        }
        if let Some(first) = found.insert(name, index) {
            let first = parsed.lines.services[first];
            let message = format!("duplicate service `{name}`, also defined in line {first}");
            return Err(Problem::new(place, line, message));
        }
    }
    Ok(found)
}

/// Returns which services each service calls.
fn edges(place: &str, parsed: &Parsed, services: &HashMap<&str, usize>) -> Result<Vec<Vec<usize>>, Problem> {
    let mut all = Vec::new();
    for (service, lines) in parsed.topology.services.iter().zip(&parsed.lines.calls) {
        let mut targets = Vec::new();
        for (call, line) in service.calls().into_iter().zip(lines) {
            let target = services.get(call.service.as_str()).ok_or_else(|| {
                let message =
                    format!("service `{}` calls unknown service `{}`", service.name, shown(&call.service));
                let known = parsed.topology.services.iter().map(|service| service.name.as_str());
                Problem::new(place, *line, message).nearest(nearest(&call.service, known))
            })?;
            targets.push(*target);
        }
        all.push(targets);
    }
    Ok(all)
}

/// Returns the services of a cycle in order. Without recursion: a chain may have thousands of services.
fn cycle(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut done = vec![false; edges.len()];
    let mut on_path = vec![false; edges.len()];
    for start in 0..edges.len() {
        let mut path = vec![start];
        // For each service of the path, how many of its calls were followed.
        let mut next = vec![0];
        if done[start] {
            continue;
        }
        on_path[start] = true;
        while let Some(&last) = path.last() {
            let position = next.len() - 1;
            match edges[last].get(next[position]) {
                Some(&target) if on_path[target] => {
                    let begin = path.iter().position(|service| *service == target)?;
                    return Some(path.split_off(begin));
                }
                Some(&target) => {
                    next[position] += 1;
                    if !done[target] {
                        on_path[target] = true;
                        path.push(target);
                        next.push(0);
                    }
                }
                None => {
                    done[last] = true;
                    on_path[last] = false;
                    path.pop();
                    next.pop();
                }
            }
        }
    }
    None
}

/// The most services of a cycle that an error lists.
const SHOWN: usize = 8;

fn cycle_problem(place: &str, parsed: &Parsed, cycle: &[usize]) -> Problem {
    let services = &parsed.topology.services;
    let last = cycle.last().copied().unwrap_or_default();
    let first = &services[cycle[0]].name;
    let position = services[last].calls().iter().position(|call| call.service == *first);
    let line = position.map_or(0, |position| parsed.lines.calls[last][position]);
    let mut names: Vec<&str> =
        cycle.iter().take(SHOWN).map(|service| services[*service].name.as_str()).collect();
    if cycle.len() > SHOWN {
        names.push("…");
    }
    names.push(first);
    Problem::new(place, line, format!("cycle of calls: {}", names.join(" → ")))
}

/// Whether a text is a DNS label (RFC 1123) as Kubernetes requires for names.
pub(crate) fn is_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = |c: char| inner(c) && c != '-';
    name.len() <= 63 && name.starts_with(ends) && name.ends_with(ends) && name.chars().all(inner)
}

impl Topology {
    /// Returns the pairs of caller and called service, each once, in the order of the file.
    #[must_use]
    pub fn edges(&self) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        let mut known = HashSet::new();
        for service in &self.services {
            for call in service.calls() {
                let edge = (service.name.as_str(), call.service.as_str());
                if known.insert(edge) {
                    found.push(edge);
                }
            }
        }
        found
    }
}
