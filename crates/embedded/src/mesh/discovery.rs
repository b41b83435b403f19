//! What a client's proxy learns of a destination, kept up to date while anyone listens.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use meshy_dataplane::policy::{Policy, ServiceRef};
use meshy_dataplane::profile::Profile;
use meshy_dataplane::{Destination, Discovery, Endpoint, Target};
use meshy_mesh::names;
use meshy_net::BoxFuture;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::identity::{self, Authority};
use super::{policy, profile, routes};
use crate::api::{Api, Change, HTTP_ROUTES, Object, PODS, SERVICE_PROFILES, SERVICES};
use crate::network::{Fabric, candidates};
use crate::object::{annotation, label, namespace, text};
use crate::topology::{Member, Topology};

/// A port of a Service as the clients of one namespace see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seen {
    client: String,
    namespace: String,
    service: String,
    port: u16,
}

/// By namespace and name; nothing for one that cannot be translated.
type Profiles = HashMap<(String, String), Option<Arc<Profile>>>;

/// What the proxies of the cluster share.
pub(crate) struct Mesh {
    pub(crate) authority: Arc<Authority>,
    pub(crate) like_linkerd: bool,
    api: Api,
    fabric: Arc<Fabric>,
    topology: Arc<Topology>,
    targets: Mutex<HashMap<Seen, watch::Sender<Arc<Target>>>>,
    /// Made once, when the object changes, not once a client.
    profiles: Mutex<Profiles>,
}

impl Mesh {
    pub(crate) fn new(
        api: Api,
        fabric: Arc<Fabric>,
        topology: Arc<Topology>,
        authority: Arc<Authority>,
        like_linkerd: bool,
    ) -> Arc<Self> {
        let (targets, profiles) = Default::default();
        Arc::new(Self { authority, like_linkerd, api, fabric, topology, targets, profiles })
    }

