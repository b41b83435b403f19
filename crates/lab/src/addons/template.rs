//! Filling values into YAML, after it was read: a value can then never change what stands around it.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use serde_json::{Map, Value};

use meshy_kube::{Object, manifest};

/// Values by the name that stands in `${name}`.
pub(super) type Values = BTreeMap<&'static str, String>;

/// Reads YAML, fills the values in, and gives the objects.
///
/// # Errors
/// The YAML cannot be read, or it names a value that is not given.
pub(super) fn objects(text: &str, values: &Values) -> anyhow::Result<Vec<Object>> {
    let documents = fill(text, values)?;
    let objects: Result<Vec<_>, _> = documents.into_iter().map(manifest::from_value).collect();
    Ok(objects?.into_iter().flatten().collect())
}

/// Reads YAML and fills the values in.
///
/// # Errors
/// As [`objects`].
pub(super) fn fill(text: &str, values: &Values) -> anyhow::Result<Vec<Value>> {
    let mut documents: Vec<Value> =
        serde_yaml::from_multiple(text).context("cannot read a manifest of meshy's own")?;
    for document in &mut documents {
        fill_value(document, values)?;
        if document["kind"] == "Secret" {
            encode(document);
        }
    }
    Ok(documents)
}

fn fill_value(value: &mut Value, values: &Values) -> anyhow::Result<()> {
    match value {
        Value::String(text) if text.contains("${") => *text = fill_text(text, values)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill_value(item, values))?,
        Value::Object(members) => members.values_mut().try_for_each(|member| fill_value(member, values))?,
        _ => {}
    }
    Ok(())
}

fn fill_text(text: &str, values: &Values) -> anyhow::Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else { bail!("`${{` without its end in `{text}`") };
        let value = values.get(name).with_context(|| format!("no value for `${{{name}}}`"))?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Turns a Secret's readable `stringData` into `data`, as the API server would: read back and applied again it is then the
/// same.
fn encode(secret: &mut Value) {
    let Some(Value::Object(readable)) = secret.as_object_mut().and_then(|s| s.remove("stringData")) else {
        return;
    };
    let encode = |(key, value): (String, Value)| {
        let text = value.as_str().unwrap_or_default().to_owned();
        (key, Value::String(base64::engine::general_purpose::STANDARD.encode(text)))
    };
    secret["data"] = Value::Object(readable.into_iter().map(encode).collect::<Map<_, _>>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_what_it_is_whatever_is_in_it() {
        let values = Values::from([("name", "a: {b\n- c".to_owned())]);
        let filled = fill("x: ${name}\ny: [\"<${name}>\", 1]\n", &values).unwrap();
        assert_eq!(filled[0], serde_json::json!({"x": "a: {b\n- c", "y": ["<a: {b\n- c>", 1]}));
    }

    #[test]
    fn a_value_that_is_not_given_is_an_error() {
        assert!(fill("x: ${absent}\n", &Values::new()).unwrap_err().to_string().contains("absent"));
    }

    #[test]
    fn a_secret_is_encoded_as_the_api_server_would() {
        let filled =
            fill("kind: Secret\nstringData:\n  a: ${v}\n", &Values::from([("v", "hi".to_owned())])).unwrap();
        assert_eq!(filled[0], serde_json::json!({"kind": "Secret", "data": {"a": "aGk="}}));
    }
}
