//! Lint of policies along calls: retries that multiply, timeouts that do not fit, retries without a timeout or a budget.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use meshy_kube::Kinds;
use meshy_linkerd::effective::{retry_of, timeouts_of};
use meshy_linkerd::httproute::HttpRoute;
use meshy_linkerd::lint::{self, Finding};
use meshy_linkerd::profile::ServiceProfile;
use meshy_metrics::edges::edges;
use meshy_metrics::routes::Service;
use meshy_metrics::{Scrapes, Window, scrape_pods};
use meshy_policy::policy::About;
use meshy_topology::{EdgePolicy, PolicyEdge, Topology};
use serde_json::Value;

/// How long a proxy may take to respond: lint does not wait for proxies that do not.
const PER_PROXY: Duration = Duration::from_secs(2);

/// A call: the service that calls, and the one that is called.
type Call = (Service, Service);

/// Checks the calls that the proxies of a cluster counted since their start.
///
/// # Errors
/// The pods or the objects about a service cannot be read. A proxy that does not respond has no calls.
pub(crate) async fn of_cluster(client: &kube::Client) -> anyhow::Result<Vec<Finding>> {
    let mut pods = meshy_metrics::pods::list(client, None).await?;
    pods.retain(|pod| pod.scrapable() && !pod.is_control_plane());
    let now = scrape_pods(client, pods, PER_PROXY).await;
    let window = Window::between(&Scrapes { at: now.at, pods: Vec::new() }, &now);
    // A workload and its Service usually have the same name; other callers are the first of a path.
    let calls: Vec<Call> = edges(&window)
        .into_iter()
        .map(|edge| (Service { namespace: edge.namespace, name: edge.client.name }, edge.service))
        .collect();
    let kinds = Kinds::new(client.clone());
    let mut abouts = BTreeMap::new();
    for (_, to) in &calls {
        if let Entry::Vacant(about) = abouts.entry(name(to)) {
            about.insert(About::read(&kinds, to, None).await?);
        }
    }
    Ok(findings(&calls, &abouts))
}

/// Checks the calls of a topology with the policies of other objects, by the names of the Services.
pub(crate) fn of_topology(topology: &Topology, objects: &[Value]) -> Vec<Finding> {
    let service = |name: &str| Service { namespace: String::new(), name: name.to_owned() };
    let calls: Vec<Call> =
        topology.edges().into_iter().map(|(from, to)| (service(from), service(to))).collect();
    let abouts = calls.iter().map(|(_, to)| (name(to), about(to, objects))).collect();
    findings(&calls, &abouts)
}

/// The objects about a service in files, in whatever namespace.
fn about(service: &Service, objects: &[Value]) -> About {
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let annotations = of_kind("Service")
        .find(|object| object["metadata"]["name"] == service.name.as_str())
        .and_then(|object| serde_json::from_value(object["metadata"]["annotations"].clone()).ok())
        .unwrap_or_default();
    let profiles = of_kind("ServiceProfile").filter_map(|object| ServiceProfile::read_leniently(object).ok());
    let routes = of_kind("HTTPRoute").filter_map(|object| HttpRoute::from_value(object).ok());
    let mut about = About::of(service.clone(), annotations);
    about.profile =
        profiles.into_iter().find(|profile| profile.service().is_some_and(|(name, _)| name == service.name));
    about.routes = routes.filter(|route| route.services().any(|(name, _)| name == service.name)).collect();
    about
}

fn findings(calls: &[Call], abouts: &BTreeMap<String, About>) -> Vec<Finding> {
    let edges: Vec<PolicyEdge> = calls
        .iter()
        .map(|(from, to)| {
            let policy = abouts.get(&name(to)).map(edge_policy).unwrap_or_default();
            PolicyEdge { from: name(from), to: name(to), policy }
        })
        .collect();
    let found = meshy_topology::lint(&edges).into_iter().map(|finding| {
        let last = finding.path.last().map(String::as_str).unwrap_or_default();
        let (namespace, service) = last.split_once('/').unwrap_or(("", last));
        lint::calls(finding.rule.id(), namespace, service, finding.message)
    });
    found.collect()
}

