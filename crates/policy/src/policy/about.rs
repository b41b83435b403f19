//! The objects that decide what happens to the requests to one Service.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Service as CoreService, ServiceSpec};
use kube::ResourceExt as _;
use kube::api::Api;
use meshy_linkerd::effective::{self, Effective, EndpointBreakers, Inbound, Objects};
use meshy_linkerd::httproute::HttpRoute;
use meshy_linkerd::names;
use meshy_linkerd::policy::{Annotations, Breaker};
use meshy_linkerd::profile::ServiceProfile;
use serde_json::{Value, json};

use meshy_kube::{Kinds, Object};
use meshy_metrics::endpoints::Endpoint;
use meshy_metrics::routes::Service;

use super::inbound;
use super::list::{ROUTES, age, list_first};

/// The objects about one Service, as one of its clients uses them.
#[derive(Clone, Debug)]
pub struct About {
    /// The Service.
    pub wanted: Service,
    /// Its annotations; empty if there is no such Service.
    pub annotations: Annotations,
    /// The ServiceProfile that clients read: the one in their namespace, else the one in the namespace of the Service.
    pub profile: Option<ServiceProfile>,
    /// The HTTPRoutes whose parent is the Service, by age and name: the first of equally specific ones applies.
    pub routes: Vec<HttpRoute>,
    inbound: Option<Inbound>,
    spec: Option<ServiceSpec>,
}

impl About {
    /// Returns a Service with these annotations about which there is nothing else.
    pub fn of(wanted: Service, annotations: Annotations) -> Self {
        Self { wanted, annotations, profile: None, routes: Vec::new(), inbound: None, spec: None }
    }

    /// Reads the objects. `from` is the namespace of the client; its own profile and routes go before those of the Service's
    /// namespace.
    ///
    /// # Errors
    /// An object cannot be read or understood. A kind that the cluster does not serve has no objects.
    pub async fn read(kinds: &Kinds, wanted: &Service, from: Option<&str>) -> anyhow::Result<Self> {
        let services: Api<CoreService> = Api::namespaced(kinds.client().clone(), &wanted.namespace);
        let service = services.get_opt(&wanted.name).await.context("cannot read services")?;
        let annotations = service.as_ref().map(|service| service.annotations().clone()).unwrap_or_default();
        let spec = service.and_then(|service| service.spec);
        let mut namespaces = vec![wanted.namespace.as_str()];
        if let Some(from) = from.filter(|from| *from != wanted.namespace) {
            namespaces.insert(0, from);
        }
        let (mut profile, mut routes) = (None, Vec::new());
        for namespace in namespaces {
            if profile.is_none() {
                profile = profile_in(kinds, wanted, namespace).await?;
            }
            // Routes of the client's namespace take the place of those of the Service's (Gateway API, "consumer routes").
            if routes.is_empty() {
                routes = routes_in(kinds, wanted, namespace).await?;
            }
        }
        Ok(Self { profile, routes, spec, ..Self::of(wanted.clone(), annotations) })
    }

    /// Reads who may call, and the rate limits, which only `meshy policy show` needs.
    ///
    /// # Errors
    /// As [`About::read`].
    pub async fn read_inbound(&mut self, kinds: &Kinds) -> anyhow::Result<()> {
        if let Some(spec) = &self.spec {
            self.inbound = Some(inbound::read(kinds, &self.wanted.namespace, spec).await?);
        }
        Ok(())
    }

    /// Whether clients use a circuit breaker: the Service has a valid one, and no ServiceProfile replaces it.
    pub fn has_breaker(&self) -> bool {
        let replaced = self.profile.as_ref().is_some_and(ServiceProfile::replaces_policy);
        !replaced && matches!(Breaker::from_annotations(&self.annotations), Ok(Some(_)))
    }

    /// Returns what is in effect.
    pub fn effective(&self) -> Effective {
        effective::effective(&Objects {
            namespace: &self.wanted.namespace,
            name: &self.wanted.name,
            annotations: &self.annotations,
            profile: self.profile.as_ref(),
            routes: &self.routes,
            inbound: self.inbound.as_ref(),
        })
    }
}

/// Returns what the circuit breakers of all clients do with each endpoint.
pub fn breakers(measured: &[Endpoint]) -> Vec<EndpointBreakers> {
    let mut all: Vec<EndpointBreakers> = Vec::new();
    for one in measured {
        let at = all.iter().position(|known| known.endpoint == one.endpoint).unwrap_or_else(|| {
            all.push(EndpointBreakers { endpoint: one.endpoint.clone(), clients: Default::default() });
            all.len() - 1
        });
        *all[at].clients.entry(one.state.words().to_owned()).or_default() += 1;
    }
    all
}

async fn profile_in(
    kinds: &Kinds,
    service: &Service,
    namespace: &str,
) -> anyhow::Result<Option<ServiceProfile>> {
    let name = names::service_fqdn(&service.name, &service.namespace);
    let served = kinds.served(names::PROFILE_API_VERSION, names::PROFILE_KIND).await?;
    let Some((resource, _)) = served else { return Ok(None) };
    let api: Api<Object> = Api::namespaced_with(kinds.client().clone(), namespace, &resource);
    let found = api.get_opt(&name).await.with_context(|| format!("cannot read the serviceprofile `{name}`"));
    let Some(found) = found? else { return Ok(None) };
    let read = ServiceProfile::read_leniently(&json!(found));
    read.with_context(|| format!("cannot understand the serviceprofile `{name}`")).map(Some)
}

async fn routes_in(kinds: &Kinds, service: &Service, namespace: &str) -> anyhow::Result<Vec<HttpRoute>> {
    let mut found = Vec::new();
    for versions in ROUTES {
        found.extend(list_first(kinds, versions, "HTTPRoute", namespace).await?);
    }
    found.sort_by_key(age);
    let text = |route: &Value, key: &str| route["metadata"][key].as_str().unwrap_or_default().to_owned();
    let mut routes = Vec::new();
    for route in found {
        let read = HttpRoute::from_value(&route);
        let read = read.with_context(|| format!("cannot understand HTTPRoute `{}`", text(&route, "name")))?;
        if read.services().any(|parent| parent == (service.name.as_str(), service.namespace.as_str())) {
            routes.push(read);
        }
    }
    Ok(routes)
}
