//! Sets of field paths, in the terms of FieldsV1.
//!
//! A step of a path is its FieldsV1 key: `f:replicas`, `k:{"name":"web"}`, `v:"finalizer"`. Keeping the text makes
//! reading and writing `managedFields` a copy.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::item;
use crate::schema::Ty;

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    steps: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// The path that ends here is in the set.
    member: bool,
    below: Fields,
}

impl Fields {
    /// Adds the path itself.
    pub(crate) fn insert(&mut self, path: &[String]) {
        if let [step, rest @ ..] = path {
            let node = self.steps.entry(step.clone()).or_default();
            if rest.is_empty() {
                node.member = true;
            } else {
                node.below.insert(rest);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds all paths of another set.
    pub(crate) fn add(&mut self, other: &Self) {
        for (step, node) in &other.steps {
            let mine = self.steps.entry(step.clone()).or_default();
            mine.member |= node.member;
            mine.below.add(&node.below);
        }
    }

    /// The paths that are not in the other set.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let nothing = Node::default();
        self.each(|step, node| {
            let theirs = other.steps.get(step).unwrap_or(&nothing);
            Node { member: node.member && !theirs.member, below: node.below.without(&theirs.below) }
        })
    }

    /// The paths that are in both sets.
    pub(crate) fn both(&self, other: &Self) -> Self {
        self.each(|step, node| match other.steps.get(step) {
            Some(theirs) => {
                Node { member: node.member && theirs.member, below: node.below.both(&theirs.below) }
            }
            None => Node::default(),
        })
    }

    /// The set with the containers of its paths in it, where a container has a name of its own: a struct's field, a
    /// list's item. Who owns a container's field keeps the container from being removed.
    pub(crate) fn named(&self, ty: &Ty) -> Self {
        self.each(|step, node| {
            let below = item::step_ty(ty, step);
            let inner = match below {
                Some(ty) => node.below.named(ty),
                None => node.below.clone(),
            };
            Node { member: node.member || !node.below.is_empty(), below: inner }
        })
    }

    fn each(&self, make: impl Fn(&str, &Node) -> Node) -> Self {
        let steps = self.steps.iter().map(|(step, node)| (step.clone(), make(step, node)));
        Self { steps: steps.filter(|(_, node)| node.member || !node.below.is_empty()).collect() }
    }

    /// Takes away a path and everything below it.
    pub(crate) fn forget(&mut self, path: &[&str]) {
        if let [step, rest @ ..] = path {
            if rest.is_empty() {
                self.steps.remove(*step);
            } else if let Some(node) = self.steps.get_mut(*step) {
                node.below.forget(rest);
                if !node.member && node.below.is_empty() {
                    self.steps.remove(*step);
                }
            }
        }
    }

    /// Takes away the path alone.
    pub(crate) fn forget_self(&mut self, step: &str) {
        if let Some(node) = self.steps.get_mut(step) {
            node.member = false;
            if node.below.is_empty() {
                self.steps.remove(step);
            }
        }
    }

    /// The steps of the first level, whether each is itself in the set, and what is below it.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&str, bool, &Self)> {
        self.steps.iter().map(|(step, node)| (step.as_str(), node.member, &node.below))
    }

    /// The paths in the words of a conflict: `.spec.containers[name="web"].image`.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect(&self, prefix: &str, out: &mut Vec<String>) {
        for (step, node) in &self.steps {
            let path = format!("{prefix}{}", item::words(step));
            if node.member {
                out.push(path.clone());
            }
            node.below.collect(&path, out);
        }
    }

    /// As FieldsV1.
    pub(crate) fn to_json(&self) -> Value {
        let steps = self.steps.iter().map(|(step, node)| {
            let mut below = node.below.to_json();
            if let Value::Object(map) = &mut below
                && node.member
                && !map.is_empty()
            {
                map.insert(".".to_owned(), Value::Object(Map::new()));
            }
            (step.clone(), below)
        });
        Value::Object(steps.collect())
    }

    /// From FieldsV1; what is no object counts as empty.
    pub(crate) fn from_json(json: &Value) -> Self {
        let steps =
            json.as_object().into_iter().flatten().filter(|(step, _)| *step != ".").map(|(step, below)| {
                let empty = below.as_object().is_none_or(Map::is_empty);
                let node = Node { member: empty || below.get(".").is_some(), below: Self::from_json(below) };
                (step.clone(), node)
            });
        Self { steps: steps.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_read_and_written_alike() {
        let json = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"k:{\"name\":\"x\"}": {"f:y": {}}}});
        assert_eq!(Fields::from_json(&json).to_json(), json);
    }

    #[test]
    fn a_difference_drops_what_becomes_empty() {
        let left = Fields::from_json(&json!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}}));
        let right = Fields::from_json(&json!({"f:a": {"f:b": {}}, "f:d": {}}));
        assert_eq!(left.without(&right).to_json(), json!({"f:a": {"f:c": {}}}));
        assert_eq!(left.both(&right).to_json(), json!({"f:a": {"f:b": {}}, "f:d": {}}));
    }
}
