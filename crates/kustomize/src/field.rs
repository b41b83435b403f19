//! Walks to the fields that a field specification names.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::id::Gvk;
use crate::kustomization::SpecText;
use crate::resource::Resource;

/// A place in objects of a kind. Empty parts of the kind match any value.
#[derive(Debug, Clone)]
pub(crate) struct FieldSpec {
    gvk: Gvk,
    /// Field names from the outside in; `[]` after a name marks a list.
    path: Vec<String>,
    create: bool,
}

impl FieldSpec {
    pub(crate) fn new(group: &str, version: &str, kind: &str, path: &str, create: bool) -> Self {
        let gvk = Gvk { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() };
        Self { gvk, path: split(path, '/'), create }
    }

    pub(crate) fn of(text: &SpecText) -> Self {
        Self::new(&text.group, &text.version, &text.kind, &text.path, text.create)
    }

    pub(crate) fn gvk(&self) -> &Gvk {
        &self.gvk
    }

    /// Adds this to `specs` unless one of them covers it already.
    pub(crate) fn merge_into(self, specs: &mut Vec<Self>) -> Result<(), Error> {
        let Some(present) = specs.iter().find(|spec| spec.gvk.is(&self.gvk) && spec.path == self.path) else {
            specs.push(self);
            return Ok(());
        };
        if present.create == self.create {
            return Ok(());
        }
        Err(Error::invalid(format!("field `{}` is to be created and not to be created", self.path.join("/"))))
    }

    /// Calls `set` with each field of `resource` that this names.
    ///
    /// Creates an absent field first if the specification has `create`: `leaf` is its type, `None` creates no field.
    pub(crate) fn visit(
        &self,
        resource: &mut Resource,
        leaf: Option<Leaf>,
        set: &mut dyn FnMut(&mut Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !resource.gvk().is(&self.gvk) {
            return Ok(());
        }
        let leaf = leaf.filter(|_| self.create);
        walk(&mut resource.object, &self.path, leaf, set)
            .map_err(|error| error.within(format!("field `{}` of `{}`", self.path.join("/"), resource.id())))
    }
}

/// What an absent field is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    Map,
    Scalar,
}

/// Returns the walk itself: through maps by name, through all elements of lists.
pub(crate) fn walk(
    value: &mut Value,
    path: &[String],
    leaf: Option<Leaf>,
    set: &mut dyn FnMut(&mut Value) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some((head, rest)) = path.split_first() else { return set(value) };
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(item, path, leaf, set)),
        Value::Object(fields) => {
            let (name, is_list) = head.strip_suffix("[]").map_or((head.as_str(), false), |name| (name, true));
            if name.is_empty() {
                return Err(Error::invalid("a field has an empty name"));
            }
            let made = match leaf {
                Some(leaf) if !is_list => {
                    let empty = if rest.is_empty() && leaf == Leaf::Scalar {
                        Value::from("")
                    } else {
                        Map::new().into()
                    };
                    let field = fields.entry(name).or_insert(Value::Null);
                    if field.is_null() {
                        *field = empty;
                    }
                    Some(field)
                }
                _ => fields.get_mut(name),
            };
            made.map_or(Ok(()), |field| walk(field, rest, leaf, set))
        }
        _ => Err(Error::invalid("a map or list was expected")),
    }
}

/// Returns the parts of a path, a separator after a backslash being part of a name.
pub(crate) fn split(path: &str, separator: char) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut joins = false;
    for part in path.strip_prefix(separator).unwrap_or(path).split(separator) {
        let (text, escaped) = part.strip_suffix('\\').map_or((part, false), |text| (text, true));
        match parts.last_mut() {
            Some(last) if joins => {
                last.push(separator);
                last.push_str(text);
            }
            _ => parts.push(text.to_owned()),
        }
        joins = escaped;
    }
    if joins && let Some(last) = parts.last_mut() {
        last.push('\\');
    }
    parts
}
