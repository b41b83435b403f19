//! One name for a service and the workload behind it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service as CoreService;
use kube::api::{Api, ListParams};
use meshy_metrics::routes::Service;
use meshy_metrics::{Pod, Workload};

/// Namespace and name.
type Key = (String, String);

/// Which services select which workloads. A workload that exactly one service selects is shown by the name of the service.
#[derive(Debug, Default)]
pub(crate) struct Names {
    scope: Option<String>,
    workloads_of: BTreeMap<Key, BTreeSet<Workload>>,
    services_of: BTreeMap<(String, Workload), BTreeSet<String>>,
}

impl Names {
    /// Reads the services of a cluster. Names outside of the namespace `scope`, or all without one, contain the namespace.
    ///
    /// # Errors
    /// The API fails.
    pub(crate) async fn read(
        client: &kube::Client,
        pods: &[Pod],
        scope: Option<&str>,
    ) -> anyhow::Result<Self> {
        let services = Api::<CoreService>::all(client.clone()).list(&ListParams::default()).await;
        let services = services.context("cannot list services")?;
        let mut names = Self { scope: scope.map(str::to_owned), ..Self::default() };
        for service in services.items {
            let selector = service.spec.and_then(|spec| spec.selector).filter(|labels| !labels.is_empty());
            let (Some(selector), Some(namespace), Some(name)) =
                (selector, service.metadata.namespace, service.metadata.name)
            else {
                continue;
            };
            names.add(&namespace, &name, &selector, pods);
        }
        Ok(names)
    }

    fn add(&mut self, namespace: &str, name: &str, selector: &BTreeMap<String, String>, pods: &[Pod]) {
        let is_selected = |pod: &&Pod| {
            pod.namespace == namespace
                && selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
        };
        for pod in pods.iter().filter(is_selected) {
            let key = (namespace.to_owned(), name.to_owned());
            self.workloads_of.entry(key).or_default().insert(pod.workload.clone());
            let key = (namespace.to_owned(), pod.workload.clone());
            self.services_of.entry(key).or_default().insert(name.to_owned());
        }
    }

    /// Returns the name of a workload.
    pub(crate) fn of_workload(&self, namespace: &str, workload: &Workload) -> String {
        let services = self.services_of.get(&(namespace.to_owned(), workload.clone()));
        let mut services = services.into_iter().flatten();
        match (services.next(), services.next()) {
            (Some(only), None) => self.shown(namespace, only),
            _ => self.shown(namespace, &workload.name),
        }
    }

    /// Returns the name of a service.
    pub(crate) fn of_service(&self, service: &Service) -> String {
        let workloads = self.workloads_of.get(&(service.namespace.clone(), service.name.clone()));
        let mut workloads = workloads.into_iter().flatten();
        match (workloads.next(), workloads.next()) {
            (Some(only), None) => self.of_workload(&service.namespace, only),
            _ => self.shown(&service.namespace, &service.name),
        }
    }

    fn shown(&self, namespace: &str, name: &str) -> String {
        if self.scope.as_deref() == Some(namespace) { name.to_owned() } else { format!("{namespace}/{name}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(workload: &str, app: &str) -> Pod {
        let labels =
            [("app", app), ("name", workload)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        Pod { labels: BTreeMap::from(labels), ..Pod::example("default", &format!("{workload}-0")) }
    }

    #[test]
    fn a_workload_has_the_name_of_its_only_service() {
        let pods = [pod("web-deploy", "web"), pod("api-v1", "api"), pod("api-v2", "api"), pod("job", "job")];
        let mut names = Names { scope: Some("default".to_owned()), ..Names::default() };
        let selector = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        names.add("default", "web", &selector("app", "web"), &pods);
        names.add("default", "api", &selector("app", "api"), &pods);
        names.add("default", "api-v1-svc", &selector("name", "api-v1"), &pods);
        let workload = |index: usize| names.of_workload("default", &pods[index].workload);
        assert_eq!([workload(0), workload(1), workload(2), workload(3)], ["web", "api-v1", "api", "job"]);
        let service = |namespace: &str, name: &str| {
            names.of_service(&Service { namespace: namespace.to_owned(), name: name.to_owned() })
        };
        assert_eq!(service("default", "web"), "web");
        assert_eq!(service("default", "api"), "api");
        assert_eq!(service("default", "api-v1-svc"), "api-v1");
        assert_eq!(service("shop", "cart"), "shop/cart");
    }
}