    /// Follows profiles, routes and Services until the set is dropped.
    pub(crate) fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let authority = self.authority.clone();
        tasks.spawn(async move { authority.rotate().await });
        let (mesh, mut profiles) = (self.clone(), self.api.watch(SERVICE_PROFILES));
        tasks.spawn(async move {
            while let Some(change) = profiles.next().await {
                mesh.profile(&change);
            }
        });
        for kind in [HTTP_ROUTES, SERVICES] {
            let (mesh, mut changes) = (self.clone(), self.api.watch(kind));
            tasks.spawn(async move {
                while changes.next().await.is_some() {
                    mesh.refresh(|_| true);
                }
            });
        }
    }

    /// The discovery of one namespace's clients.
    pub(crate) fn discovery(self: &Arc<Self>, namespace: &str) -> Arc<dyn Discovery> {
        Arc::new(Clients { mesh: self.clone(), namespace: namespace.to_owned() })
    }

    fn profile(&self, change: &Change) {
        let (Change::Applied(object) | Change::Deleted(object)) = change;
        let key = (namespace(object).to_owned(), crate::object::name(object).to_owned());
        let Some((service, inside)) = names::parse_service_fqdn(&key.1) else { return };
        let (service, inside) = (service.to_owned(), inside.to_owned());
        {
            let mut profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
            match change {
                // One that cannot be translated is not sent: the old one stays.
                Change::Applied(object) => match profile::translate(object) {
                    Some(fresh) => drop(profiles.insert(key, Some(Arc::new(fresh)))),
                    None => drop(profiles.entry(key).or_insert(None)),
                },
                Change::Deleted(_) => drop(profiles.remove(&key)),
            }
        }
        self.refresh(|seen| seen.service == service && seen.namespace == inside);
    }

    /// Tells the clients of some ports what is known now; forgets ports that nobody follows.
    fn refresh(&self, concerned: impl Fn(&Seen) -> bool) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|_, sender| !sender.is_closed());
        for (seen, sender) in targets.iter().filter(|(seen, _)| concerned(seen)) {
            let endpoints = sender.borrow().endpoints.clone();
            let fresh = Arc::new(self.target(seen, endpoints));
            sender.send_if_modified(|old| {
                let changed = !same(old, &fresh);
                if changed {
                    *old = fresh;
                }
                changed
            });
        }
    }

    fn follow(self: &Arc<Self>, seen: Seen) -> watch::Receiver<Arc<Target>> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = targets.get(&seen) {
            return sender.subscribe();
        }
        let endpoints = self.endpoints(&seen);
        let sender = watch::Sender::new(Arc::new(self.target(&seen, endpoints)));
        let receiver = sender.subscribe();
        targets.insert(seen, sender);
        receiver
    }

    /// The endpoints of a port with what proxies want to know of each; a task follows the topology while anyone listens.
    fn endpoints(self: &Arc<Self>, seen: &Seen) -> watch::Receiver<Arc<[Endpoint]>> {
        let mut members = self.topology.members(&seen.namespace, &seen.service, seen.port);
        let (mesh, seen) = (self.clone(), seen.clone());
        let now = mesh.described(&seen, &members.borrow_and_update());
        let sender = watch::Sender::new(now);
        let receiver = sender.subscribe();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    changed = members.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
                let now = mesh.described(&seen, &members.borrow_and_update());
                sender.send_replace(now);
            }
        });
        receiver
    }

    fn described(&self, seen: &Seen, members: &[Member]) -> Arc<[Endpoint]> {
        members.iter().map(|member| self.endpoint(seen, member)).collect()
    }

    fn endpoint(&self, seen: &Seen, member: &Member) -> Endpoint {
        let pod = member.pod.as_deref().and_then(|pod| self.api.get(PODS, &seen.namespace, pod));
        let mut labels = pod.as_ref().map(|pod| self.labels(pod)).unwrap_or_default();
        labels.push(("dst_service".to_owned(), seen.service.clone()));
        labels.push(("dst_zone".to_owned(), String::new()));
        labels.push(("dst_zone_locality".to_owned(), "unknown".to_owned()));
        // Linkerd shows them in the order of their names.
        labels.sort();
        Endpoint { addr: member.address, identity: pod.as_ref().and_then(|pod| identity_of(pod)), labels }
    }

    fn labels(&self, pod: &Value) -> Vec<(String, String)> {
        let mut labels = vec![
            ("dst_namespace".to_owned(), namespace(pod).to_owned()),
            ("dst_pod".to_owned(), crate::object::name(pod).to_owned()),
            ("dst_serviceaccount".to_owned(), service_account(pod).to_owned()),
        ];
        let mut add = |name: &str, value: Option<&str>| {
            labels.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        };
        add("dst_control_plane_ns", label(pod, names::CONTROL_PLANE_NS_LABEL));
        add("dst_pod_template_hash", label(pod, "pod-template-hash"));
        let deployment = self.api.deployment_of(pod);
        add("dst_deployment", deployment.as_deref());
        labels
    }

    fn target(&self, seen: &Seen, endpoints: watch::Receiver<Arc<[Endpoint]>>) -> Target {
        let service = self.api.get(SERVICES, &seen.namespace, &seen.service);
        let fqdn = names::service_fqdn(&seen.service, &seen.namespace);
        Target {
            authority: Some(format!("{fqdn}:{}", seen.port).into()),
            service: Some(ServiceRef {
                namespace: seen.namespace.clone(),
                name: seen.service.clone(),
                port: seen.port,
            }),
            profile: self.profile_for(seen, &fqdn),
            policy: Arc::new(service.as_ref().map(|service| self.policy(seen, service)).unwrap_or_default()),
            endpoints,
            opaque: service.as_ref().is_some_and(|service| opaque(service, seen.port)),
        }
    }

    /// The client's namespace wins, the service's own is the fallback.
    fn profile_for(&self, seen: &Seen, fqdn: &str) -> Option<Arc<Profile>> {
        let profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |namespace: &str| profiles.get(&(namespace.to_owned(), fqdn.to_owned())).cloned().flatten();
        of(&seen.client).or_else(|| of(&seen.namespace))
    }

    fn policy(&self, seen: &Seen, service: &Object) -> Policy {
        let annotations = policy::annotations(service);
        // Routes of the service's own namespace concern all clients, those of another only that one's.
        let mut found: Vec<_> = [&seen.namespace, &seen.client]
            .into_iter()
            .take(if seen.client == seen.namespace { 1 } else { 2 })
            .flat_map(|inside| self.api.list(HTTP_ROUTES, Some(inside)))
            .collect();
        // Among equals the oldest wins, then the first by name: the Gateway API's rule.
        found.sort_by_cached_key(|route| {
            (text(route, "/metadata/creationTimestamp").to_owned(), crate::object::name(route).to_owned())
        });
        Policy {
            retry: policy::retry(&annotations),
            timeouts: policy::timeouts(&annotations),
            failure_accrual: policy::failure_accrual(&annotations),
            routes: found
                .iter()
                .filter_map(|route| routes::translate(route, &seen.namespace, &seen.service, seen.port))
                .collect(),
        }
    }

    /// A pod's own address: no service, but the identity of who answers there.
    fn pod_target(&self, address: SocketAddr) -> Option<Target> {
        let IpAddr::V4(ip) = address.ip() else { return None };
        let pod = self.api.pod_at(ip)?;
        let endpoint = Endpoint { addr: address, identity: identity_of(&pod), labels: self.labels(&pod) };
        let (_, endpoints) = watch::channel(Arc::from([endpoint]));
        Some(Target {
            authority: None,
            service: None,
            profile: None,
            policy: Arc::default(),
            endpoints,
            opaque: opaque(&pod, address.port()),
        })
    }
}

