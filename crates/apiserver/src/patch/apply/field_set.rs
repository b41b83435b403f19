//! Sets of field paths, the content of FieldsV1.
//!
//! A path element is a FieldsV1 key: `f:replicas`, `k:{"name":"web"}`, `v:"finalizer"`. It is kept as text, so that
//! `managedFields` can be read and written without conversion.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path_element;
use crate::schema::Ty;

/// A set of field paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    elements: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// Whether the path that ends here is in the set.
    member: bool,
    below: FieldSet,
}

impl FieldSet {
    /// Adds a path.
    pub(crate) fn insert(&mut self, path: &[String]) {
        if let [element, rest @ ..] = path {
            let node = self.elements.entry(element.clone()).or_default();
            if rest.is_empty() {
                node.member = true;
            } else {
                node.below.insert(rest);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Adds all paths of another set.
    pub(crate) fn union(&mut self, other: &Self) {
        for (element, node) in &other.elements {
            let own = self.elements.entry(element.clone()).or_default();
            own.member |= node.member;
            own.below.union(&node.below);
        }
    }

    /// Returns the paths that are not in the other set.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let empty = Node::default();
        self.map_nodes(|element, node| {
            let other = other.elements.get(element).unwrap_or(&empty);
            Node { member: node.member && !other.member, below: node.below.difference(&other.below) }
        })
    }

    /// Returns the paths that are in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.map_nodes(|element, node| match other.elements.get(element) {
            Some(other) => {
                Node { member: node.member && other.member, below: node.below.intersection(&other.below) }
            }
            None => Node::default(),
        })
    }

    /// Returns the set with the parents of its paths (struct fields and list items with keys): parents of an owned
    /// path are not removed.
    pub(crate) fn with_named_parents(&self, ty: &Ty) -> Self {
        self.map_nodes(|element, node| {
            let ty = path_element::ty(ty, element);
            let below = match ty {
                Some(ty) => node.below.with_named_parents(ty),
                None => node.below.clone(),
            };
            Node { member: node.member || !node.below.is_empty(), below }
        })
    }

    fn map_nodes(&self, map: impl Fn(&str, &Node) -> Node) -> Self {
        let elements = self.elements.iter().map(|(element, node)| (element.clone(), map(element, node)));
        Self { elements: elements.filter(|(_, node)| node.member || !node.below.is_empty()).collect() }
    }

    /// Removes a path and all paths below it.
    pub(crate) fn remove_tree(&mut self, path: &[&str]) {
        if let [element, rest @ ..] = path {
            if rest.is_empty() {
                self.elements.remove(*element);
            } else if let Some(node) = self.elements.get_mut(*element) {
                node.below.remove_tree(rest);
                if !node.member && node.below.is_empty() {
                    self.elements.remove(*element);
                }
            }
        }
    }

    /// Removes a path of one element, and keeps the paths below it.
    pub(crate) fn remove(&mut self, element: &str) {
        if let Some(node) = self.elements.get_mut(element) {
            node.member = false;
            if node.below.is_empty() {
                self.elements.remove(element);
            }
        }
    }

    /// Returns whether a path of one element is in the set, and the paths below it.
    pub(crate) fn element(&self, element: &str) -> Option<(bool, &Self)> {
        self.elements.get(element).map(|node| (node.member, &node.below))
    }

    /// Returns the first path elements, each with whether it is in the set, and the paths below it.
    pub(crate) fn elements(&self) -> impl Iterator<Item = (&str, bool, &Self)> {
        self.elements.iter().map(|(element, node)| (element.as_str(), node.member, &node.below))
    }

    /// Returns the paths as text for conflict messages: `.spec.containers[name="web"].image`.
    pub(crate) fn to_paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect(&self, prefix: &str, out: &mut Vec<String>) {
        for (element, node) in &self.elements {
            let path = format!("{prefix}{}", path_element::to_text(element));
            if node.member {
                out.push(path.clone());
            }
            node.below.collect(&path, out);
        }
    }

    /// Returns the set as FieldsV1.
    pub(crate) fn to_json(&self) -> Value {
        let elements = self.elements.iter().map(|(element, node)| {
            let mut below = node.below.to_json();
            if let Value::Object(map) = &mut below
                && node.member
                && !map.is_empty()
            {
                map.insert(".".to_owned(), Value::Object(Map::new()));
            }
            (element.clone(), below)
        });
        Value::Object(elements.collect())
    }

    /// Reads a set from FieldsV1; a value that is not an object is an empty set.
    pub(crate) fn from_json(json: &Value) -> Self {
        let elements = json.as_object().into_iter().flatten().filter(|(element, _)| *element != ".").map(
            |(element, below)| {
                let empty = below.as_object().is_none_or(Map::is_empty);
                let node = Node { member: empty || below.get(".").is_some(), below: Self::from_json(below) };
                (element.clone(), node)
            },
        );
        Self { elements: elements.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_v1_is_written_as_it_was_read() {
        let json = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"k:{\"name\":\"x\"}": {"f:y": {}}}});
        assert_eq!(FieldSet::from_json(&json).to_json(), json);
    }

    #[test]
    fn difference_and_intersection_drop_empty_parents() {
        let left = FieldSet::from_json(&json!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}}));
        let right = FieldSet::from_json(&json!({"f:a": {"f:b": {}}, "f:d": {}}));
        assert_eq!(left.difference(&right).to_json(), json!({"f:a": {"f:c": {}}}));
        assert_eq!(left.intersection(&right).to_json(), json!({"f:a": {"f:b": {}}, "f:d": {}}));
    }
}
