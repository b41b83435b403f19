//! Service discovery for the proxies: targets that follow Services, profiles, routes and endpoints.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{Pod, Service};
use meshy_dataplane::policy::{Policy, RouteKind, ServiceRef};
use meshy_dataplane::profile::Profile;
use meshy_dataplane::{Destination, Discovery, Endpoint, Target};
use meshy_linkerd::names;
use meshy_net::BoxFuture;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::level_filters::LevelFilter;

use super::egress::Egress;
use super::endpoints;
use super::identity::Authority;
use super::inbound::Inbound;
use super::route_index::{ServiceKey, SharedRoutes};
use super::routes::{AttachedRoute, ParentKey, ParentKind, RouteError};
use super::shared::{key, lock};
use super::targets::{ClientKey, Targets};
use super::{policy, profile, route_status, routes};
use crate::api::{
    Api, Change, GRPC_ROUTES, HTTP_ROUTES, Kind, POLICY_HTTP_ROUTES, SERVICE_PROFILES, StoredObject,
};
use crate::network::{Fabric, service_candidates};
use crate::object::ObjectExt;
use crate::pods;
use crate::service_table::ServiceTable;
use crate::task;

/// Profiles by namespace and name; `None` for a profile that has been invalid since it was created.
type Profiles = HashMap<(String, String), Option<Arc<Profile>>>;

type Translate = fn(&Value) -> Result<AttachedRoute, RouteError>;

/// The kinds of routes.
const ROUTES: [(Kind, RouteKind, Translate); 3] = [
    (HTTP_ROUTES, RouteKind::Http, routes::translate),
    (POLICY_HTTP_ROUTES, RouteKind::PolicyHttp, routes::translate_policy),
    (GRPC_ROUTES, RouteKind::Grpc, routes::translate_grpc),
];

/// What the proxies of the cluster share.
pub(crate) struct Mesh {
    pub(super) authority: Arc<Authority>,
    pub(super) linkerd_discovery_cache: bool,
    pub(super) proxy_log: LevelFilter,
    pub(super) inbound: Arc<Inbound>,
    egress: Arc<Egress>,
    api: Api,
    fabric: Arc<Fabric>,
    services: Arc<ServiceTable>,
    /// Locked before `profiles` and `routes`.
    targets: Mutex<Targets>,
    profiles: Mutex<Profiles>,
    routes: SharedRoutes,
}

impl Mesh {
    pub(crate) fn new(
        api: Api,
        fabric: Arc<Fabric>,
        services: Arc<ServiceTable>,
        authority: Arc<Authority>,
        linkerd_discovery_cache: bool,
        proxy_log: LevelFilter,
    ) -> Arc<Self> {
        let (targets, profiles) = Default::default();
        let routes = SharedRoutes::default();
        let inbound = Inbound::new(api.clone(), routes.clone());
        let egress = Egress::new(api.clone(), routes.clone());
        Arc::new(Self {
            authority,
            linkerd_discovery_cache,
            proxy_log,
            inbound,
            egress,
            api,
            fabric,
            services,
            targets,
            profiles,
            routes,
        })
    }

