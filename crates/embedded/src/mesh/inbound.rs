//! Inbound policies: the policy objects of the cluster, resolved for the ports of its meshed pods.
//!
//! ```text
//!   Server, AuthorizationPolicy, ... ──► objects ──► resolve ──► a watch for each port of a pod that has a proxy
//! ```

mod authorize;
mod objects;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use meshy_dataplane::policy::{
    HttpRoute, InboundPolicies, InboundPolicy, InboundRoute, ObjectRef, RateLimit,
};
use meshy_linkerd::inbound::{DEFAULT_INBOUND_POLICY, DefaultPolicy, Port, RateLimitPolicy, Server};
use meshy_linkerd::names;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::route_index::{RouteIndex, SharedRoutes};
use super::routes::{ParentKey, ParentKind};
use super::shared::{key, lock};
use crate::api::{Api, Change};
use crate::object::ObjectExt;
use crate::task;
use authorize::{by_default, by_policies, by_route_policies, by_server_authorizations, identity};
use objects::KINDS;

pub(super) use authorize::network;
use objects::Objects;

/// The inbound policies of the cluster.
pub(super) struct Inbound {
    api: Api,
    routes: SharedRoutes,
    index: Mutex<Index>,
}

/// The policy objects and the ports that proxies watch.
#[derive(Default)]
struct Index {
    objects: Objects,
    watched: Vec<WatchedPort>,
}

struct WatchedPort {
    pod: Arc<PodPorts>,
    port: u16,
    sender: watch::Sender<Arc<InboundPolicy>>,
}

/// What a pod's policies depend on.
struct PodPorts {
    namespace: String,
    labels: BTreeMap<String, String>,
    /// The numbers of the named container ports.
    ports: Vec<(String, u16)>,
    /// The annotation of the pod.
    default_policy: Option<String>,
}

/// The policies of one pod.
struct OfPod {
    inbound: Arc<Inbound>,
    pod: Arc<PodPorts>,
}

impl InboundPolicies for OfPod {
    fn of_port(&self, port: u16) -> watch::Receiver<Arc<InboundPolicy>> {
        let Inbound { api, routes, index } = &*self.inbound;
        let mut index = lock(index);
        let policy = resolve(api, &index.objects, &lock(routes), &self.pod, port);
        let sender = watch::Sender::new(Arc::new(policy));
        let receiver = sender.subscribe();
        index.watched.retain(|watched| !watched.sender.is_closed());
        index.watched.push(WatchedPort { pod: self.pod.clone(), port, sender });
        receiver
    }
}

impl Inbound {
    pub(super) fn new(api: Api, routes: SharedRoutes) -> Arc<Self> {
        Arc::new(Self { api, routes, index: Mutex::default() })
    }

    /// Returns the policies of a pod's ports.
    pub(super) fn of_pod(self: &Arc<Self>, pod: &Pod) -> Arc<dyn InboundPolicies> {
        let spec = pod.spec.as_ref();
        let containers = spec.into_iter().flat_map(|spec| &spec.containers);
        let ports = containers.flat_map(|container| container.ports.iter().flatten());
        let named =
            ports.filter_map(|port| Some((port.name.clone()?, u16::try_from(port.container_port).ok()?)));
        let pod = PodPorts {
            namespace: pod.namespace().to_owned(),
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            ports: named.collect(),
            default_policy: pod.annotation(DEFAULT_INBOUND_POLICY).map(str::to_owned),
        };
        Arc::new(OfPod { inbound: self.clone(), pod: Arc::new(pod) })
    }

