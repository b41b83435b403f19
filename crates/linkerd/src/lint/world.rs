//! The objects that lint checks, and the objects that it uses for lookups.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Place;
use crate::{httproute::HttpRoute, names};

/// A set of objects. Lint checks the targets and uses the other objects for lookups, for example of a Service.
#[derive(Clone, Debug, Default)]
pub struct World {
    items: Vec<Item>,
    complete: bool,
}

/// An object of a [`World`].
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) object: Value,
    file: Option<String>,
    target: bool,
}

impl World {
    /// Returns a world without objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object that lint checks. Adds each item of a List. `file` is the file that contains the object.
    pub fn add_target(&mut self, object: Value, file: Option<&str>) {
        self.add(object, file, true);
    }

    /// Adds an object for lookups. Adds each item of a List.
    pub fn add_reference(&mut self, object: Value) {
        self.add(object, None, false);
    }

    /// Marks the world as complete: an object that is not in it does not exist, as in a listing of a whole cluster. In an
    /// incomplete world, for example a few files, lint does not report missing objects.
    pub fn mark_complete(&mut self) {
        self.complete = true;
    }

    /// Makes this object the only target. It replaces an object of the same kind, name and namespace; all other objects are
    /// kept for lookups.
    pub fn set_only_target(&mut self, object: Value) {
        self.set_only_targets([object]);
    }

    /// Makes these objects the only targets, as [`World::set_only_target`]. A Service gets the annotations of its target and
    /// keeps its spec.
    pub fn set_only_targets(&mut self, objects: impl IntoIterator<Item = Value>) {
        self.items.iter_mut().for_each(|item| item.target = false);
        for object in objects {
            let mut target = Item { object, file: None, target: true };
            let same = |item: &Item| {
                item.kind() == target.kind()
                    && item.name() == target.name()
                    && item.namespace_or_default() == target.namespace_or_default()
            };
            let before = self.items.iter().position(same).map(|index| self.items.remove(index));
            if let Some(before) = before.filter(|_| target.kind() == "Service")
                && target.object["spec"].is_null()
            {
                target.object["spec"] = before.object["spec"].clone();
            }
            self.items.push(target);
        }
    }

    /// Returns the name of a ServiceProfile that overrides the policies of a service of this name, in any namespace.
    pub fn profile_of(&self, service: &str) -> Option<String> {
        self.of_kind("ServiceProfile")
            .filter_map(|item| crate::profile::ServiceProfile::read_leniently(&item.object).ok())
            .find(|profile| {
                profile.replaces_policy() && profile.service().is_some_and(|(name, _)| name == service)
            })
            .map(|profile| profile.metadata.name)
    }

    fn add(&mut self, mut object: Value, file: Option<&str>, target: bool) {
        if let Some(Value::Array(items)) = object.get_mut("items").map(Value::take) {
            for item in items {
                self.add(item, file, target);
            }
        } else if object.is_object() {
            self.items.push(Item { object, file: file.map(str::to_owned), target });
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.target)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    pub(super) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Item> {
        self.items.iter().filter(move |item| item.kind() == kind)
    }

    pub(super) fn service(&self, name: &str, namespace: &str) -> Option<&Item> {
        self.of_kind("Service").find(|s| s.name() == name && s.namespace_or_default() == namespace)
    }

    /// Returns the routes whose parent is this service.
    pub(super) fn routes_of(&self, name: &str, namespace: &str) -> Vec<&Item> {
        self.items
            .iter()
            .filter(|item| matches!(item.kind(), "HTTPRoute" | "GRPCRoute"))
            .filter(|item| {
                HttpRoute::from_value(&item.object)
                    .is_ok_and(|r| r.services().any(|s| s == (name, namespace)))
            })
            .collect()
    }

    /// Returns whether a pod outside the service has a proxy; true if the world is incomplete or has no pods.
    pub(super) fn has_meshed_clients(&self, service: &Item) -> bool {
        let mut pods = self.of_kind("Pod").peekable();
        if !self.complete || pods.peek().is_none() {
            return true;
        }
        let selector = service.object.pointer("/spec/selector").and_then(Value::as_object);
        pods.any(|pod| {
            let labels = pod.object.pointer("/metadata/labels");
            let label = |key: &str| labels.and_then(|labels| labels.get(key));
            let is_server = selector
                .is_some_and(|s| !s.is_empty() && s.iter().all(|(k, v)| label(k) == Some(v)))
                && pod.namespace_or_default() == service.namespace_or_default();
            // Pods that are being deleted will send no requests. Those of the control plane have a proxy, but are not clients of
            // the service.
            pod.object.pointer("/metadata/deletionTimestamp").is_none()
                && label(names::CONTROL_PLANE_NS_LABEL).is_some()
                && label(names::COMPONENT_LABEL).is_none()
                && !is_server
        })
    }
}

impl Item {
    fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(super) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub(super) fn namespace_or_default(&self) -> &str {
        Some(self.text("/metadata/namespace")).filter(|n| !n.is_empty()).unwrap_or("default")
    }

    pub(super) fn annotations(&self, pointer: &str) -> BTreeMap<String, String> {
        let found =
            self.object.pointer(&format!("{pointer}/metadata/annotations")).and_then(Value::as_object);
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        found.into_iter().flatten().filter_map(text).collect()
    }

    pub(super) fn place(&self, field: impl Into<String>) -> Place {
        Place {
            file: self.file.clone(),
            kind: self.kind().to_owned(),
            namespace: Some(self.text("/metadata/namespace").to_owned()).filter(|n| !n.is_empty()),
            name: self.name().to_owned(),
            field: field.into(),
        }
    }
}
