//! A container's environment: plain values, references to them, the downward API, ConfigMaps and Secrets.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::{Api, CONFIG_MAPS, Kind, SECRETS};
use crate::node::secret;
use crate::object::{annotation, label, list, namespace, text};

/// What a pod's containers can learn of where they run.
pub(crate) struct Surroundings<'a> {
    pub(crate) pod: &'a Value,
    pub(crate) pod_ip: String,
    pub(crate) node: &'a str,
}

/// The environment of a container, `HOSTNAME` included.
///
/// # Errors
/// What is missing, in the words of CreateContainerConfigError.
pub(crate) fn environment(
    api: &Api,
    container: &Value,
    around: &Surroundings<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let mut env = BTreeMap::from([("HOSTNAME".to_owned(), text(around.pod, "/metadata/name").to_owned())]);
    for source in list(container, "/envFrom") {
        let prefix = text(source, "/prefix");
        for (field, kind) in [("configMapRef", CONFIG_MAPS), ("secretRef", SECRETS)] {
            let Some(reference) = source.get(field) else { continue };
            let data = data(api, kind, around.pod, reference)?;
            env.extend(data.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)));
        }
    }
    for variable in list(container, "/env") {
        let name = text(variable, "/name").to_owned();
        match variable.get("valueFrom") {
            Some(from) if !from.is_null() => {
                if let Some(value) = value_from(api, from, container, around)? {
                    env.insert(name, value);
                }
            }
            _ => {
                let value = expand(text(variable, "/value"), &env);
                env.insert(name, value);
            }
        }
    }
    Ok(env)
}

/// Replaces `$(NAME)` by a variable set before; `$$` is one `$`, an unknown name stays as it is.
fn expand(value: &str, env: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix("$(").and_then(|inner| inner.split_once(')')) {
            match env.get(name) {
                Some(value) => result.push_str(value),
                None => result.push_str(&rest[..name.len() + 3]),
            }
            rest = after;
        } else {
            result.push('$');
            rest = &rest[1..];
        }
    }
    result + rest
}

fn value_from(
    api: &Api,
    from: &Value,
    container: &Value,
    around: &Surroundings<'_>,
) -> Result<Option<String>, String> {
    if let Some(path) = from.pointer("/fieldRef/fieldPath").and_then(Value::as_str) {
        return field(path, around).map(Some).ok_or_else(|| format!("unknown field path \"{path}\""));
    }
    if let Some(resource) = from.pointer("/resourceFieldRef/resource").and_then(Value::as_str) {
        let (part, name) = resource.split_once('.').unwrap_or((resource, ""));
        return Ok(Some(text(container, &format!("/resources/{part}/{name}")).to_owned()));
    }
    for (name, kind) in [("configMapKeyRef", CONFIG_MAPS), ("secretKeyRef", SECRETS)] {
        let Some(reference) = from.get(name) else { continue };
        let key = text(reference, "/key");
        let found = data(api, kind, around.pod, reference)?.remove(key);
        let optional = reference.get("optional") == Some(&Value::Bool(true));
        return match found {
            None if !optional => Err(format!("couldn't find key {key} in {}", text(reference, "/name"))),
            found => Ok(found),
        };
    }
    Err("a variable names no known source".to_owned())
}

fn field(path: &str, around: &Surroundings<'_>) -> Option<String> {
    let pod = around.pod;
    let keyed = |map: &str| path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']");
    if let Some(key) = keyed("metadata.labels") {
        return Some(label(pod, key).unwrap_or_default().to_owned());
    }
    if let Some(key) = keyed("metadata.annotations") {
        return Some(annotation(pod, key).unwrap_or_default().to_owned());
    }
    Some(match path {
        "metadata.name" | "metadata.namespace" | "metadata.uid" | "spec.serviceAccountName" => {
            text(pod, &format!("/{}", path.replace('.', "/"))).to_owned()
        }
        "spec.nodeName" => around.node.to_owned(),
        "status.podIP" | "status.podIPs" => around.pod_ip.clone(),
        "status.hostIP" | "status.hostIPs" => crate::network::NODE_ADDRESS.to_string(),
        _ => return None,
    })
}

fn data(api: &Api, kind: Kind, pod: &Value, reference: &Value) -> Result<BTreeMap<String, String>, String> {
    let name = text(reference, "/name");
    let is_secret = kind == SECRETS;
    let Some(found) = api.get(kind, namespace(pod), name) else {
        let optional = reference.get("optional") == Some(&Value::Bool(true));
        let what = if is_secret { "secret" } else { "configmap" };
        return if optional { Ok(BTreeMap::new()) } else { Err(format!("{what} \"{name}\" not found")) };
    };
    let entries = found.get("data").and_then(Value::as_object).into_iter().flatten();
    Ok(entries
        .filter_map(|(key, value)| {
            let value = value.as_str()?;
            let value = if is_secret { secret::decode(value)? } else { value.to_owned() };
            Some((key.clone(), value))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::expand;

    #[test]
    fn references_to_earlier_variables_are_filled_in() {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(expand("x-$(A)-$(B)-$$(A)-$", &env), "x-1-$(B)-$(A)-$");
    }
}
