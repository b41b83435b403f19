//! Which proxies matter for the requests to some services: a scrape of every proxy of a cluster shows the workloads that call
//! them, and the next one needs only these, and those whose identity is new to the servers.

use std::collections::{BTreeSet, HashMap};

use super::edges::called;
use super::pods::{self, Pod, Workload};
use super::routes::{Service, client_view};
use super::scrape::{POD_DEADLINE, ScrapedPod, Scrapes, scrape_pods};
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

/// Scrapes the proxies again that matter for the requests to a service: those of its namespace, of the workloads that had called it
/// at the earlier scrape, and of new pods; then those of clients whose identity its namespace has counted requests of since. If
/// no request was counted at all, every proxy is scraped: a client may have got no further than its own proxy. The others have the
/// counters of the earlier scrape.
///
/// # Errors
/// The API fails.
pub async fn again(client: &kube::Client, before: &Scrapes, service: &Service) -> anyhow::Result<Scrapes> {
    let Service { namespace, name } = service;
    let callers = Callers::of(before, &[namespace.as_str()], |of, called| of == namespace && called == name);
    let mut pods = pods::list(client, None).await?;
    pods.retain(|pod| !pod.is_control_plane());
    let (wanted, others): (Vec<Pod>, Vec<Pod>) = pods.into_iter().partition(|pod| callers.concern(pod));
    let mut now = scrape_pods(client, wanted, POD_DEADLINE).await;
    let window = Window::between(&before.of(|pod| callers.concern(pod)), &now);
    let routes = client_view(window.pods.iter().map(|pod| &pod.change), service);
    let is_idle = routes.values().all(|route| route.requests_count == 0);
    let clients = identities(&window, namespace);
    let is_new = |pod: &Pod| is_idle || clients.contains(&(pod.account.clone(), pod.namespace.clone()));
    let (late, others): (Vec<Pod>, Vec<Pod>) = others.into_iter().partition(is_new);
    if !late.is_empty() {
        now.pods.extend(scrape_pods(client, late, POD_DEADLINE).await.pods);
    }
    let key = |pod: &Pod| (pod.namespace.clone(), pod.name.clone());
    let then: HashMap<_, _> =
        before.pods.iter().map(|scraped| (key(&scraped.pod), &scraped.scrape)).collect();
    let unchanged = |pod: Pod| Some(ScrapedPod { scrape: (*then.get(&key(&pod))?).clone(), pod });
    now.pods.extend(others.into_iter().filter_map(unchanged));
    Ok(now)
}

/// Returns ServiceAccount and namespace of the clients whose requests the proxies of a namespace counted in a window. The identity of
/// a client is `ACCOUNT.NAMESPACE.serviceaccount.identity.…`.
fn identities(window: &Window, namespace: &str) -> BTreeSet<(String, String)> {
    let servers = window.pods.iter().filter(|pod| pod.pod.namespace == namespace);
    let families = ["request_total", "inbound_http_authz_deny_total", "inbound_http_local_ratelimit_total"];
    let counted = servers.flat_map(|pod| families.map(|family| pod.change.of(family)).into_iter().flatten());
    let identity = |client: &str| {
        let (account, namespace) = client.split_once(".serviceaccount.")?.0.rsplit_once('.')?;
        Some((account.to_owned(), namespace.to_owned()))
    };
    counted
        .filter(|(_, count)| *count > 0.0)
        .filter_map(|(series, _)| identity(&series.label("client_id")?))
        .collect()
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
    use crate::text;

    #[test]
    fn proxies_of_other_namespaces_that_never_called_the_service_are_not_scraped_again() {
        let calls = "route_request_total{direction=\"outbound\",dst=\"cart.shop.svc.cluster.local:80\"} 3";
        let scraped = |pod: Pod, scrape: Result<&str, &str>| ScrapedPod {
            pod,
            scrape: scrape
                .map(|text| text::parse(text).unwrap())
                .map_err(|why| anyhow::anyhow!("{why}").into()),
        };
        let scrapes = Scrapes {
            at: tokio::time::Instant::now(),
            pods: vec![
                scraped(Pod::example("front", "web-1"), Ok(calls)),
                scraped(Pod::example("front", "relay-1"), Ok("request_total 9")),
                scraped(Pod::example("shop", "stock-1"), Ok("request_total 9")),
                scraped(Pod::example("front", "slow-1"), Err("no response within 5 s")),
            ],
        };
        let callers =
            Callers::of(&scrapes, &["shop"], |namespace, name| (namespace, name) == ("shop", "cart"));
        let concerned = |namespace, name| callers.concern(&Pod::example(namespace, name));
        assert!(concerned("front", "web-1") && concerned("front", "web-2"));
        assert!(concerned("shop", "stock-1"), "pods of the service's namespace");
        assert!(concerned("front", "slow-1"), "it may be a caller");
        assert!(concerned("front", "relay-2"), "it started since");
        assert!(!concerned("front", "relay-1"));
    }
}
