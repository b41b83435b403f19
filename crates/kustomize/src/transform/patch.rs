//! `patches`, `patchesStrategicMerge` and `patchesJson6902`.

use serde_json::Value;

use crate::error::Error;
use crate::kustomization::{Patch, PatchOptions};
use crate::loader::Loader;
use crate::merge;
use crate::resource::Resource;
use crate::select::{self, Selector};
use crate::{objects, yaml};

/// Bytes of JSON that all copies of one JSON patch may add to an object: the limit of the Kubernetes API. A few copies of
/// each other's results would double the object each time.
const MOST_COPIED: usize = 3 << 20;

/// Applies `patchesStrategicMerge`: each a file or the patch itself.
pub(super) fn strategic(
    loader: &Loader<'_>,
    patches: &[String],
    list: &mut Vec<Resource>,
) -> Result<(), Error> {
    // All are read before the first is applied, so that a broken one is named and nothing half done.
    let mut parsed = Vec::new();
    for text in patches {
        match objects::read(text, "an inline patch") {
            Ok(inline) => parsed.extend(inline),
            Err(_) => parsed.extend(objects::read(&loader.read_text(text)?, &format!("`{text}`"))?),
        }
    }
    if parsed.is_empty() && !patches.is_empty() {
        return Err(Error::invalid("`patchesStrategicMerge` names no patch, only empty documents"));
    }
    parsed.iter().try_for_each(|patch| apply_by_id(patch, PatchOptions::default(), list))
}

/// Applies `patches`, of either kind.
pub(super) fn patches(loader: &Loader<'_>, patches: &[Patch], list: &mut Vec<Resource>) -> Result<(), Error> {
    for patch in patches {
        let place = if patch.path.is_empty() {
            "an inline patch".to_owned()
        } else {
            format!("patch `{}`", patch.path)
        };
        apply(loader, patch, &place, list).map_err(|error| error.within(place))?;
    }
    Ok(())
}

/// Applies `patchesJson6902`.
pub(super) fn json(loader: &Loader<'_>, patches: &[Patch], list: &mut [Resource]) -> Result<(), Error> {
    for patch in patches {
        let selector = match &patch.target {
            Some(target) if !target.name.is_empty() => Selector::new(target)?,
            _ => return Err(Error::invalid("an entry of `patchesJson6902` has no target with a name")),
        };
        let operations = operations(yaml::first_document(&text(loader, patch)?, "a patch")?)?;
        for resource in list.iter_mut().filter(|resource| selector.selects(resource)) {
            apply_json(&operations, resource)?;
        }
    }
    Ok(())
}

fn apply(loader: &Loader<'_>, patch: &Patch, place: &str, list: &mut Vec<Resource>) -> Result<(), Error> {
    let text = text(loader, patch)?;
    let selector = patch.target.as_ref().map(Selector::new).transpose()?;
    // What begins as JSON must be JSON: kustomize does not read it as YAML's flow style.
    let documents = if text.starts_with('[') {
        let list = serde_json::from_str(&text)
            .map_err(|error| Error::Parse { place: place.to_owned(), reason: error.to_string() })?;
        vec![list]
    } else {
        yaml::documents(&text, place)?
    };
    if documents.first().is_some_and(Value::is_array) {
        // Unlike objects, operations are read with `yes` and `no` as booleans.
        let document = if text.starts_with('[') {
            documents.into_iter().next().unwrap_or_default()
        } else {
            yaml::first_document(&text, place)?
        };
        let operations = operations(document)?;
        let Some(selector) = selector else { return Err(Error::invalid("a JSON patch needs a target")) };
        for resource in list.iter_mut().filter(|resource| selector.selects(resource)) {
            resource.remember();
            apply_json(&operations, resource)?;
        }
        return Ok(());
    }
    let parsed = objects::from_documents(documents)?;
    match (&selector, &parsed[..]) {
        (Some(selector), [one]) => {
            for resource in list.iter_mut().filter(|resource| selector.selects(resource)) {
                // The patch fits any version of the objects it is aimed at.
                let mut aimed = one.object.clone();
                aimed["apiVersion"] = resource.api_version().into();
                merge_into(resource, &aimed, patch.options)?;
            }
            drop_deleted(list);
            Ok(())
        }
        (Some(_), []) => Ok(()),
        (Some(_), _) => Err(Error::invalid("with a target there is one patch to an entry, not several")),
        (None, several) => several.iter().try_for_each(|one| apply_by_id(one, patch.options, list)),
    }
}

