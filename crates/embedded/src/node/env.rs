//! The environment of a container: values, references, the downward API, ConfigMaps and Secrets.

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvFromSource, EnvVarSource, Pod, Secret};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::Api;
use crate::network::NODE_ADDRESS;
use crate::object::ObjectExt;
use crate::program::Env;

/// The values that a pod can read about itself.
pub(super) struct PodInfo<'a> {
    pub(super) pod: &'a Pod,
    pub(super) pod_ip: String,
    pub(super) node_name: &'a str,
}

/// An environment that cannot be built. The messages are those of the kubelet where it has such an error.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EnvError {
    #[error("configmap \"{0}\" not found")]
    ConfigMapNotFound(String),
    #[error("secret \"{0}\" not found")]
    SecretNotFound(String),
    #[error("couldn't find key {key} in {name}")]
    KeyNotFound { key: String, name: String },
    #[error("unsupported field path \"{0}\"")]
    FieldPath(String),
    #[error("unsupported source of environment variable \"{0}\"")]
    Source(String),
}

/// Builds the environment of a container, including `HOSTNAME`.
///
/// # Errors
/// A referenced object or key does not exist and is not optional, or the source is not supported.
pub(super) fn environment(api: &Api, container: &Container, info: &PodInfo<'_>) -> Result<Env, EnvError> {
    let namespace = info.pod.namespace();
    let mut env = Env::from([("HOSTNAME".to_owned(), info.pod.name().to_owned())]);
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let values = values_from(api, namespace, source)?;
        env.extend(values.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)));
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => value_from(api, source, &variable.name, container, info)?,
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &env)),
        };
        if let Some(value) = value {
            env.insert(variable.name.clone(), value);
        }
    }
    Ok(env)
}

/// Replaces `$(NAME)` by a variable of `env`; `$$` is a `$`, an unknown name remains as it is.
pub(crate) fn expand(text: &str, env: &Env) -> String {
    let mut result = String::new();
    let mut rest = text;
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

fn values_from(api: &Api, namespace: &str, source: &EnvFromSource) -> Result<Env, EnvError> {
    let mut values = Env::new();
    if let Some(reference) = &source.config_map_ref {
        values.extend(config_map(api, namespace, &reference.name, reference.optional)?);
    }
    if let Some(reference) = &source.secret_ref {
        values.extend(secret(api, namespace, &reference.name, reference.optional)?);
    }
    Ok(values)
}

fn value_from(
    api: &Api,
    source: &EnvVarSource,
    variable: &str,
    container: &Container,
    info: &PodInfo<'_>,
) -> Result<Option<String>, EnvError> {
    let namespace = info.pod.namespace();
    if let Some(reference) = &source.field_ref {
        let path = &reference.field_path;
        return field(path, info).map(Some).ok_or_else(|| EnvError::FieldPath(path.clone()));
    }
    if let Some(reference) = &source.resource_field_ref {
        return Ok(Some(resource(container, &reference.resource)));
    }
    let (mut values, key, name, optional) = if let Some(reference) = &source.config_map_key_ref {
        let values = config_map(api, namespace, &reference.name, reference.optional)?;
        (values, &reference.key, &reference.name, reference.optional)
    } else if let Some(reference) = &source.secret_key_ref {
        let values = secret(api, namespace, &reference.name, reference.optional)?;
        (values, &reference.key, &reference.name, reference.optional)
    } else {
        return Err(EnvError::Source(variable.to_owned()));
    };
    match values.remove(key) {
        None if optional != Some(true) => Err(EnvError::KeyNotFound { key: key.clone(), name: name.clone() }),
        found => Ok(found),
    }
}

/// Returns a field of the downward API.
fn field(path: &str, info: &PodInfo<'_>) -> Option<String> {
    let pod = info.pod;
    let key_of = |map: &str| path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']");
    if let Some(key) = key_of("metadata.labels") {
        return Some(pod.label(key).unwrap_or_default().to_owned());
    }
    if let Some(key) = key_of("metadata.annotations") {
        return Some(pod.annotation(key).unwrap_or_default().to_owned());
    }
    let service_account = || pod.spec.as_ref()?.service_account_name.clone();
    Some(match path {
        "metadata.name" => pod.name().to_owned(),
        "metadata.namespace" => pod.namespace().to_owned(),
        "metadata.uid" => pod.uid().to_owned(),
        "spec.serviceAccountName" => service_account().unwrap_or_default(),
        "spec.nodeName" => info.node_name.to_owned(),
        "status.podIP" | "status.podIPs" => info.pod_ip.clone(),
        "status.hostIP" | "status.hostIPs" => NODE_ADDRESS.to_string(),
        _ => return None,
    })
}

/// Returns a resource such as `limits.cpu`; empty if the container does not set it.
fn resource(container: &Container, path: &str) -> String {
    let (part, name) = path.split_once('.').unwrap_or((path, ""));
    let resources = container.resources.as_ref();
    let quantities = match part {
        "limits" => resources.and_then(|resources| resources.limits.as_ref()),
        "requests" => resources.and_then(|resources| resources.requests.as_ref()),
        _ => None,
    };
    quantities
        .and_then(|quantities| quantities.get(name))
        .map(|Quantity(text)| text.clone())
        .unwrap_or_default()
}

fn config_map(api: &Api, namespace: &str, name: &str, optional: Option<bool>) -> Result<Env, EnvError> {
    match api.get::<ConfigMap>(namespace, name) {
        Some(found) => Ok(found.data.clone().unwrap_or_default()),
        None if optional == Some(true) => Ok(Env::new()),
        None => Err(EnvError::ConfigMapNotFound(name.to_owned())),
    }
}

/// Returns the values of a Secret that are text.
fn secret(api: &Api, namespace: &str, name: &str, optional: Option<bool>) -> Result<Env, EnvError> {
    let Some(found) = api.get::<Secret>(namespace, name) else {
        return match optional {
            Some(true) => Ok(Env::new()),
            _ => Err(EnvError::SecretNotFound(name.to_owned())),
        };
    };
    let values = found.data.iter().flatten();
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
    Ok(values.filter_map(|(key, value)| Some((key.clone(), text(&value.0)?))).collect())
}

#[cfg(test)]
mod tests {
    use super::{Env, expand};

    #[test]
    fn references_to_earlier_variables_are_expanded() {
        let env = Env::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(expand("x-$(A)-$(B)-$$(A)-$", &env), "x-1-$(B)-$(A)-$");
    }
}