    /// Follows profiles, routes and Services until the set is dropped.
    pub(crate) fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let authority = self.authority.clone();
        task::start(tasks, async move { authority.rotate().await });
        let (mesh, mut changes) = (self.clone(), self.api.watch_json(SERVICE_PROFILES));
        task::start(tasks, async move {
            while let Some(change) = changes.next().await {
                mesh.apply_profile(&change);
            }
        });
        for (resource, kind, translate) in ROUTES {
            let (mesh, mut changes) = (self.clone(), self.api.watch_json(resource));
            task::start(tasks, async move {
                while let Some(change) = changes.next().await {
                    mesh.apply_route(kind, &change, translate);
                }
            });
        }
        self.inbound.start(tasks);
        self.egress.start(tasks);
        for routes in route_status::kinds() {
            let api = self.api.clone();
            task::start(tasks, async move { route_status::follow(&api, &routes).await });
        }
        let (mesh, mut changes) = (self.clone(), self.api.watch::<Service>());
        task::start(tasks, async move {
            while let Some(change) = changes.next().await {
                let service = change.object();
                mesh.refresh(&(service.namespace().to_owned(), service.name().to_owned()));
            }
        });
    }

    /// Returns the discovery for the clients of a namespace.
    pub(super) fn discovery(self: &Arc<Self>, namespace: &str) -> Arc<dyn Discovery> {
        Arc::new(NamespaceDiscovery { mesh: self.clone(), namespace: namespace.to_owned() })
    }

    fn apply_profile(&self, change: &Change<StoredObject>) {
        let key = key(change.object());
        let Some((service, namespace)) = names::parse_service_fqdn(&key.1) else { return };
        let service = (namespace.to_owned(), service.to_owned());
        match change {
            Change::Applied(object) => match profile::translate(object) {
                Ok(profile) => drop(lock(&self.profiles).insert(key, Some(Arc::new(profile)))),
                // The previous profile remains in effect.
                Err(error) => {
                    tracing::warn!(profile = key.1, %error, "invalid ServiceProfile ignored");
                    lock(&self.profiles).entry(key).or_insert(None);
                }
            },
            Change::Deleted(_) => drop(lock(&self.profiles).remove(&key)),
        }
        self.refresh(&service);
    }

    fn apply_route(&self, kind: RouteKind, change: &Change<StoredObject>, translate: Translate) {
        let key = key(change.object());
        let route = match change {
            Change::Applied(object) => translate(object)
                .inspect_err(|error| tracing::warn!(route = key.1, %error, "invalid route ignored"))
                .ok(),
            Change::Deleted(_) => None,
        };
        let changed = lock(&self.routes).set((kind, key.0, key.1), route);
        for ParentKey { kind, namespace, name } in changed {
            match kind {
                ParentKind::Service => self.refresh(&(namespace, name)),
                ParentKind::EgressNetwork => self.egress.refresh(),
                ParentKind::Server => self.inbound.refresh(),
            }
        }
    }

    /// Sends the current targets of a Service to the proxies that watch them.
    fn refresh(&self, service: &ServiceKey) {
        let update = |client: &ClientKey, old: &Target| self.target(service, client, old.endpoints.clone());
        lock(&self.targets).refresh(service, update);
    }

    fn watch_target(&self, service: &ServiceKey, client: ClientKey) -> watch::Receiver<Arc<Target>> {
        let create = |client: &ClientKey| {
            let endpoints = endpoints::watch(&self.api, &self.services, service, client.port);
            self.target(service, client, endpoints)
        };
        lock(&self.targets).watch(service, client, create)
    }

    fn target(
        &self,
        key: &ServiceKey,
        client: &ClientKey,
        endpoints: watch::Receiver<Arc<[Endpoint]>>,
    ) -> Target {
        let (namespace, name) = key;
        let service = self.api.get::<Service>(namespace, name);
        let fqdn = names::service_fqdn(name, namespace);
        Target {
            authority: Some(format!("{fqdn}:{}", client.port).into()),
            service: Some(ServiceRef { namespace: namespace.clone(), name: name.clone(), port: client.port }),
            egress: None,
            profile: self.profile(&fqdn, namespace, &client.namespace),
            policy: Arc::new(
                service.as_ref().map(|found| self.policy(found, key, client)).unwrap_or_default(),
            ),
            endpoints,
            opaque: service.as_ref().is_some_and(|found| is_opaque(found.as_ref(), client.port)),
        }
    }

    /// Returns the profile in the namespace of the client, by default the one in the namespace of the Service.
    fn profile(&self, fqdn: &str, namespace: &str, client_namespace: &str) -> Option<Arc<Profile>> {
        let profiles = lock(&self.profiles);
        let of = |namespace: &str| profiles.get(&(namespace.to_owned(), fqdn.to_owned())).cloned().flatten();
        of(client_namespace).or_else(|| of(namespace))
    }

    fn policy(&self, service: &Service, key: &ServiceKey, client: &ClientKey) -> Policy {
        let annotations = service.metadata.annotations.clone().unwrap_or_default();
        let (namespace, name) = key.clone();
        let parent = ParentKey { kind: ParentKind::Service, namespace, name };
        Policy {
            retry: policy::retry(&annotations),
            grpc_retry: policy::grpc_retry(&annotations),
            timeouts: policy::timeouts(&annotations),
            failure_accrual: policy::failure_accrual(&annotations),
            load_bias: policy::load_bias(&annotations),
            routes: lock(&self.routes).outbound(&parent, client.port, &client.namespace),
        }
    }

    /// Returns the target of a pod address: it has no Service, but the identity of the pod.
    fn pod_target(&self, address: SocketAddr) -> Option<Target> {
        let ip = address.ip().to_string();
        let pod = self.api.list::<Pod>(None).into_iter().find(|pod| pods::ip(pod) == ip)?;
        let endpoint = endpoints::of_pod(&self.api, &pod, address);
        Some(Target {
            authority: None,
            service: None,
            egress: None,
            profile: None,
            policy: Arc::default(),
            endpoints: watch::channel(Arc::from([endpoint])).1,
            opaque: is_opaque(pod.as_ref(), address.port()),
        })
    }
}

/// Discovery for the clients of one namespace.
struct NamespaceDiscovery {
    mesh: Arc<Mesh>,
    namespace: String,
}

impl Discovery for NamespaceDiscovery {
    fn discover<'a>(
        &'a self,
        destination: &'a Destination,
    ) -> BoxFuture<'a, Option<watch::Receiver<Arc<Target>>>> {
        Box::pin(async move {
            let mesh = &self.mesh;
            let (entry, port) = match destination {
                Destination::Address(address) => {
                    let IpAddr::V4(ip) = address.ip() else { return None };
                    let Some(entry) = mesh.fabric.service_at(ip) else {
                        if let Some(target) = mesh.pod_target(*address) {
                            return Some(watch::channel(Arc::new(target)).1);
                        }
                        return mesh.egress.watch(&self.namespace, *address);
                    };
                    (entry, address.port())
                }
                Destination::Name(host, port) => {
                    let find = |(name, namespace): (&str, &str)| mesh.services.entry(namespace, name);
                    (service_candidates(host, &self.namespace).into_iter().find_map(find)?, *port)
                }
            };
            entry.ports.iter().find(|candidate| candidate.port == port)?;
            let service = (entry.namespace.clone(), entry.name.clone());
            Some(mesh.watch_target(&service, ClientKey { namespace: self.namespace.clone(), port }))
        })
    }
}

/// Whether `config.linkerd.io/opaque-ports` (numbers and ranges) contains a port.
fn is_opaque(object: &impl ObjectExt, port: u16) -> bool {
    let ports = object.annotation("config.linkerd.io/opaque-ports").unwrap_or_default();
    ports.split(',').map(str::trim).any(|part| match part.split_once('-') {
        Some((from, to)) => {
            let (from, to) = (from.trim().parse(), to.trim().parse());
            matches!((from, to), (Ok(from), Ok(to)) if (from..=to).contains(&port))
        }
        None => part.parse() == Ok(port),
    })
}