/// `NAMESPACE/NAME`; of a topology, whose services have no namespace, the name.
fn name(service: &Service) -> String {
    let Service { namespace, name } = service;
    if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") }
}

/// What is in effect for a `GET /` to a service.
fn edge_policy(about: &About) -> EdgePolicy {
    if let Some(profile) = about.profile.as_ref().filter(|profile| profile.replaces_policy()) {
        let retryable: Vec<_> = profile.spec.routes.iter().filter(|route| route.is_retryable).collect();
        let budget = !retryable.is_empty() && profile.budget().validate().is_ok();
        let routes = if budget { retryable } else { profile.spec.routes.iter().collect() };
        // A route without a timeout can wait for ever.
        let timeouts: Option<Vec<Duration>> = routes.iter().map(|route| route.timeout()).collect();
        let request_timeout = timeouts.and_then(|timeouts| timeouts.into_iter().max());
        let retry_limit = if budget { None } else { Some(0) };
        return EdgePolicy { retry_limit, budget, request_timeout, ..EdgePolicy::default() };
    }
    let retry = retry_of(&about.annotations, &about.routes, "/");
    let timeouts = timeouts_of(&about.annotations, &about.routes, "/");
    let retry_timeout = retry.as_ref().and_then(|retry| retry.timeout);
    EdgePolicy {
        retry_limit: Some(retry.map_or(0, |retry| retry.limit.into())),
        budget: false,
        request_timeout: timeouts.request,
        response_timeout: timeouts.response,
        retry_timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &str = "apiVersion: meshy/v1alpha1\nkind: Topology\nmetadata: {name: chain}\nservices:\n  \
                         - {name: front, entrypoint: true, calls: [cart]}\n  - {name: other, entrypoint: true, calls: [price]}\n  \
                         - {name: cart, calls: [price]}\n  - {name: price}\n";

    fn ids(policies: &str) -> Vec<&'static str> {
        let topology = Topology::parse("chain.yaml", CHAIN).unwrap();
        let objects: Vec<Value> = serde_yaml::from_multiple(policies).unwrap();
        of_topology(&topology, &objects).into_iter().map(|finding| finding.id).collect()
    }

    fn service(name: &str, annotations: &str) -> String {
        format!("---\nkind: Service\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n")
    }

    #[test]
    fn each_rule_about_calls_is_found_in_a_topology_with_its_policies() {
        let retries = "retry.linkerd.io/http: 5xx, retry.linkerd.io/limit: '2'";
        let timed = format!("{retries}, timeout.linkerd.io/response: 400ms");
        let (cart, price) = (service("cart", &timed), service("price", &timed));
        assert_eq!(
            ids(&format!("{cart}{price}")),
            ["consecutive-retries", "inner-timeout", "shared-service-without-budget"]
        );
        assert_eq!(ids(&service("cart", retries)), ["retries-without-timeout"]);
        // It does not bound the last attempt.
        let retried = format!("{retries}, retry.linkerd.io/timeout: 400ms");
        assert_eq!(ids(&service("cart", &retried)), ["retries-without-timeout"]);
        assert_eq!(ids(&service("cart", &format!("{retries}, timeout.linkerd.io/request: 2s"))), [""; 0]);
    }

    #[test]
    fn the_policy_that_wins_is_the_one_that_is_checked() {
        let profile = "kind: ServiceProfile\nmetadata: {name: price.shop.svc.cluster.local}\nspec:\n  \
                       routes: [{name: all, condition: {pathRegex: /.*}, isRetryable: true, timeout: 1s}]\n";
        let annotated = service("price", "retry.linkerd.io/http: 5xx, retry.linkerd.io/limit: '9'");
        // The budget of the profile replaces the limit, so nothing multiplies.
        assert_eq!(ids(&format!("{profile}{annotated}")), [""; 0]);
        let route = "---\nkind: HTTPRoute\nmetadata: {name: r, annotations: {retry.linkerd.io/http: 5xx, \
                     timeout.linkerd.io/request: 1s}}\nspec:\n  parentRefs: [{group: '', kind: Service, name: cart}]\n  \
                     rules: [{}]\n";
        assert_eq!(ids(&format!("{}{route}", service("cart", "retry.linkerd.io/http: 5xx"))), [""; 0]);
    }
}
