//! Policies as objects: retries in the newer dialect, and splits. Pure; commands apply them.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use meshy_linkerd::names;
use meshy_linkerd::policy::Retry;
use serde_json::{Value, json};

use meshy_base::error::{Advise, Exit};
use meshy_kube::Object;

/// Retries as the command line requests them.
#[derive(Clone, Debug)]
pub struct Retries {
    /// What is retried: `5xx`, `gateway-error`, codes and ranges.
    pub on: String,
    /// How often at most.
    pub limit: u16,
    /// How long one attempt may take.
    pub timeout: Option<String>,
}

impl Retries {
    /// The annotations.
    ///
    /// # Errors
    /// One of the values is none that Linkerd reads; a limit of 0 does not mean 0.
    pub fn annotations(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut annotations = BTreeMap::from([
            (names::RETRY_HTTP.to_owned(), self.on.clone()),
            (names::RETRY_LIMIT.to_owned(), self.limit.to_string()),
        ]);
        if let Some(timeout) = &self.timeout {
            annotations.insert(names::RETRY_TIMEOUT.to_owned(), timeout.clone());
        }
        if self.limit == 0 {
            return Err(anyhow!("a limit of 0 counts as not set, which means one retry"))
                .hint("`meshy retry delete` switches retries off")
                .exit(Exit::Usage);
        }
        Retry::from_annotations(&annotations).context("Linkerd would not read this").exit(Exit::Usage)?;
        Ok(annotations)
    }
}

/// The name of the HTTPRoute that carries a service's retries.
pub fn retry_route(service: &str) -> String {
    format!("{service}-retry")
}

/// The name of the HTTPRoute that splits a service.
pub fn split_route(service: &str) -> String {
    format!("{service}-split")
}

/// An HTTPRoute for one port of a service.
///
/// # Errors
/// None.
pub fn route(
    name: &str,
    service: &str,
    namespace: &str,
    port: u16,
    annotations: &BTreeMap<String, String>,
    backends: &[(String, u32)],
) -> anyhow::Result<Object> {
    let backends: Vec<Value> =
        backends.iter().map(|(name, weight)| json!({"name": name, "port": port, "weight": weight})).collect();
    let mut object = json!({
        "apiVersion": format!("{}/v1", names::GATEWAY_GROUP), "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": service, "port": port}],
            "rules": [{"backendRefs": backends}],
        },
    });
    if !annotations.is_empty() {
        object["metadata"]["annotations"] = json!(annotations);
    }
    Ok(serde_json::from_value(object)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn the_routes_are_those_of_the_shipped_files() {
        let retries = Retries { on: "5xx".to_owned(), limit: 3, timeout: None };
        let annotations = retries.annotations().unwrap();
        let backend = [("bounced-service".to_owned(), 1)];
        let mut made = json!(
            route("bounced-service-retry", "bounced-service", "default", 9090, &annotations, &backend)
                .unwrap()
        );
        made["spec"]["rules"][0]["backendRefs"][0].as_object_mut().unwrap().remove("weight");
        assert_eq!(made, shipped(include_str!("../../../../linkerd/routes/bounced-service-retry.yaml")));
        let backends = [("minimal-service".to_owned(), 90), ("minimal-service-v2".to_owned(), 10)];
        let none = BTreeMap::new();
        let made = json!(
            route("minimal-service-split", "minimal-service", "default", 9090, &none, &backends).unwrap()
        );
        assert_eq!(made, shipped(include_str!("../../../../linkerd/routes/minimal-service-split.yaml")));
    }

    #[test]
    fn what_linkerd_would_not_read_is_refused_here() {
        let retries = |on: &str, limit, timeout: Option<&str>| {
            Retries { on: on.to_owned(), limit, timeout: timeout.map(str::to_owned) }.annotations()
        };
        assert!(retries("5xx", 3, Some("500ms")).is_ok());
        assert!(retries("4xx", 3, None).is_err());
        assert!(retries("5xx", 0, None).is_err());
        assert!(retries("5xx", 3, Some("1.5s")).is_err());
    }
}
