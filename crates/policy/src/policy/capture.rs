//! The state of an object before meshy changed it, and what meshy has written to it since.

use anyhow::{Context as _, anyhow};
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, GroupVersionKind, TypeMeta};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::owners::{self, Part};
use meshy_base::error::{Advise, Exit};
use meshy_kube::Object;
use meshy_kube::apply::Conflict;

/// How many written states are kept: a killed run leaves the last one, or the one before if the last did not arrive.
const WRITTEN: usize = 2;

/// Which part of which object a change concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) part: Part,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Place {
    /// The object for people: ``serviceprofile `a.b.svc.cluster.local` ``.
    pub(super) fn describe(&self) -> String {
        let place =
            if self.namespace == "default" { String::new() } else { format!(" in `{}`", self.namespace) };
        let what = match self.part {
            Part::Whole => "",
            Part::Retries => "retry annotations of ",
            Part::Policies => "policy annotations of ",
        };
        format!("{what}{} `{}`{place}", self.kind.to_lowercase(), self.name)
    }

    /// The API that serves the object.
    pub(super) fn api(&self, client: &kube::Client) -> Api<Object> {
        let (group, version) = self.api_version.rsplit_once('/').unwrap_or(("", &self.api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &self.kind));
        Api::namespaced_with(client.clone(), &self.namespace, &resource)
    }

    /// The object as it is now; none where it is absent, or its kind is not served.
    ///
    /// # Errors
    /// The object cannot be read.
    pub(super) async fn read(&self, client: &kube::Client) -> anyhow::Result<Option<Object>> {
        let found = self.api(client).get_opt(&self.name).await;
        let found = found.with_context(|| format!("cannot read the {}", self.describe()))?;
        Ok(found.map(|object| Object { types: Some(self.types()), ..object }))
    }

    fn types(&self) -> TypeMeta {
        TypeMeta { api_version: self.api_version.clone(), kind: self.kind.clone() }
    }

    /// An object at this place with nothing but this spec.
    pub(super) fn with_spec(&self, spec: Value) -> Object {
        let mut object = Object { types: Some(self.types()), metadata: Default::default(), data: json!({}) };
        object.metadata.name = Some(self.name.clone());
        object.metadata.namespace = Some(self.namespace.clone());
        if !spec.is_null() {
            object.data["spec"] = spec;
        }
        object
    }

    /// What a change concerns of an object; null for an absent one. Equal states mean equal behaviour of the proxies.
    pub(super) fn state(&self, object: Option<&Object>) -> Value {
        let Some(object) = object else { return Value::Null };
        match self.part {
            Part::Whole => json!({
                "spec": object.data["spec"], "labels": object.labels(), "annotations": object.annotations(),
            }),
            Part::Retries | Part::Policies => {
                let retries = object.annotations().iter().filter(|(key, _)| self.part.has(key));
                let retries: Map<String, Value> =
                    retries.map(|(key, value)| (key.clone(), json!(value))).collect();
                json!({ "retries": retries })
            }
        }
    }
}

/// A state that meshy wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Written {
    /// As it was sent. The API server may add defaults to it.
    pub(super) wanted: Value,
    /// As it was stored; none while the write is under way.
    pub(super) stored: Option<Value>,
}

/// An object before the first change, with all that is needed to restore it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Captured {
    pub(super) place: Place,
    /// None where the object was absent.
    pub(super) before: Option<Object>,
    #[serde(default)]
    pub(super) written: Vec<Written>,
}

impl Captured {
    /// Captures the present state.
    ///
    /// # Errors
    /// The object cannot be read.
    pub(super) async fn of(client: &kube::Client, place: Place) -> anyhow::Result<Self> {
        let before = place.read(client).await?;
        Ok(Self { place, before, written: Vec::new() })
    }

