//! The objects that decide what happens to the requests to one Service.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service as CoreService;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use meshy_linkerd::effective::{self, Effective, Objects, RateLimit};
use meshy_linkerd::httproute::HttpRoute;
use meshy_linkerd::inbound::{RateLimitPolicy, Server};
use meshy_linkerd::names;
use meshy_linkerd::policy::Annotations;
use meshy_linkerd::profile::ServiceProfile;
use serde_json::{Value, json};

use meshy_kube::{Kinds, Object};
use meshy_metrics::routes::Service;

/// The API versions of HTTPRoute that Linkerd reads; of each group the first that the cluster serves.
const ROUTES: [&[&str]; 2] = [
    &["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"],
    &["policy.linkerd.io/v1beta3", "policy.linkerd.io/v1beta2"],
];

/// The objects about one Service, as one of its clients sees them.
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
    /// The rate limits of the Servers that select the pods of the Service; empty until [`About::read_rate_limits`].
    pub rate_limits: Vec<RateLimit>,
    selector: BTreeMap<String, String>,
}

impl About {
    /// Returns a Service with these annotations about which there is nothing else.
    pub fn of(wanted: Service, annotations: Annotations) -> Self {
        let (profile, routes, rate_limits) = (None, Vec::new(), Vec::new());
        Self { wanted, annotations, profile, routes, rate_limits, selector: BTreeMap::new() }
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
        let selector = service.and_then(|service| service.spec?.selector).unwrap_or_default();
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
        Ok(Self { profile, routes, selector, ..Self::of(wanted.clone(), annotations) })
    }

    /// Reads the rate limits too, which only `meshy policy show` needs.
    ///
    /// # Errors
    /// As [`About::read`].
    pub async fn read_rate_limits(&mut self, kinds: &Kinds) -> anyhow::Result<()> {
        self.rate_limits = rate_limits(kinds, &self.wanted.namespace, &self.selector).await?;
        Ok(())
    }

    /// Returns what is in effect.
    pub fn effective(&self) -> Effective {
        effective::effective(&Objects {
            namespace: &self.wanted.namespace,
            name: &self.wanted.name,
            annotations: &self.annotations,
            profile: self.profile.as_ref(),
            routes: &self.routes,
            rate_limits: &self.rate_limits,
        })
    }
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
        for version in versions {
            if kinds.served(version, "HTTPRoute").await?.is_some() {
                found.extend(list(kinds, version, "HTTPRoute", namespace).await?);
                break;
            }
        }
    }
    let text = |route: &Value, key: &str| route["metadata"][key].as_str().unwrap_or_default().to_owned();
    found.sort_by_key(|route| (text(route, "creationTimestamp"), text(route, "name")));
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

/// Reads the rate limits of the Servers that select pods with these labels.
async fn rate_limits(
    kinds: &Kinds,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<RateLimit>> {
    let mut servers = Vec::new();
    for object in list(kinds, "policy.linkerd.io/v1beta3", "Server", namespace).await? {
        let server = Server::from_value(&object).context("cannot understand a Server")?;
        if server.pod_selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value)) {
            servers.push(object["metadata"]["name"].clone());
        }
    }
    let mut found = Vec::new();
    for object in list(kinds, "policy.linkerd.io/v1alpha1", "HTTPLocalRateLimitPolicy", namespace).await? {
        let policy = RateLimitPolicy::from_value(&object).context("cannot understand a rate limit")?;
        if servers.contains(&object["spec"]["targetRef"]["name"]) {
            found.push(RateLimit {
                name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
                total: policy.total.map(|limit| limit.requests_per_second),
                identity: policy.identity.map(|limit| limit.requests_per_second),
            });
        }
    }
    Ok(found)
}

/// Lists the objects of a kind; none where the cluster does not serve it.
async fn list(kinds: &Kinds, api_version: &str, kind: &str, namespace: &str) -> anyhow::Result<Vec<Value>> {
    let Some((resource, _)) = kinds.served(api_version, kind).await? else { return Ok(Vec::new()) };
    let api: Api<Object> = Api::namespaced_with(kinds.client().clone(), namespace, &resource);
    let found = api.list(&ListParams::default()).await;
    let found = found.with_context(|| format!("cannot list objects of kind {kind}"))?;
    Ok(found.items.into_iter().map(|object| json!(object)).collect())
}
