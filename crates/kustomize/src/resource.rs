//! An object on its way through a build, with the history that patches and references go by.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::id::{Gvk, Id};

/// An object and its previous ids.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    pub(crate) object: Value,
    /// The names it had before each change, the first one first.
    previous: Vec<Previous>,
    pub(crate) prefixes: Vec<String>,
    pub(crate) suffixes: Vec<String>,
    pub(crate) behavior: Behavior,
    /// Whether its name ends in a hash of its content.
    pub(crate) hashed: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Previous {
    name: String,
    namespace: String,
    kind: String,
}

/// What a generated object does to one that is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Behavior {
    #[default]
    Create,
    Merge,
    Replace,
}

impl Resource {
    /// Returns the resource of an object that has a kind and a name.
    pub(crate) fn new(object: Value) -> Self {
        Self {
            object,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            behavior: Behavior::default(),
            hashed: false,
        }
    }

    /// Returns the resource of an object from a file. Returns an error if it has no kind or name.
    pub(crate) fn checked(object: Value) -> Result<Self, Error> {
        let resource = Self::new(object);
        resource.check()?;
        Ok(resource)
    }

    /// Returns whether it is an object still, with a kind and a name: JSON patches and replacements change any field.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refused = |what: &str| Err(Error::invalid(format!("{what}: {}", excerpt(&self.object))));
        if !self.object.is_object() {
            return refused("this is not an object");
        }
        if self.kind().is_empty() {
            return refused("an object has no kind");
        }
        if self.name().is_empty() && !self.kind().ends_with("List") {
            return refused("an object has no metadata.name");
        }
        if self.metadata("namespace").is_some_and(|value| !value.is_string()) {
            return refused("metadata.namespace is not text");
        }
        Ok(())
    }

    pub(crate) fn kind(&self) -> &str {
        text(self.object.get("kind"))
    }

    pub(crate) fn api_version(&self) -> &str {
        text(self.object.get("apiVersion"))
    }

    pub(crate) fn name(&self) -> &str {
        text(self.metadata("name"))
    }

    /// Returns the namespace as written, empty where none is.
    pub(crate) fn namespace(&self) -> &str {
        text(self.metadata("namespace"))
    }

    pub(crate) fn gvk(&self) -> Gvk {
        Gvk::new(self.api_version(), self.kind())
    }

    fn metadata(&self, field: &str) -> Option<&Value> {
        self.object.get("metadata")?.get(field).filter(|value| !value.is_null())
    }

    /// Returns the label of that key.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.metadata("labels")?.get(key)?.as_str()
    }

    /// Returns the annotation of that key.
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata("annotations")?.get(key)?.as_str()
    }

    /// Returns the id it has now.
    pub(crate) fn id(&self) -> Id {
        Id::new(self.gvk(), self.name(), self.namespace())
    }

    /// Returns the id it came into the build with.
    pub(crate) fn original_id(&self) -> Id {
        self.previous_ids().next().unwrap_or_else(|| self.id())
    }

    /// Returns the ids it had before, the oldest first. They carry today's group and version.
    pub(crate) fn previous_ids(&self) -> impl Iterator<Item = Id> {
        let gvk = self.gvk();
        self.previous.iter().map(move |previous| Id {
            gvk: Gvk { kind: previous.kind.clone(), ..gvk.clone() },
            name: previous.name.clone(),
            namespace: previous.namespace.clone(),
        })
    }

    /// Returns the names it had before.
    pub(crate) fn previous_names(&self) -> impl Iterator<Item = &str> {
        self.previous.iter().map(|previous| previous.name.as_str())
    }

    /// Returns whether it has, or once had, this id.
    pub(crate) fn ever_was(&self, id: &Id) -> bool {
        if self.name() != id.name && self.previous_names().all(|name| name != id.name) {
            return false;
        }
        self.id() == *id || self.previous_ids().any(|previous| previous == *id)
    }

    /// Writes down today's id before a change of name, namespace or kind.
    pub(crate) fn remember(&mut self) {
        let Id { name, namespace, gvk } = self.id();
        self.previous.push(Previous { name, namespace, kind: gvk.kind });
    }

    /// Takes the identity of the object that this one merges into or replaces: name, namespace and history.
    pub(crate) fn succeed(&mut self, old: &Resource) {
        self.set_name(old.name());
        self.set_namespace(old.namespace());
        self.previous.clone_from(&old.previous);
        self.prefixes.clone_from(&old.prefixes);
        self.suffixes.clone_from(&old.suffixes);
        self.behavior = old.behavior;
        self.hashed &= old.hashed;
    }

    pub(crate) fn set_kind(&mut self, kind: &str) {
        self.object["kind"] = kind.into();
    }

    pub(crate) fn set_name(&mut self, name: &str) {
        self.metadata_mut().insert("name".to_owned(), name.into());
    }

    /// Sets the namespace, or removes the field where `namespace` is empty.
    pub(crate) fn set_namespace(&mut self, namespace: &str) {
        if namespace.is_empty() {
            self.metadata_mut().remove("namespace");
        } else {
            self.metadata_mut().insert("namespace".to_owned(), namespace.into());
        }
    }

    /// Returns the object's metadata, made where it is absent.
    pub(crate) fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        object_in(&mut self.object, "metadata")
    }
}

/// Returns the object below `field`, made where it is absent or something else.
pub(crate) fn object_in<'a>(parent: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    let slot = &mut parent[field];
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("it was just made one")
}

/// Returns a string value; empty if it is absent or has another type.
fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// Returns the beginning of an object, short enough for an error.
fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