    /// Refuses a change of fields that other field managers hold.
    ///
    /// # Errors
    /// The fields and their managers.
    pub(super) fn check(&self, wanted: &Object, extras: &[String]) -> anyhow::Result<()> {
        let conflicts = self.conflicts(wanted, extras);
        if conflicts.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
        Err(anyhow!("{}", list.join("; ")))
            .with_context(|| format!("cannot change the {}", self.place.describe()))
            .id("apply-conflict")
            .exit(Exit::Failed)
    }

    /// Fields of other managers that `wanted` gives another value, or that are among the `extras` to be removed.
    fn conflicts(&self, wanted: &Object, extras: &[String]) -> Vec<Conflict> {
        let Some(before) = &self.before else { return Vec::new() };
        // Fields that `wanted` does not mention stay, so they do not conflict.
        let mut after = json!(before);
        merge(&mut after, &json!(wanted));
        for pointer in extras {
            remove(&mut after, pointer);
        }
        owners::conflicts(self.place.part, before.managed_fields(), &json!(before), &after)
    }

    /// Notes what is about to be written.
    pub(super) fn writes(&mut self, wanted: Value) {
        self.written.push(Written { wanted, stored: None });
        let surplus = self.written.len().saturating_sub(WRITTEN);
        self.written.drain(..surplus);
    }

    /// Notes what the API server stored.
    pub(super) fn stored(&mut self, state: Value) {
        if let Some(last) = self.written.last_mut() {
            last.stored = Some(state);
        }
    }

    /// Whether a state is one that meshy wrote.
    pub(super) fn wrote(&self, state: &Value) -> bool {
        self.written.iter().any(|written| match &written.stored {
            Some(stored) => stored == state,
            None => {
                written.wanted == *state || self.place.part == Part::Whole && within(&written.wanted, state)
            }
        })
    }
}

/// As server-side apply merges: maps key by key, anything else as a whole.
fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

/// Removes the value at a JSON pointer.
fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(map)) = value.pointer_mut(parent) {
        map.remove(&key.replace("~1", "/").replace("~0", "~"));
    }
}

/// Whether all of `part` is in `whole`: defaults may have been added to maps, lists have the same length.
fn within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|found| within(value, found)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| within(part, whole))
        }
        _ => part == whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(part: Part) -> Captured {
        let (api_version, kind) = ("v1".to_owned(), "Service".to_owned());
        let place = Place { part, api_version, kind, namespace: "default".to_owned(), name: "a".to_owned() };
        Captured { place, before: None, written: Vec::new() }
    }

    #[test]
    fn a_stored_state_is_compared_exactly_and_one_under_way_up_to_defaults() {
        let mut captured = captured(Part::Whole);
        captured.writes(json!({"spec": {"rules": [{"a": 1}]}}));
        let defaulted = json!({"spec": {"rules": [{"a": 1, "weight": 1}], "kind": "x"}});
        assert!(captured.wrote(&defaulted));
        assert!(!captured.wrote(&json!({"spec": {"rules": []}})));
        captured.stored(defaulted.clone());
        assert!(captured.wrote(&defaulted));
        let edited = json!({"spec": {"rules": [{"a": 1, "weight": 1}], "kind": "x", "more": true}});
        assert!(!captured.wrote(&edited), "an edit by another tool is not a state that meshy wrote");
    }

    #[test]
    fn the_state_before_the_last_write_counts_as_well_and_older_ones_do_not() {
        let mut captured = captured(Part::Retries);
        for limit in ["1", "2", "3"] {
            captured.writes(json!({"retries": {"retry.linkerd.io/limit": limit}}));
        }
        let wrote = |limit: &str| captured.wrote(&json!({"retries": {"retry.linkerd.io/limit": limit}}));
        assert_eq!(["1", "2", "3", "4"].map(wrote), [false, true, true, false]);
    }

    #[test]
    fn a_pointer_is_removed_with_its_escapes() {
        let mut object = json!({"metadata": {"annotations": {"a/b~c": "1", "d": "2"}}});
        remove(&mut object, "/metadata/annotations/a~1b~0c");
        assert_eq!(object, json!({"metadata": {"annotations": {"d": "2"}}}));
    }
}
