//! The objects that decide what happens to the requests to one Service.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Service as CoreService, ServiceSpec};
use kube::ResourceExt as _;
use kube::api::Api;
use meshy_linkerd::effective::{self, Effective, EndpointBreakers, Inbound, Objects};
use meshy_linkerd::httproute::HttpRoute;
use meshy_linkerd::policy::{Annotations, Breaker};
use meshy_linkerd::profile::ServiceProfile;
use meshy_linkerd::{grpc_route, names};
use serde_json::{Value, json};

use meshy_kube::{Kinds, Object};
use meshy_metrics::endpoints::Endpoint;
use meshy_metrics::routes::Service;

use super::inbound;
use super::list::{grpc_routes, http_routes};

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
    /// Its GRPCRoutes, as HTTPRoutes, which only [`About::read_rest`] reads.
    grpc_routes: Vec<HttpRoute>,
    inbound: Option<Inbound>,
    spec: Option<ServiceSpec>,
    /// The namespaces whose routes clients use, the first one before the others, with their HTTPRoutes.
    listed: Vec<(String, Vec<Value>)>,
}

impl About {
    /// Returns a Service with these annotations about which there is nothing else.
    pub fn of(wanted: Service, annotations: Annotations) -> Self {
        Self {
            wanted,
            annotations,
            profile: None,
            routes: Vec::new(),
            grpc_routes: Vec::new(),
            inbound: None,
            spec: None,
            listed: Vec::new(),
        }
    }

    /// Reads the objects. `from` is the namespace of the client; its own profile and routes go before those of the Service's
    /// namespace.
    ///
    /// # Errors
    /// An object cannot be read or understood. A kind that the cluster does not serve has no objects.
    pub async fn read(kinds: &Kinds, wanted: &Service, from: Option<&str>) -> anyhow::Result<Self> {
        let services: Api<CoreService> = Api::namespaced(kinds.client().clone(), &wanted.namespace);
        let service = async { services.get_opt(&wanted.name).await.context("cannot read services") };
        let from = from.filter(|from| *from != wanted.namespace);
        let namespaces = from.into_iter().chain([&*wanted.namespace]);
        let of_namespaces = async {
            let mut found = Vec::new();
            for namespace in namespaces {
                let (profile, listed) =
                    tokio::try_join!(profile_in(kinds, wanted, namespace), http_routes(kinds, namespace))?;
                found.push((profile, namespace.to_owned(), listed));
            }
            anyhow::Ok(found)
        };
        let (service, of_namespaces) = tokio::try_join!(service, of_namespaces)?;
        let annotations = service.as_ref().map(|service| service.annotations().clone()).unwrap_or_default();
        let mut about = Self::of(wanted.clone(), annotations);
        about.spec = service.and_then(|service| service.spec);
        for (profile, namespace, listed) in of_namespaces {
            about.profile = about.profile.or(profile);
            // Routes of the client's namespace take the place of those of the Service's (Gateway API, "consumer routes").
            if about.routes.is_empty() {
                about.routes = of_service(&listed, wanted, "HTTPRoute", HttpRoute::from_value)?;
            }
            about.listed.push((namespace, listed));
        }
        Ok(about)
    }

    /// Reads the GRPCRoutes, who may call, and the rate limits, which only `meshy policy show` needs.
    ///
    /// # Errors
    /// As [`About::read`].
    pub async fn read_rest(&mut self, kinds: &Kinds) -> anyhow::Result<()> {
        let mut grpc = Vec::new();
        for (namespace, _) in &self.listed {
            grpc = grpc_routes(kinds, namespace).await?;
            if self.grpc_routes.is_empty() {
                self.grpc_routes = of_service(&grpc, &self.wanted, "GRPCRoute", grpc_route::from_value)?;
            }
        }
        if let Some(spec) = &self.spec {
            // Those of the Service's namespace, which is the last one.
            let http = self.listed.last().into_iter().flat_map(|(_, listed)| listed);
            let all: Vec<Value> = http.chain(&grpc).cloned().collect();
            self.inbound = Some(inbound::read(kinds, &self.wanted.namespace, spec, &all).await?);
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
            grpc_routes: &self.grpc_routes,
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

/// Returns the routes of a kind whose parent is the Service.
fn of_service(
    listed: &[Value],
    service: &Service,
    kind: &str,
    parse: impl Fn(&Value) -> Result<HttpRoute, serde_json::Error>,
) -> anyhow::Result<Vec<HttpRoute>> {
    let mut routes = Vec::new();
    for route in listed {
        let name = route["metadata"]["name"].as_str().unwrap_or_default();
        let read = parse(route).with_context(|| format!("cannot understand {kind} `{name}`"))?;
        if read.services().any(|parent| parent == (service.name.as_str(), service.namespace.as_str())) {
            routes.push(read);
        }
    }
    Ok(routes)
}
