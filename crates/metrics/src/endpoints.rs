//! The endpoints of a service as each of its clients uses them: for which of them its circuit breaker is open.
//!
//! A proxy counts how many endpoints of a balancer are ready and pending, not which ones. Where only some are pending, these are
//! the ones with the fewest successes in the window: an open breaker admits nothing but probes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::edges::sent_to;
use super::pods::Pod;
use super::routes::Service;
use super::series::{Scrape, Series};
use super::window::Window;

/// What a client's proxy does with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EndpointState {
    /// It gets requests.
    Ready,
    /// The circuit breaker admits only probes.
    Open,
    /// All its responses in the window were failures. The proxy does not report whether the breaker is open.
    Failing,
    /// It got no request in the window, and the proxy does not report its state.
    Unknown,
}

impl EndpointState {
    /// The state in a word.
    pub fn words(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Open => "open",
            Self::Failing => "failing",
            Self::Unknown => "unknown",
        }
    }
}

/// An endpoint of a client.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Endpoint {
    /// The namespace of the client.
    pub client_namespace: String,
    /// The pod of the client.
    pub client: String,
    /// The pod of the service.
    pub endpoint: String,
    /// Its state.
    pub state: EndpointState,
    /// Responses in the window.
    pub responses_count: u64,
    /// Of these, failures.
    pub failed_count: u64,
}

/// Returns the endpoints of each client of a service. `servers` are the pods of the service.
#[must_use]
pub fn endpoints(window: &Window, service: &Service, servers: &[Pod]) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for pod in &window.pods {
        let pending = pending(&pod.change, service);
        let counts = counts(&pod.change, service, servers);
        if pending.is_none() && counts.values().all(|(all, _)| *all == 0) {
            continue;
        }
        let states = states(&counts, pending);
        found.extend(counts.into_iter().map(|(name, (all, failed))| Endpoint {
            client_namespace: pod.pod.namespace.clone(),
            client: pod.pod.name.clone(),
            state: states[&name],
            endpoint: name,
            responses_count: all,
            failed_count: failed,
        }));
    }
    found
}

/// Responses and failures by endpoint.
type Counts = BTreeMap<String, (u64, u64)>;

fn counts(change: &Scrape, service: &Service, servers: &[Pod]) -> Counts {
    let mut counts: Counts = servers.iter().map(|pod| (pod.name.clone(), (0, 0))).collect();
    for (series, count) in change.of("response_total").filter(|(series, _)| sent_to(series, service)) {
        let Some(pod) = series.label("dst_pod") else { continue };
        // A pod that is gone has no state.
        let Some(entry) = counts.get_mut(pod.as_ref()) else { continue };
        entry.0 += count as u64;
        entry.1 += if series.is("classification", "success") { 0 } else { count as u64 };
    }
    counts
}

/// The number of endpoints that are not ready; none if the proxy has no balancer for the service, or does not report it.
fn pending(change: &Scrape, service: &Service) -> Option<u64> {
    let own = |series: &Series| {
        series.is("backend_name", &service.name) && series.is("backend_namespace", &service.namespace)
    };
    let mut series =
        change.of("outbound_http_balancer_endpoints").filter(|(series, _)| own(series)).peekable();
    series.peek()?;
    let pending = series.filter(|(series, _)| series.is("endpoint_state", "pending"));
    Some(pending.map(|(_, count)| count as u64).sum())
}

fn states(counts: &Counts, pending: Option<u64>) -> BTreeMap<String, EndpointState> {
    let Some(pending) = pending else {
        let state = |(all, failed): &(u64, u64)| match (*all, *failed) {
            (0, _) => EndpointState::Unknown,
            (all, failed) if all == failed => EndpointState::Failing,
            _ => EndpointState::Ready,
        };
        return counts.iter().map(|(name, counts)| (name.clone(), state(counts))).collect();
    };
    let mut names: Vec<&String> = counts.keys().collect();
    // Fewest successes first; of equally many, most failures first.
    names.sort_by_key(|name| {
        let (all, failed) = counts[*name];
        (all - failed, std::cmp::Reverse(failed))
    });
    let state = |index: usize| {
        if (index as u64) < pending { EndpointState::Open } else { EndpointState::Ready }
    };
    names.into_iter().enumerate().map(|(index, name)| (name.clone(), state(index))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{PodWindow, text};

    fn pod(name: &str) -> Pod {
        Pod::example("shop", name)
    }

    fn states_of(gauge: Option<u32>) -> Vec<(String, EndpointState)> {
        let response = |pod: &str, classification: &str, count: u32| {
            format!(
                "response_total{{direction=\"outbound\",authority=\"cart.shop.svc.cluster.local:80\",dst_pod=\"{pod}\",\
                 classification=\"{classification}\"}} {count}\n"
            )
        };
        let mut dump = response("cart-1", "success", 40) + &response("cart-2", "failure", 1);
        if let Some(pending) = gauge {
            let labels = "backend_namespace=\"shop\",backend_name=\"cart\"";
            dump += &format!(
                "outbound_http_balancer_endpoints{{endpoint_state=\"ready\",{labels}}} {}\n\
                 outbound_http_balancer_endpoints{{endpoint_state=\"pending\",{labels}}} {pending}\n",
                3 - pending
            );
        }
        let change = text::parse(&dump).unwrap();
        let window = Window {
            length: Duration::from_secs(2),
            pods: vec![PodWindow { pod: pod("front-1"), change }],
            gaps: Vec::new(),
        };
        let service = Service { namespace: "shop".to_owned(), name: "cart".to_owned() };
        let servers = ["cart-1", "cart-2", "cart-3"].map(pod);
        endpoints(&window, &service, &servers).into_iter().map(|one| (one.endpoint, one.state)).collect()
    }

    #[test]
    fn the_pending_endpoints_are_those_without_successes() {
        use EndpointState::{Failing, Open, Ready, Unknown};
        let named = |states: [EndpointState; 3]| {
            ["cart-1", "cart-2", "cart-3"].map(str::to_owned).into_iter().zip(states).collect::<Vec<_>>()
        };
        assert_eq!(states_of(Some(0)), named([Ready, Ready, Ready]));
        assert_eq!(states_of(Some(1)), named([Ready, Open, Ready]));
        assert_eq!(states_of(Some(3)), named([Open, Open, Open]));
        assert_eq!(states_of(None), named([Ready, Failing, Unknown]));
    }
}