/// Discovery for the clients of one namespace.
struct Clients {
    mesh: Arc<Mesh>,
    namespace: String,
}

impl Discovery for Clients {
    fn discover<'a>(&'a self, to: &'a Destination) -> BoxFuture<'a, Option<watch::Receiver<Arc<Target>>>> {
        Box::pin(async move {
            let found = match to {
                Destination::Address(address) => {
                    let IpAddr::V4(ip) = address.ip() else { return None };
                    let Some(entry) = self.mesh.fabric.service_at(ip) else {
                        return self
                            .mesh
                            .pod_target(*address)
                            .map(|target| watch::channel(Arc::new(target)).1);
                    };
                    (entry, address.port())
                }
                Destination::Name(host, port) => {
                    let find = |(name, inside): (&str, &str)| self.mesh.topology.entry(inside, name);
                    (candidates(host, &self.namespace).into_iter().find_map(find)?, *port)
                }
            };
            let (entry, port) = found;
            entry.ports.iter().find(|candidate| candidate.port == port)?;
            Some(self.mesh.follow(Seen {
                client: self.namespace.clone(),
                namespace: entry.namespace.clone(),
                service: entry.name.clone(),
                port,
            }))
        })
    }
}

fn same(old: &Target, fresh: &Target) -> bool {
    let profiles = match (&old.profile, &fresh.profile) {
        (None, None) => true,
        (Some(old), Some(fresh)) => Arc::ptr_eq(old, fresh),
        _ => false,
    };
    // A policy has no equality; its text has.
    profiles && old.opaque == fresh.opaque && format!("{:?}", old.policy) == format!("{:?}", fresh.policy)
}

fn service_account(pod: &Value) -> &str {
    match text(pod, "/spec/serviceAccountName") {
        "" => "default",
        name => name,
    }
}

/// The identity a meshed pod's proxy proves.
fn identity_of(pod: &Value) -> Option<Arc<str>> {
    label(pod, names::CONTROL_PLANE_NS_LABEL)?;
    Some(identity::name(service_account(pod), namespace(pod)).into())
}

/// Whether `config.linkerd.io/opaque-ports` (numbers and ranges) names a port.
fn opaque(object: &Value, port: u16) -> bool {
    let list = annotation(object, "config.linkerd.io/opaque-ports").unwrap_or_default();
    list.split(',').map(str::trim).any(|part| match part.split_once('-') {
        Some((from, to)) => {
            let (from, to) = (from.trim().parse(), to.trim().parse());
            matches!((from, to), (Ok(from), Ok(to)) if (from..=to).contains(&port))
        }
        None => part.parse() == Ok(port),
    })
}
