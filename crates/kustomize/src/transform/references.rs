//! Updates name references to renamed objects.

mod table;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::error::Error;
use crate::id::{Gvk, Id};
use crate::resource::Resource;

/// Follows all references, once all names are final.
pub(crate) fn references(list: &mut [Resource]) -> Result<(), Error> {
    let directory = Directory::of(list);
    for (index, resource) in list.iter_mut().enumerate() {
        let original = resource.original_id().gvk;
        let referrer = Referrer {
            index,
            known: &directory.known[index],
            namespaces: bound_namespaces(resource)?,
            gvk: resource.gvk(),
        };
        for rule in table::for_kind(&original.kind).filter(|rule| original.is(rule.referrer())) {
            let role = rule.is_role().then(|| role(&resource.object)).flatten();
            let lookup = Lookup {
                directory: &directory,
                referrer: &referrer,
                target: &rule.target,
                role: role.as_ref(),
            };
            rule.visit(resource, &referrer.gvk, &mut |field| lookup.update(field))?;
        }
    }
    Ok(())
}

/// The objects by their previous names, for lookups of references.
struct Directory {
    known: Vec<Known>,
    by_old_name: HashMap<String, Vec<usize>>,
}

struct Known {
    id: Id,
    original_namespace: String,
    /// As written, empty where none is.
    namespace: String,
    previous: Vec<Id>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl Directory {
    fn of(list: &[Resource]) -> Self {
        let mut by_old_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, resource) in list.iter().enumerate() {
            for name in resource.previous_names().collect::<HashSet<_>>() {
                by_old_name.entry(name.to_owned()).or_default().push(index);
            }
        }
        let known = list.iter().map(|resource| Known {
            id: resource.id(),
            original_namespace: resource.original_id().namespace,
            namespace: resource.namespace().to_owned(),
            previous: resource.previous_ids().collect(),
            prefixes: resource.prefixes.clone(),
            suffixes: resource.suffixes.clone(),
        });
        Self { known: known.collect(), by_old_name }
    }
}

/// The object whose fields are followed.
struct Referrer<'a> {
    index: usize,
    known: &'a Known,
    /// Namespaces of the service accounts that a role binding names: it may reach into these too.
    namespaces: HashSet<String>,
    gvk: Gvk,
}

impl Referrer<'_> {
    /// Returns whether an object lies where references of this one can reach.
    fn reaches(&self, target: &Known) -> bool {
        self.known.id.cluster_scoped()
            || target.id.cluster_scoped()
            || target.id.namespace == self.known.id.namespace
            || self.namespaces.contains(&target.namespace)
    }
}

/// One rule at work on one object.
struct Lookup<'a> {
    directory: &'a Directory,
    referrer: &'a Referrer<'a>,
    target: &'a Gvk,
    role: Option<&'a Gvk>,
}

