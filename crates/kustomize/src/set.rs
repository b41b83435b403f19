//! The objects of a build in the order in which they came.

use std::collections::HashSet;

use serde_json::Value;

use crate::error::Error;
use crate::id::Id;
use crate::resource::{Behavior, Resource, object_in};

/// Objects, no two of which have the same id when they come in.
#[derive(Debug, Default)]
pub(crate) struct Set {
    list: Vec<Resource>,
    /// The ids in `list`, so that a tree of many overlays costs linear time; unknown after a change.
    ids: Option<HashSet<Id>>,
}

impl Set {
    /// Returns the objects for changing, adding and removing.
    pub(crate) fn list_mut(&mut self) -> &mut Vec<Resource> {
        self.ids = None;
        &mut self.list
    }

    pub(crate) fn into_list(self) -> Vec<Resource> {
        self.list
    }

    /// Adds an object whose id is new.
    pub(crate) fn append(&mut self, resource: Resource) -> Result<(), Error> {
        let list = &self.list;
        let ids = self.ids.get_or_insert_with(|| list.iter().map(Resource::id).collect());
        let id = resource.id();
        if ids.contains(&id) {
            return Err(Error::Duplicate { id: id.to_string() });
        }
        ids.insert(id);
        self.list.push(resource);
        Ok(())
    }

    /// Adds a generated object, or lets it merge into or replace the one that has, or had, its id.
    pub(crate) fn absorb(&mut self, mut resource: Resource) -> Result<(), Error> {
        let id = resource.id();
        let matches: Vec<_> = (0..self.list.len()).filter(|&index| self.list[index].ever_was(&id)).collect();
        match (&matches[..], resource.behavior) {
            ([], Behavior::Create) => return self.append(resource),
            ([], _) => {
                return Err(Error::Target {
                    what: format!("generator of `{id}` with merge or replace"),
                    found: 0,
                });
            }
            ([_], Behavior::Create) => {
                return Err(Error::invalid(format!(
                    "`{id}` is there already: its generator needs behavior merge or replace"
                )));
            }
            ([index], behavior) => {
                let old = &self.list[*index];
                inherit(&mut resource, old, "labels");
                inherit(&mut resource, old, "annotations");
                if behavior == Behavior::Merge {
                    merge_data(&mut resource, old);
                }
                resource.succeed(old);
                self.list_mut()[*index] = resource;
            }
            (several, _) => {
                return Err(Error::Target { what: format!("generator of `{id}`"), found: several.len() });
            }
        }
        Ok(())
    }
}

/// Adds the labels or annotations of `old` that `new` does not set itself.
fn inherit(new: &mut Resource, old: &Resource, field: &str) {
    let Some(Value::Object(inherited)) = old.object.get("metadata").and_then(|metadata| metadata.get(field))
    else {
        return;
    };
    if inherited.is_empty() {
        return;
    }
    new.metadata_mut();
    let pairs = object_in(&mut new.object["metadata"], field);
    for (key, value) in inherited {
        pairs.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// Adds the entries of `old` that `new` does not set itself.
fn merge_data(new: &mut Resource, old: &Resource) {
    for field in ["data", "binaryData"] {
        let Some(Value::Object(entries)) = old.object.get(field) else { continue };
        if entries.is_empty() {
            continue;
        }
        let data = object_in(&mut new.object, field);
        for (key, value) in entries {
            data.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}
