//! The routes of the cluster, indexed by the objects that they are attached to.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use meshy_dataplane::policy::{HttpRoute, RouteKind};

use super::routes::{AttachedRoute, ParentKey};

/// Namespace and name of a Service.
pub(super) type ServiceKey = (String, String);
/// The kind, the namespace and the name of a route.
pub(super) type RouteKey = (RouteKind, String, String);
/// The routes that the indexes of the mesh share. Locked after each of them.
pub(super) type SharedRoutes = Arc<Mutex<RouteIndex>>;

#[derive(Default)]
pub(super) struct RouteIndex {
    by_route: HashMap<RouteKey, Arc<AttachedRoute>>,
    /// In the order of precedence.
    by_parent: HashMap<ParentKey, Vec<Arc<AttachedRoute>>>,
}

impl RouteIndex {
    /// Replaces a route; `None` removes it. Returns the objects whose routes have changed.
    pub(super) fn set(&mut self, key: RouteKey, new: Option<AttachedRoute>) -> HashSet<ParentKey> {
        if self.by_route.get(&key).map(Arc::as_ref) == new.as_ref() {
            return HashSet::new();
        }
        let mut changed = HashSet::new();
        if let Some(old) = self.by_route.remove(&key) {
            for parent in parents(&old) {
                if let Some(routes) = self.by_parent.get_mut(&parent) {
                    routes.retain(|route| !Arc::ptr_eq(route, &old));
                    if routes.is_empty() {
                        self.by_parent.remove(&parent);
                    }
                }
                changed.insert(parent);
            }
        }
        if let Some(new) = new.map(Arc::new) {
            for parent in parents(&new) {
                let routes = self.by_parent.entry(parent.clone()).or_default();
                routes.push(new.clone());
                // The Gateway API's rule: the oldest route first, then by name.
                routes.sort_by(|a, b| precedence(a).cmp(&precedence(b)));
                changed.insert(parent);
            }
            self.by_route.insert(key, new);
        }
        changed
    }

    /// Returns the routes of a Service or an EgressNetwork that the clients of a namespace follow on a port, in the order of
    /// precedence: its GRPCRoutes, without one its HTTPRoutes.
    ///
    /// Routes in the namespace of the parent apply to all clients, other routes only to clients in their namespace.
    pub(super) fn outbound(&self, parent: &ParentKey, port: u16, client_namespace: &str) -> Vec<HttpRoute> {
        let attached = |route: &&Arc<AttachedRoute>| {
            let own = |one: &&super::routes::Parent| one.key == *parent;
            route.parents.iter().filter(own).any(|one| one.port.is_none_or(|number| number == port))
        };
        let visible = |route: &&Arc<AttachedRoute>| {
            let namespace = &route.route.namespace;
            *namespace == parent.namespace || namespace == client_namespace
        };
        let routes = self.by_parent.get(parent).into_iter().flatten();
        let all: Vec<_> = routes.filter(attached).filter(visible).map(|route| &route.route).collect();
        let has_grpc = all.iter().any(|route| route.kind == RouteKind::Grpc);
        all.into_iter().filter(|route| (route.kind == RouteKind::Grpc) == has_grpc).cloned().collect()
    }

    /// Returns the routes of a Server in the order of precedence: its GRPCRoutes if its protocol is gRPC, else its
    /// HTTPRoutes.
    pub(super) fn inbound(&self, server: &ParentKey, grpc: bool) -> impl Iterator<Item = &HttpRoute> {
        let routes = self.by_parent.get(server).into_iter().flatten().map(|route| &route.route);
        routes.filter(move |route| (route.kind == RouteKind::Grpc) == grpc)
    }
}

fn parents(route: &AttachedRoute) -> HashSet<ParentKey> {
    route.parents.iter().map(|parent| parent.key.clone()).collect()
}

fn precedence(route: &AttachedRoute) -> impl Ord + '_ {
    (route.created, &route.route.name, &route.route.namespace)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use meshy_dataplane::policy::RouteKind;
    use serde_json::json;

    use super::super::routes::{AttachedRoute, ParentKey, ParentKind, translate, translate_grpc};
    use super::RouteIndex;

    fn route(namespace: &str, name: &str, created: &str, service: &str) -> AttachedRoute {
        translate(&json!({
            "metadata": { "name": name, "namespace": namespace, "creationTimestamp": created },
            "spec": { "parentRefs": [
                { "group": "", "kind": "Service", "name": service, "namespace": "default", "port": 80 },
            ] },
        }))
        .expect("a valid route")
    }

    fn service(name: &str) -> ParentKey {
        ParentKey { kind: ParentKind::Service, namespace: "default".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_change_concerns_the_old_and_the_new_services_of_a_route() {
        let key = (RouteKind::Http, "default".to_owned(), "r".to_owned());
        let mut index = RouteIndex::default();
        let created = "2026-01-01T00:00:00Z";
        let set = |index: &mut RouteIndex, service: &str| {
            index.set(key.clone(), Some(route("default", "r", created, service)))
        };
        assert_eq!(set(&mut index, "a"), HashSet::from([service("a")]));
        assert_eq!(set(&mut index, "a"), HashSet::new(), "nothing changed");
        assert_eq!(set(&mut index, "b"), HashSet::from([service("a"), service("b")]));
        assert!(index.outbound(&service("a"), 80, "default").is_empty());
        assert_eq!(index.outbound(&service("b"), 80, "default").len(), 1);
        assert!(index.outbound(&service("b"), 81, "default").is_empty(), "another port");
        assert_eq!(index.set(key.clone(), None), HashSet::from([service("b")]));
        assert!(index.by_parent.is_empty() && index.by_route.is_empty());
    }

    #[test]
    fn older_routes_take_precedence_and_other_namespaces_see_their_own_routes() {
        let mut index = RouteIndex::default();
        for (namespace, name, created) in [
            ("default", "young", "2026-01-03T00:00:00Z"),
            ("shop", "shop-only", "2026-01-01T00:00:00Z"),
            ("default", "old", "2026-01-02T00:00:00Z"),
        ] {
            let key = (RouteKind::Http, namespace.into(), name.into());
            index.set(key, Some(route(namespace, name, created, "web")));
        }
        let names = |client: &str| -> Vec<String> {
            index.outbound(&service("web"), 80, client).into_iter().map(|route| route.name).collect()
        };
        assert_eq!(names("default"), ["old", "young"]);
        assert_eq!(names("shop"), ["shop-only", "old", "young"]);
    }

    #[test]
    fn grpc_routes_take_the_place_of_http_routes() {
        let mut index = RouteIndex::default();
        index.set(
            (RouteKind::Http, "default".into(), "r".into()),
            Some(route("default", "r", "2026-01-01T00:00:00Z", "web")),
        );
        let grpc = translate_grpc(&json!({
            "metadata": { "name": "r", "namespace": "default" },
            "spec": { "parentRefs": [{ "group": "", "kind": "Service", "name": "web" }] },
        }));
        index.set((RouteKind::Grpc, "default".into(), "r".into()), Some(grpc.expect("a valid route")));
        let kinds = |port| -> Vec<_> {
            index.outbound(&service("web"), port, "default").iter().map(|route| route.kind).collect()
        };
        assert_eq!(kinds(80), [RouteKind::Grpc]);
        let server = ParentKey { kind: ParentKind::Server, ..service("web") };
        assert_eq!(index.inbound(&server, false).count(), 0, "a Service is not a Server");
    }
}
