//! Whether the proxies of servers use an inbound policy: their counters name the Server and the authorization of each request.

use std::time::Duration;

use anyhow::Context as _;
use kube::api::{Api, ListParams};
use meshy_kube::{Kinds, Object};
use meshy_linkerd::inbound::Server;
use meshy_metrics::{Pod, Scrape, Series, Window, scrape::POD_DEADLINE, scrape_pods};
use serde_json::json;
use tokio::time::Instant;

use super::clients::Client;
use super::evidence::State;

/// How long the proxies are watched: requests in this time show which policy they use.
const WATCHED: Duration = Duration::from_secs(2);

/// Watches the proxies of the pods in a namespace for which a Server or an authorization of this name can be in effect.
/// `label` is `srv_name` or `authz_name`.
///
/// # Errors
/// The pods or the Servers cannot be listed.
pub async fn servers(
    kinds: &Kinds,
    namespace: &str,
    label: &str,
    name: &str,
    deadline: Instant,
) -> anyhow::Result<Vec<Client>> {
    let mut pods = meshy_metrics::pods::list(kinds.client(), Some(namespace)).await?;
    pods.retain(|pod| pod.scrapable() && !pod.leaving && !pod.is_control_plane());
    if label == "srv_name" {
        let server = server(kinds, namespace, name).await?;
        pods.retain(|pod| server.as_ref().is_some_and(|server| selects(server, pod)));
    }
    let before = scrape_pods(kinds.client(), pods.clone(), POD_DEADLINE).await;
    tokio::time::sleep_until(deadline.min(Instant::now() + WATCHED)).await;
    let after = scrape_pods(kinds.client(), pods, POD_DEADLINE).await;
    let window = Window::between(&before, &after);
    Ok(window.pods.iter().map(|pod| state(&pod.pod, &pod.change, label, name)).collect())
}

async fn server(kinds: &Kinds, namespace: &str, name: &str) -> anyhow::Result<Option<Server>> {
    let Some((resource, _)) = kinds.served("policy.linkerd.io/v1beta3", "Server").await? else {
        return Ok(None);
    };
    let api: Api<Object> = Api::namespaced_with(kinds.client().clone(), namespace, &resource);
    let all = api.list(&ListParams::default()).await.context("cannot list objects of kind Server")?;
    let found = all.items.into_iter().find(|server| server.metadata.name.as_deref() == Some(name));
    found.map(|server| Server::from_value(&json!(server)).context("cannot understand the Server")).transpose()
}

fn selects(server: &Server, pod: &Pod) -> bool {
    server.pod_selector.match_labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
}

/// The state of a server's proxy by its counters in a window.
fn state(pod: &Pod, change: &Scrape, label: &str, name: &str) -> Client {
    // Probes are authorized by a separate policy.
    let arrives = |series: &Series| {
        series.is("direction", "inbound")
            && !series.is("target_port", "4191")
            && !series.is("route_name", "probe")
    };
    let all = change.sum("request_total", arrives);
    let used = change.sum("request_total", |series| arrives(series) && series.is(label, name));
    let (state, words) = match (used > 0.0, all > used) {
        (true, false) => (State::InForce, "its requests are counted by the policy"),
        (true, true) => {
            (State::InForce, "some of its requests are counted by the policy, others by another one")
        }
        (false, true) => (State::Stale, "its requests are counted by another policy"),
        (false, false) => (State::Idle, "idle; the next request will use the policy"),
    };
    Client::of_server(pod, state, all as u64, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshy_metrics::text;

    #[test]
    fn a_server_uses_a_policy_if_its_counters_name_it() {
        let pod = Pod::example("shop", "cart-1");
        let state_of = |counters: &str| {
            let found = state(&pod, &text::parse(counters).unwrap(), "srv_name", "cart");
            (found.state, found.requests)
        };
        let named = "request_total{direction=\"inbound\",target_port=\"8080\",srv_name=\"cart\"} 3\n";
        let other =
            "request_total{direction=\"inbound\",target_port=\"8080\",srv_name=\"all-unauthenticated\"} 2\n";
        let probe = "request_total{direction=\"inbound\",target_port=\"4191\",srv_name=\"x\"} 9\n";
        assert_eq!(state_of(&format!("{named}{probe}")), (State::InForce, 3));
        assert_eq!(state_of(&format!("{named}{other}")), (State::InForce, 5));
        assert_eq!(state_of(other), (State::Stale, 2));
        assert_eq!(state_of(probe), (State::Idle, 0));
    }
}
