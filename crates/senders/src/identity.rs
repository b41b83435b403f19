//! As whom senders call: the ServiceAccount and the proxy of a workload.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::Api;
use meshy_base::error::{Advise as _, Exit};

/// The annotation that decides about a proxy.
const INJECT: &str = "linkerd.io/inject";

/// The prefixes of annotations that configure a proxy.
const CONFIG: [&str; 3] = ["config.linkerd.io/", "config.alpha.linkerd.io/", "config.beta.linkerd.io/"];

/// The identity of senders. Policies for the clients of a service apply to them as to a workload with this identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Their ServiceAccount; without it that of the namespace.
    pub service_account: Option<String>,
    /// The annotations that decide about their proxy and configure it.
    pub annotations: BTreeMap<String, String>,
}

impl Identity {
    /// Returns the default identity of a namespace, with a proxy or without.
    pub fn meshed(meshed: bool) -> Self {
        let inject = if meshed { "enabled" } else { "disabled" };
        Self { service_account: None, annotations: BTreeMap::from([(INJECT.to_owned(), inject.to_owned())]) }
    }

    /// Returns the identity of the pods of a Deployment, written as `deploy/NAME`. Senders do not get its labels: Services
    /// would route requests to them.
    ///
    /// # Errors
    /// The text is not `deploy/NAME`, or there is no such Deployment.
    pub async fn of_workload(client: &Client, namespace: &str, workload: &str) -> anyhow::Result<Self> {
        let kinds = ["deploy", "deployment", "deployments"];
        let name = match workload.split_once('/') {
            Some((kind, name)) if kinds.contains(&kind) && !name.is_empty() => name,
            _ => {
                return Err(anyhow!("invalid workload `{workload}`, expected `deploy/NAME`"))
                    .exit(Exit::Usage);
            }
        };
        let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        let found = api.get_opt(name).await.context("cannot read the deployment")?;
        let Some(found) = found else {
            return Err(anyhow!("there is no deployment `{name}` in namespace `{namespace}`"))
                .hint("`-n NAMESPACE` selects another namespace")
                .exit(Exit::Usage);
        };
        Ok(Self::of_deployment(&found))
    }

    fn of_deployment(deployment: &Deployment) -> Self {
        let template = deployment.spec.as_ref().map(|spec| &spec.template);
        let service_account =
            template.and_then(|template| template.spec.as_ref()?.service_account_name.clone());
        let annotations = template.and_then(|template| template.metadata.as_ref()?.annotations.clone());
        let is_of_proxy =
            |name: &String| name == INJECT || CONFIG.iter().any(|prefix| name.starts_with(prefix));
        let annotations = annotations.unwrap_or_default().into_iter().filter(|(name, _)| is_of_proxy(name));
        Self { service_account, annotations: annotations.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_of_a_workload_is_its_account_and_its_proxy_but_not_its_labels() {
        let deployment: Deployment = serde_json::from_value(serde_json::json!({
            "metadata": {},
            "spec": { "selector": {}, "template": {
                "metadata": {
                    "labels": { "app": "web" },
                    "annotations": {
                        "linkerd.io/inject": "enabled",
                        "config.linkerd.io/proxy-log-level": "warn",
                        "config.beta.linkerd.io/proxy-enable-native-sidecar": "true",
                        "checksum/config": "1",
                    },
                },
                "spec": { "serviceAccountName": "web", "containers": [] },
            } },
        }))
        .unwrap();
        let identity = Identity::of_deployment(&deployment);
        assert_eq!(identity.service_account.as_deref(), Some("web"));
        let names: Vec<&str> = identity.annotations.keys().map(String::as_str).collect();
        let expected = [
            "config.beta.linkerd.io/proxy-enable-native-sidecar",
            "config.linkerd.io/proxy-log-level",
            "linkerd.io/inject",
        ];
        assert_eq!(names, expected);
    }
}
