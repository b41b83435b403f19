//! Which proxies matter for the requests to some services: a scrape of every proxy of a cluster shows the workloads that call
//! them, and the next one needs only these.

use std::collections::BTreeSet;

use super::edges::called;
use super::pods::{self, Pod, Workload};
use super::routes::Service;
use super::scrape::{POD_DEADLINE, Scrapes, scrape_pods};
use super::window::Window;

/// The workloads whose proxies can count requests to some services.
#[derive(Clone, Debug)]
pub struct Callers {
    namespaces: BTreeSet<String>,
    workloads: BTreeSet<(String, Workload)>,
    /// Namespace and name of the pods whose proxies were read and count no such request.
    others: BTreeSet<(String, String)>,
}

impl Callers {
    /// Returns the callers that a scrape shows. `is_wanted` gets namespace and name of a service; `namespaces` are those of the
    /// services, whose proxies always matter.
    pub fn of(scrapes: &Scrapes, namespaces: &[&str], is_wanted: impl Fn(&str, &str) -> bool) -> Self {
        let mut callers = Self {
            namespaces: namespaces.iter().map(|namespace| (*namespace).to_owned()).collect(),
            workloads: BTreeSet::new(),
            others: BTreeSet::new(),
        };
        for scraped in &scrapes.pods {
            let Ok(scrape) = &scraped.scrape else { continue };
            let pod = &scraped.pod;
            if called(scrape).iter().any(|(namespace, name)| is_wanted(namespace, name)) {
                callers.workloads.insert((pod.namespace.clone(), pod.workload.clone()));
            } else {
                callers.others.insert((pod.namespace.clone(), pod.name.clone()));
            }
        }
        callers
    }

    /// Returns whether the proxy of a pod matters. One that was not read can be a caller.
    pub fn concern(&self, pod: &Pod) -> bool {
        self.namespaces.contains(&pod.namespace)
            || self.workloads.contains(&(pod.namespace.clone(), pod.workload.clone()))
            || !self.others.contains(&(pod.namespace.clone(), pod.name.clone()))
    }
}

/// Scrapes the proxies of all pods but the control plane's: any of them can send its next request to any service.
///
/// # Errors
/// The API fails.
pub async fn candidates(client: &kube::Client) -> anyhow::Result<Scrapes> {
    let mut pods = pods::list(client, None).await?;
    pods.retain(|pod| !pod.is_control_plane());
    Ok(scrape_pods(client, pods, POD_DEADLINE).await)
}

/// Returns what the proxies counted between two scrapes that matter for the requests to a service. The later scrape shows which
/// these are: a client's first request may have been sent meanwhile.
pub fn between(before: &Scrapes, after: &Scrapes, service: &Service) -> Window {
    let Service { namespace, name } = service;
    let callers = Callers::of(after, &[namespace.as_str()], |of, called| of == namespace && called == name);
    let [before, after] = [before, after].map(|scrapes| scrapes.of(|pod| callers.concern(pod)));
    Window::between(&before, &after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape::ScrapedPod;
    use crate::text;

    fn pod(namespace: &str, workload: &str, name: &str) -> Pod {
        Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            workload: Workload { kind: "deployment".to_owned(), name: workload.to_owned() },
            labels: Default::default(),
            meshed: true,
            phase: "Running".to_owned(),
            leaving: false,
        }
    }

    #[test]
    fn proxies_of_other_namespaces_that_never_called_the_service_are_not_scraped_again() {
        let calls = "route_request_total{direction=\"outbound\",dst=\"cart.shop.svc.cluster.local:80\"} 3";
        let scraped = |pod: Pod, scrape: Result<&str, &str>| ScrapedPod {
            pod,
            scrape: scrape.map(|text| text::parse(text).unwrap()).map_err(str::to_owned),
        };
        let scrapes = Scrapes {
            at: tokio::time::Instant::now(),
            pods: vec![
                scraped(pod("front", "web", "web-1"), Ok(calls)),
                scraped(pod("front", "relay", "relay-1"), Ok("request_total 9")),
                scraped(pod("shop", "stock", "stock-1"), Ok("request_total 9")),
                scraped(pod("front", "slow", "slow-1"), Err("no response within 5 s")),
            ],
        };
        let callers =
            Callers::of(&scrapes, &["shop"], |namespace, name| (namespace, name) == ("shop", "cart"));
        let concerned = |namespace, workload, name| callers.concern(&pod(namespace, workload, name));
        assert!(concerned("front", "web", "web-1") && concerned("front", "web", "web-2"));
        assert!(concerned("shop", "stock", "stock-1"), "pods of the service's namespace");
        assert!(concerned("front", "slow", "slow-1"), "it may be a caller");
        assert!(concerned("front", "relay", "relay-2"), "it started since");
        assert!(!concerned("front", "relay", "relay-1"));
    }
}