impl Lookup<'_> {
    /// Follows the reference in `field`: a name, a map with `name` and perhaps `namespace`, or a list of either.
    fn update(&self, field: &mut Value) -> Result<(), Error> {
        match field {
            Value::Null => Ok(()),
            Value::Array(items) => items.iter_mut().try_for_each(|item| match item {
                Value::Array(_) => Err(Error::invalid("a reference is neither text nor a map")),
                item => self.update(item),
            }),
            Value::Object(fields) => {
                let Some(name) = fields.get("name") else {
                    return Err(Error::invalid("a reference has no name"));
                };
                let name = name.as_str().unwrap_or_default().to_owned();
                let namespace = fields
                    .get("namespace")
                    .map(|namespace| namespace.as_str().unwrap_or_default().to_owned());
                let Some(found) = self.find(&name, namespace.as_deref(), true)? else { return Ok(()) };
                if found.id.name == name && found.namespace.is_empty() {
                    return Ok(());
                }
                fields.insert("name".to_owned(), found.id.name.as_str().into());
                if !found.namespace.is_empty() {
                    fields.insert("namespace".to_owned(), found.namespace.as_str().into());
                }
                Ok(())
            }
            Value::String(name) => {
                if let Some(found) = self.find(name, None, false)? {
                    name.clone_from(&found.id.name);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns the best match for the previous name `name`: in the reach of the referrer, and with the same prefixes and
    /// suffixes where that is needed to distinguish objects.
    fn find(&self, name: &str, namespace: Option<&str>, by_namespace: bool) -> Result<Option<&Known>, Error> {
        let Some(indices) = self.directory.by_old_name.get(name) else { return Ok(None) };
        let in_original = namespace.is_some_and(|namespace| {
            self.directory.known.iter().any(|known| {
                !known.id.cluster_scoped()
                    && known.original_namespace == namespace
                    && self.referrer.reaches(known)
            })
        });
        let in_namespace = |known: &Known| match namespace {
            None => true,
            Some(namespace) if in_original => known.original_namespace == namespace,
            Some(namespace) => known.id.namespace == namespace,
        };
        let was = |known: &Known, gvk: &Gvk| known.previous.iter().any(|id| id.gvk.is(gvk));
        let near = |known: &Known| {
            self.referrer.known.id.cluster_scoped()
                || known.id.cluster_scoped()
                || known.id.gvk.kind == "ServiceAccount"
                || known.id.namespace == self.referrer.known.id.namespace
        };
        let mut found: Vec<&Known> = indices
            .iter()
            .map(|index| &self.directory.known[*index])
            .filter(|known| self.referrer.reaches(known) && in_namespace(known) && was(known, self.target))
            .filter(|known| self.role.is_none_or(|role| was(known, role)) && near(known))
            .collect();
        if found.len() > 1 {
            found.retain(|known| self.same_way(known, true));
        }
        if found.len() > 1 {
            found.retain(|known| self.same_way(known, false));
        }
        let Some((first, others)) = found.split_first() else { return Ok(None) };
        let alike = |other: &&Known| {
            other.id.name == first.id.name && (!by_namespace || other.namespace == first.namespace)
        };
        if others.iter().all(alike) {
            return Ok(Some(first));
        }
        let ids: Vec<_> = found.iter().map(|known| format!("`{}`", known.id)).collect();
        let referrer = &self.directory.known[self.referrer.index].id;
        Err(Error::invalid(format!("`{name}` in `{referrer}` could mean any of {}", ids.join(", "))))
    }

    /// Returns whether an object came by its name through the same prefixes and suffixes as the referrer; with `lenient`, none
    /// at all on one side fits too.
    fn same_way(&self, other: &Known, lenient: bool) -> bool {
        let same = |a: &[String], b: &[String]| {
            if lenient && (a.is_empty() || b.is_empty()) {
                return true;
            }
            a.is_empty() == b.is_empty() && (a.ends_with(b) || b.ends_with(a))
        };
        same(&self.referrer.known.prefixes, &other.prefixes)
            && same(&self.referrer.known.suffixes, &other.suffixes)
    }
}

/// Returns the kind of role that a binding names.
fn role(binding: &Value) -> Option<Gvk> {
    let reference = binding.get("roleRef")?;
    let part = |field: &str| Some(reference.get(field)?.as_str()?.to_owned());
    Some(Gvk { group: part("apiGroup")?, version: String::new(), kind: part("kind")? })
}

fn bound_namespaces(resource: &Resource) -> Result<HashSet<String>, Error> {
    let subjects = resource.object.get("subjects").and_then(Value::as_array);
    let Some(subjects) = subjects.filter(|_| resource.kind() == "RoleBinding") else {
        return Ok(HashSet::new());
    };
    let mut namespaces = HashSet::new();
    for subject in subjects {
        let refused =
            |what: &str| Err(Error::invalid(format!("{what} in RoleBinding `{}`", resource.name())));
        match (subject, subject.get("namespace")) {
            (Value::Object(_), Some(namespace)) if subject["kind"] == "ServiceAccount" => match namespace {
                Value::String(namespace) => namespaces.insert(namespace.clone()),
                _ => return refused("a subject has a blank namespace"),
            },
            (Value::Object(_), _) => continue,
            _ => return refused("a subject is not a map"),
        };
    }
    Ok(namespaces)
}
