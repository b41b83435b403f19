//! YAML ↔ objects.

use anyhow::{Context as _, bail};
use kube::ResourceExt as _;
use serde_json::Value;

use super::Object;

/// Reads the objects of a YAML (or JSON) text with any number of documents. Lists are taken apart, empty documents skipped.
///
/// # Errors
/// The text is not YAML, or a document has no `apiVersion`, `kind` or a name; the error names the document.
pub fn parse(text: &str) -> anyhow::Result<Vec<Object>> {
    let documents: Vec<Value> = serde_yaml::from_multiple(text).context("cannot read the YAML")?;
    let mut objects = Vec::new();
    for (i, document) in documents.into_iter().enumerate() {
        objects.extend(from_value(document).with_context(|| format!("in document {}", i + 1))?);
    }
    Ok(objects)
}

/// The objects in a value: itself, a list's items, or none in `null`.
///
/// # Errors
/// A value has no `apiVersion`, `kind` or a name.
pub fn from_value(value: Value) -> anyhow::Result<Vec<Object>> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let kind = value["kind"].as_str().unwrap_or_default();
    if kind.ends_with("List")
        && let Some(items) = value["items"].as_array()
    {
        let objects: Result<Vec<_>, _> = items.iter().cloned().map(from_value).collect();
        return Ok(objects?.into_iter().flatten().collect());
    }
    for key in ["apiVersion", "kind"] {
        if value[key].as_str().is_none_or(str::is_empty) {
            bail!("an object has no `{key}`");
        }
    }
    if value["metadata"]["name"].as_str().is_none_or(str::is_empty) {
        bail!("a {kind} has no `metadata.name`");
    }
    let kind = kind.to_owned();
    Ok(vec![serde_json::from_value(value).with_context(|| format!("cannot understand a {kind}"))?])
}

/// Objects as one YAML text.
///
/// # Errors
/// None for what came from YAML or the API.
pub fn to_yaml(objects: &[Object]) -> anyhow::Result<String> {
    let documents: Result<Vec<String>, _> = objects.iter().map(serde_yaml::to_string).collect();
    Ok(documents.context("cannot write YAML")?.join("---\n"))
}

/// The kind of an object as the API spells it.
pub fn kind(object: &Object) -> &str {
    object.types.as_ref().map_or("", |t| &t.kind)
}

/// An object's name for people: ``deployment `web` in `shop` ``.
pub fn describe(object: &Object) -> String {
    let kind = kind(object).to_lowercase();
    match object.namespace() {
        Some(ns) if ns != "default" => format!("{kind} `{}` in `{ns}`", object.name_any()),
        _ => format!("{kind} `{}`", object.name_any()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart_and_empty_documents_skipped() {
        let text = "---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n\
                    - {apiVersion: v1, kind: Service, metadata: {name: b, namespace: a}}\n";
        let objects = parse(text).unwrap();
        let names: Vec<String> = objects.iter().map(describe).collect();
        assert_eq!(names, ["namespace `a`", "service `b` in `a`"]);
    }

    #[test]
    fn an_object_without_a_name_names_its_document() {
        let error = parse("apiVersion: v1\nkind: Service\nmetadata: {}\n").unwrap_err();
        assert_eq!(format!("{error:#}"), "in document 1: a Service has no `metadata.name`");
    }
}