    /// Follows the policy objects, and the namespaces for their annotation.
    pub(super) fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        for kind in KINDS {
            let (inbound, mut changes) = (self.clone(), self.api.watch_json(kind.clone()));
            task::start(tasks, async move {
                while let Some(change) = changes.next().await {
                    let object = match &change {
                        Change::Applied(object) => Some(object.value()),
                        Change::Deleted(_) => None,
                    };
                    lock(&inbound.index).objects.set(&kind, key(change.object()), object);
                    inbound.refresh();
                }
            });
        }
        let (inbound, mut changes) = (self.clone(), self.api.watch::<Namespace>());
        task::start(tasks, async move {
            while changes.next().await.is_some() {
                inbound.refresh();
            }
        });
    }

    /// Sends changed policies to the proxies. Policy objects change rarely, so all ports are resolved again.
    pub(super) fn refresh(&self) {
        let Index { objects, watched } = &mut *lock(&self.index);
        let routes = lock(&self.routes);
        watched.retain(|watched| !watched.sender.is_closed());
        for WatchedPort { pod, port, sender } in watched {
            let policy = resolve(&self.api, objects, &routes, pod, *port);
            sender.send_if_modified(|old| {
                let changed = **old != policy;
                if changed {
                    *old = Arc::new(policy);
                }
                changed
            });
        }
    }
}

/// Returns the policy of a port: that of the oldest Server that selects it, or the default of the pod, of its namespace or
/// of the cluster.
fn resolve(api: &Api, objects: &Objects, routes: &RouteIndex, pod: &PodPorts, port: u16) -> InboundPolicy {
    let selects = |server: &Server| {
        let number = match &server.port {
            Port::Number(number) => Some(*number),
            Port::Name(name) => pod.ports.iter().find(|(named, _)| named == name).map(|(_, number)| *number),
        };
        number == Some(port) && server.pod_selector.selects(&pod.labels)
    };
    let Some((name, server)) = objects.server(&pod.namespace, selects) else {
        return default_policy(default_of(api, pod));
    };
    let mut authorizations = by_server_authorizations(objects, &pod.namespace, name, server);
    authorizations.extend(by_policies(objects, &pod.namespace, name));
    authorizations.extend(by_default(server.access_policy));
    InboundPolicy {
        server: policy_object("server", name),
        opaque: server.opaque,
        authorizations,
        routes: of_server(objects, routes, &pod.namespace, name, server.grpc),
        rate_limit: objects
            .rate_limit(&pod.namespace, name)
            .map(|(name, found)| limits(name, found, &pod.namespace)),
    }
}

/// Returns the routes of a Server, each with the authorizations of the policies that name it.
fn of_server(
    objects: &Objects,
    routes: &RouteIndex,
    namespace: &str,
    server: &str,
    grpc: bool,
) -> Vec<InboundRoute> {
    let key =
        ParentKey { kind: ParentKind::Server, namespace: namespace.to_owned(), name: server.to_owned() };
    let route = |route: &HttpRoute| InboundRoute {
        route: route.clone(),
        authorizations: by_route_policies(objects, namespace, route),
    };
    routes.inbound(&key, grpc).map(route).collect()
}

fn policy_object(kind: &str, name: &str) -> ObjectRef {
    ObjectRef { group: names::POLICY_GROUP.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
}

fn default_policy(policy: DefaultPolicy) -> InboundPolicy {
    InboundPolicy {
        server: ObjectRef::default_policy(&policy.to_string()),
        opaque: false,
        authorizations: by_default(policy).into_iter().collect(),
        routes: Vec::new(),
        rate_limit: None,
    }
}

fn default_of(api: &Api, pod: &PodPorts) -> DefaultPolicy {
    let of_namespace = || {
        let namespace = api.get::<Namespace>("", &pod.namespace)?;
        namespace.annotation(DEFAULT_INBOUND_POLICY).map(str::to_owned)
    };
    let Some(text) = pod.default_policy.clone().or_else(of_namespace) else {
        return DefaultPolicy::default();
    };
    text.parse().unwrap_or_else(|error| {
        tracing::warn!(namespace = pod.namespace, %error, "invalid default inbound policy ignored");
        DefaultPolicy::default()
    })
}

fn limits(name: &str, found: &RateLimitPolicy, namespace: &str) -> RateLimit {
    let rate = |limit: meshy_linkerd::inbound::Limit| limit.requests_per_second;
    RateLimit {
        object: policy_object("HTTPLocalRateLimitPolicy", name),
        total: found.total.map(rate),
        identity: found.identity.map(rate),
        overrides: found
            .overrides
            .iter()
            .map(|one| {
                let clients = one.clients.iter().map(|client| identity(client, namespace));
                (clients.collect(), one.requests_per_second)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
