//! Where a lab's nodes are, and were: a restart of the engine may give addresses again.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::nodes::Node;

/// The addresses of the nodes that have one, by node.
pub(super) fn of(nodes: &[Node]) -> BTreeMap<String, String> {
    nodes.iter().filter_map(|n| Some((n.name.clone(), n.address.clone()?))).collect()
}

/// What changed, a sentence each; a node that was not there before is not a change.
pub(super) fn changes(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let moved = now.iter().filter_map(|(name, now)| Some((name, now, before.get(name)?)));
    let moved = moved.filter(|(_, now, was)| now != was);
    moved.map(|(name, now, was)| format!("node `{name}` was at {was} and is at {now} now")).collect()
}

/// Node names by the addresses that they had, those without one last.
pub(super) fn in_order<'a>(
    addresses: &BTreeMap<String, String>,
    names: impl Iterator<Item = &'a str>,
) -> Vec<&'a str> {
    let address = |name: &str| addresses.get(name).and_then(|a| a.parse::<IpAddr>().ok());
    let mut names: Vec<&str> = names.collect();
    names.sort_by_key(|name| (address(name).is_none(), address(name)));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn nodes_start_by_number_and_not_by_letters() {
        let before = map(&[("a", "172.18.0.10"), ("b", "172.18.0.9"), ("c", "172.18.0.2")]);
        assert_eq!(in_order(&before, ["new", "a", "b", "c"].into_iter()), ["c", "b", "a", "new"]);
    }

    #[test]
    fn only_a_node_that_moved_is_a_change() {
        let before = map(&[("a", "172.18.0.2"), ("b", "172.18.0.3")]);
        assert!(changes(&before, &before).is_empty());
        assert!(changes(&map(&[]), &before).is_empty());
        let now = map(&[("a", "172.18.0.3")]);
        assert_eq!(changes(&before, &now), ["node `a` was at 172.18.0.2 and is at 172.18.0.3 now"]);
    }
}
