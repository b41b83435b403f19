//! `replacements`: a value copied from one field to others.

mod path;
mod structured;

use serde_json::Value;

use crate::error::Error;
use crate::kustomization::{
    FieldOptions, Replacement, ReplacementText, SourceSelector, TargetSelector, drop_nulls, from_value,
};
use crate::loader::Loader;
use crate::resource::Resource;
use crate::select::Selector;
use crate::yaml;

/// The field that is meant where none is named.
const DEFAULT_PATH: &str = "metadata.name";

/// Makes all replacements, in the order written.
pub(super) fn all(
    loader: &Loader<'_>,
    texts: &[ReplacementText],
    list: &mut [Resource],
) -> Result<(), Error> {
    for text in texts {
        if text.path.is_empty() {
            replace(text.source.as_ref(), text.source_value.as_deref(), text.targets.as_deref(), list)?;
            continue;
        }
        if text.source.is_some() || text.targets.as_ref().is_some_and(|targets| !targets.is_empty()) {
            return Err(Error::invalid("a replacement has both `path` and `source` or `targets`"));
        }
        for Replacement { source, source_value, targets } in from_file(loader, &text.path)? {
            replace(source.as_ref(), source_value.as_deref(), targets.as_deref(), list)
                .map_err(|error| error.within(format!("replacements `{}`", text.path)))?;
        }
    }
    Ok(())
}

/// A file holds one replacement or a list of them.
fn from_file(loader: &Loader<'_>, path: &str) -> Result<Vec<Replacement>, Error> {
    let place = format!("`{path}`");
    let mut document = yaml::first_document(&loader.read_text(path)?, &place)?;
    drop_nulls(&mut document);
    let list = if document.is_array() { document } else { Value::Array(vec![document]) };
    from_value(list).map_err(|error| Error::Parse { place, reason: error.to_string() })
}

fn replace(
    source: Option<&SourceSelector>,
    constant: Option<&str>,
    targets: Option<&[TargetSelector]>,
    list: &mut [Resource],
) -> Result<(), Error> {
    let value = match (source, constant) {
        (Some(source), None) => read(source, list)?,
        (None, Some(constant)) => yaml::plain(constant),
        (Some(_), Some(_)) => {
            return Err(Error::invalid("a replacement has both `source` and `sourceValue`"));
        }
        (None, None) => return Err(Error::invalid("a replacement has no `source`")),
    };
    let Some(targets) = targets else { return Err(Error::invalid("a replacement has no `targets`")) };
    for target in targets {
        let Some(select) = &target.select else {
            return Err(Error::invalid("a replacement's target has no `select`"));
        };
        let select = Selector::new(select)?;
        let reject = target.reject.iter().map(Selector::new).collect::<Result<Vec<_>, _>>()?;
        for resource in list.iter_mut().filter(|resource| meant(resource, &select, &reject)) {
            write(resource, &value, target)
                .map_err(|error| error.within(format!("replacement in `{}`", resource.id())))?;
        }
    }
    Ok(())
}

/// Returns whether a target's `select` and `reject` leave an object in.
fn meant(resource: &Resource, select: &Selector, reject: &[Selector]) -> bool {
    let gvk = resource.gvk();
    let now = (gvk, resource.name().to_owned(), resource.namespace().to_owned());
    let ids: Vec<_> =
        [now].into_iter().chain(resource.previous_ids().map(|id| (id.gvk, id.name, id.namespace))).collect();
    let fits =
        |selector: &Selector| ids.iter().any(|(gvk, name, namespace)| selector.fits_id(gvk, name, namespace));
    select.fits_text(resource)
        && !reject.iter().any(|reject| reject.by_text() && reject.fits_text(resource))
        && !reject.iter().any(|reject| reject.by_id() && fits(reject))
        && fits(select)
}

/// Returns the value that a source means, in exactly one object.
fn read(source: &SourceSelector, list: &[Resource]) -> Result<Value, Error> {
    let wanted = source.gvk();
    let fits = |resource: &&Resource| {
        resource.previous_ids().chain([resource.id()]).any(|id| {
            id.gvk.is(&wanted)
                && (source.name.is_empty() || source.name == id.name)
                && (source.namespace.is_empty() || source.namespace == id.namespace)
        })
    };
    let found: Vec<_> = list.iter().filter(fits).collect();
    let [resource] = found[..] else {
        let kind = if source.kind.is_empty() { "any kind" } else { &source.kind };
        let name = if source.name.is_empty() { "any name" } else { &source.name };
        return Err(Error::Target {
            what: format!("replacement source ({kind}, {name})"),
            found: found.len(),
        });
    };
    let path = or_default(&source.field_path);
    let missing = || Error::invalid(format!("`{}` has no field `{path}` to copy", resource.id()));
    let value = path::get(&resource.object, &path::split(path)).ok_or_else(missing)?;
    let empty = match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if empty {
        return Err(missing());
    }
    part(value, &source.options)
}

/// Returns the part of a value between delimiters.
fn part(value: &Value, options: &FieldOptions) -> Result<Value, Error> {
    if options.delimiter.is_empty() {
        return Ok(value.clone());
    }
    let text = text(value).ok_or_else(|| Error::invalid("`delimiter` requires a text value"))?;
    let index = usize::try_from(options.index).ok();
    let part = index.and_then(|index| text.split(&options.delimiter).nth(index));
    let part = part.ok_or_else(|| Error::invalid(format!("`{text}` has no part {}", options.index)))?;
    Ok(if value.is_string() { part.into() } else { yaml::plain(part) })
}

fn write(resource: &mut Resource, value: &Value, target: &TargetSelector) -> Result<(), Error> {
    let default = [DEFAULT_PATH.to_owned()];
    let paths = if target.field_paths.is_empty() { &default[..] } else { &target.field_paths };
    for text in paths {
        let mut path =
            path::Path { parts: &path::split(text), create: target.options.create.then_some(value) };
        let mut found = 0;
        path.visit(&mut resource.object, &mut |field| {
            found += 1;
            set(field, value, &target.options)
        })?;
        if found == 0 {
            return Err(Error::invalid(format!("there is no field `{text}`")));
        }
    }
    resource.check()
}

/// Copies `value` to a field, or to the part of it that the options select. A scalar keeps its type; in a created field
/// the type is derived from the text.
fn set(field: &mut Value, value: &Value, options: &FieldOptions) -> Result<(), Error> {
    let mut value = value.clone();
    if !options.delimiter.is_empty() {
        let wrong = || Error::invalid("`delimiter` requires a text value");
        let (old, new) = (text(field).ok_or_else(wrong)?, text(&value).ok_or_else(wrong)?);
        let mut parts: Vec<&str> = old.split(&options.delimiter).collect();
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, &new),
            Ok(index) if index >= parts.len() => parts.push(&new),
            Ok(index) => parts[index] = &new,
        }
        value = parts.join(&options.delimiter).into();
    }
    *field = match (&*field, text(&value)) {
        (Value::String(_), Some(new)) => new.into(),
        (Value::Null, Some(new)) => yaml::plain(&new),
        (Value::Bool(_) | Value::Number(_), Some(new)) => {
            let read = yaml::plain(&new);
            if read.is_boolean() != field.is_boolean() || read.is_number() != field.is_number() {
                return Err(Error::invalid(format!("`{new}` cannot stand where `{field}` is")));
            }
            read
        }
        _ => value,
    };
    Ok(())
}

/// A scalar as text, `None` for maps and lists.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn or_default(path: &str) -> &str {
    if path.is_empty() { DEFAULT_PATH } else { path }
}