/// Returns the text of a patch, which stands in the entry or in a file.
fn text(loader: &Loader<'_>, patch: &Patch) -> Result<String, Error> {
    match (patch.path.as_str(), patch.patch.trim()) {
        ("", "") => Err(Error::invalid("a patch has neither `path` nor `patch`")),
        ("", inline) => Ok(inline.to_owned()),
        (path, "") => loader.read_text(path),
        _ => Err(Error::invalid("a patch has both `path` and `patch`")),
    }
}

/// Merges a patch into the one object it names itself.
fn apply_by_id(patch: &Resource, options: PatchOptions, list: &mut Vec<Resource>) -> Result<(), Error> {
    merge_into(select::one(list, &patch.id(), "patch")?, &patch.object, options)?;
    drop_deleted(list);
    Ok(())
}

/// Merges `patch` into `resource`, which keeps its name, namespace and kind unless `options` allow a change. A patch
/// that deletes the object leaves null.
fn merge_into(resource: &mut Resource, patch: &Value, options: PatchOptions) -> Result<(), Error> {
    let (name, namespace, kind) =
        (resource.name().to_owned(), resource.namespace().to_owned(), resource.kind().to_owned());
    if options.allow_name_change || options.allow_kind_change {
        resource.remember();
    }
    let shape = merge::shape(&resource.gvk());
    resource.object = merge::strategic(resource.object.take(), patch, shape)?.unwrap_or_default();
    if resource.object.is_null() {
        return Ok(());
    }
    if !options.allow_kind_change {
        resource.set_kind(&kind);
    }
    if !options.allow_name_change {
        resource.set_name(&name);
    }
    resource.set_namespace(&namespace);
    Ok(())
}

fn drop_deleted(list: &mut Vec<Resource>) {
    list.retain(|resource| resource.object.as_object().is_some_and(|fields| !fields.is_empty()));
}

fn operations(document: Value) -> Result<Vec<Value>, Error> {
    match document {
        Value::Array(operations) if !operations.is_empty() => Ok(operations),
        _ => Err(Error::invalid("a JSON patch is a list of operations")),
    }
}

fn apply_json(operations: &[Value], resource: &mut Resource) -> Result<(), Error> {
    let id = resource.id();
    let mut copied = 0;
    for operation in operations {
        let mut operation = operation.clone();
        for field in ["path", "from"] {
            if let Some(Value::String(pointer)) = operation.get_mut(field) {
                *pointer = from_the_end(pointer, &resource.object);
            }
        }
        let shown = operation.to_string();
        lenient(&mut operation, &resource.object);
        let failed = |reason: String| Error::invalid(format!("cannot apply {shown} to `{id}`: {reason}"));
        if operation["op"] == "copy" {
            let from = operation["from"].as_str().and_then(|from| resource.object.pointer(from));
            copied += from.map_or(0, |from| from.to_string().len());
            if copied > MOST_COPIED {
                return Err(failed(format!("copies of {copied} bytes exceed the limit of {MOST_COPIED}")));
            }
        }
        let parsed = serde_json::from_value(operation).map_err(|error| failed(error.to_string()))?;
        json_patch::patch(&mut resource.object, &[parsed]).map_err(|error| failed(error.kind.to_string()))?;
    }
    resource.check()
}

/// Lets `replace` set a field that its map does not have yet: kustomize's library does not check this.
fn lenient(operation: &mut Value, object: &Value) {
    let parent = operation["path"].as_str().and_then(|path| path.rsplit_once('/')).map(|(parent, _)| parent);
    if operation["op"] == "replace"
        && parent.and_then(|parent| object.pointer(parent)).is_some_and(Value::is_object)
    {
        operation["op"] = "add".into();
    }
}

/// A pointer with negative indices, which kustomize accepts in addition to the standard, counted from the start.
fn from_the_end(pointer: &str, object: &Value) -> String {
    let mut counted = String::new();
    let mut at = Some(object);
    for part in pointer.split('/').skip(1) {
        let length = at.and_then(Value::as_array).map_or(0, Vec::len);
        let back = part.strip_prefix('-').and_then(|digits| digits.parse::<usize>().ok());
        let part = match back {
            Some(back) if back <= length => (length - back).to_string(),
            _ => part.to_owned(),
        };
        counted.push('/');
        counted.push_str(&part);
        at = object.pointer(&counted);
    }
    counted
}
