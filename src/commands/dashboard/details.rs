//! What viewers see of a service apart from counts: the policy in force, the endpoints, and what circuit breakers do with them.

use std::collections::BTreeMap;

use meshy_kube::Kinds;
use meshy_metrics::Scrapes;
use meshy_metrics::callers;
use meshy_metrics::endpoints::endpoints;
use meshy_metrics::routes::Service;
use meshy_page::control::{Breaker, Details, EdgeDetails, Endpoint, ServiceDetails};
use meshy_policy::policy::{self, About};
use meshy_policy::services;
use meshy_predict::edge::Policy;

/// Services whose policies are read in full: those that viewers selected last.
const MAX_REQUESTED: usize = 8;

/// A service that a viewer selected.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RequestedDetails {
    /// The key in [`Details::services`].
    key: String,
    service: Service,
}

impl RequestedDetails {
    /// Returns a service, in a variant of the scenario that runs.
    pub(super) fn new(variant: Option<&str>, service: Service) -> Self {
        let key = match variant {
            Some(variant) => format!("{variant}/{}", service.name),
            None => service.name.clone(),
        };
        Self { key, service }
    }

    /// Adds it to those that viewers selected last.
    pub(super) fn join(self, all: &mut Vec<Self>) {
        all.retain(|one| *one != self);
        all.push(self);
        if all.len() > MAX_REQUESTED {
            all.remove(0);
        }
    }
}

/// Reads what is known of services.
pub(super) struct Reader<'a> {
    pub(super) kinds: &'a Kinds,
    /// Whose services are called.
    pub(super) namespace: &'a str,
    /// Two scrapes, between which the states of endpoints are evaluated.
    pub(super) recent: Option<(&'a Scrapes, &'a Scrapes)>,
}

impl Reader<'_> {
    /// Returns what is known of the services that are called, and of those that viewers selected.
    pub(super) async fn details(&self, edges: Vec<EdgeDetails>, requested: &[RequestedDetails]) -> Details {
        let mut services = BTreeMap::new();
        let mut called: Vec<&str> = edges.iter().map(|edge| edge.to.as_str()).collect();
        called.sort_unstable();
        called.dedup();
        for name in called {
            let service = Service { namespace: self.namespace.to_owned(), name: name.to_owned() };
            services.insert(name.to_owned(), self.brief(&service).await);
        }
        for requested in requested {
            let known = match services.remove(&requested.key) {
                Some(known) => known,
                None => self.brief(&requested.service).await,
            };
            services.insert(requested.key.clone(), self.full(&requested.service, known).await);
        }
        Details { services, edges }
    }

    /// Returns the policy in a line. One that cannot be read is left out.
    async fn brief(&self, service: &Service) -> ServiceDetails {
        let policy = match policy::of(self.kinds.client(), service).await {
            Ok(Policy::None) | Err(_) => None,
            Ok(policy) => Some(brief(&policy)),
        };
        ServiceDetails { policy, ..ServiceDetails::default() }
    }

    /// Returns the policy as `meshy policy show` prints it, and the endpoints with the states of `meshy policy breakers`.
    async fn full(&self, service: &Service, brief: ServiceDetails) -> ServiceDetails {
        let text = match self.effective(service).await {
            Ok(text) => text,
            Err(error) => format!("cannot be read: {error:#}"),
        };
        let client = self.kinds.client();
        let servers = services::pods(client, &service.namespace, &service.name).await.unwrap_or_default();
        let states = match self.recent {
            Some((before, now)) => endpoints(&callers::between(before, now, service), service, &servers),
            None => Vec::new(),
        };
        let endpoint = |pod: &meshy_metrics::Pod| Endpoint {
            name: pod.name.clone(),
            ready: pod.phase == "Running" && !pod.leaving,
            breakers: states
                .iter()
                .filter(|state| state.endpoint == pod.name)
                .map(|state| Breaker { client: state.client.clone(), state: state.state.words().to_owned() })
                .collect(),
        };
        ServiceDetails {
            policy_text: Some(text),
            command: Some(format!("meshy policy show {} -n {}", service.name, service.namespace)),
            endpoints: servers.iter().map(endpoint).collect(),
            ..brief
        }
    }

    async fn effective(&self, service: &Service) -> anyhow::Result<String> {
        let mut about = About::read(self.kinds, service, None).await?;
        about.read_rest(self.kinds).await?;
        Ok(about.effective().to_string())
    }
}

/// A policy in a line that fits into a node of the graph.
fn brief(policy: &Policy) -> String {
    match policy {
        Policy::None => "no retries".to_owned(),
        Policy::Limit { limit } => format!("at most {limit} retries"),
        Policy::Budget { retry_ratio, min_retries_per_second, .. } => {
            format!("budget {:.0} % + {min_retries_per_second}/s", retry_ratio * 100.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters of a policy in a node: graph.js.
    const NODE: usize = 20;

    #[test]
    fn a_policy_in_short_fits_into_a_node() {
        let budget = Policy::Budget { retry_ratio: 0.2, min_retries_per_second: 10, ttl_seconds: 10.0 };
        let texts = [budget, Policy::Limit { limit: 3 }].map(|policy| brief(&policy));
        assert_eq!(texts, ["budget 20 % + 10/s", "at most 3 retries"]);
        assert!(texts.iter().all(|text| text.chars().count() <= NODE));
    }
}
