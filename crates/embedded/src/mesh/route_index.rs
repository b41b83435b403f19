//! The HTTPRoutes of the cluster, indexed by the Services that they are attached to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use meshy_dataplane::policy::HttpRoute;

use super::routes::AttachedRoute;

/// Namespace and name of a Service.
pub(super) type ServiceKey = (String, String);
/// Namespace and name of an HTTPRoute.
pub(super) type RouteKey = (String, String);

#[derive(Default)]
pub(super) struct RouteIndex {
    by_route: HashMap<RouteKey, Arc<AttachedRoute>>,
    /// In the order of precedence.
    by_service: HashMap<ServiceKey, Vec<Arc<AttachedRoute>>>,
}

impl RouteIndex {
    /// Replaces a route; `None` removes it. Returns the Services whose routes have changed.
    pub(super) fn set(&mut self, key: RouteKey, new: Option<AttachedRoute>) -> HashSet<ServiceKey> {
        if self.by_route.get(&key).map(Arc::as_ref) == new.as_ref() {
            return HashSet::new();
        }
        let mut changed = HashSet::new();
        if let Some(old) = self.by_route.remove(&key) {
            for service in services(&old) {
                if let Some(routes) = self.by_service.get_mut(&service) {
                    routes.retain(|route| !Arc::ptr_eq(route, &old));
                    if routes.is_empty() {
                        self.by_service.remove(&service);
                    }
                }
                changed.insert(service);
            }
        }
        if let Some(new) = new.map(Arc::new) {
            for service in services(&new) {
                let routes = self.by_service.entry(service.clone()).or_default();
                routes.push(new.clone());
                // The Gateway API's rule: the oldest route first, then by name.
                routes.sort_by(|a, b| precedence(a).cmp(&precedence(b)));
                changed.insert(service);
            }
            self.by_route.insert(key, new);
        }
        changed
    }

    /// Returns the routes of a Service port for the clients of a namespace, in the order of precedence.
    ///
    /// Routes in the namespace of the Service apply to all clients, other routes only to clients in their namespace.
    pub(super) fn routes(&self, service: &ServiceKey, port: u16, client_namespace: &str) -> Vec<HttpRoute> {
        let attached = |route: &&Arc<AttachedRoute>| {
            route.parents.iter().any(|parent| {
                (&parent.namespace, &parent.service) == (&service.0, &service.1)
                    && parent.port.is_none_or(|number| number == port)
            })
        };
        let visible = |route: &&Arc<AttachedRoute>| {
            let namespace = &route.route.namespace;
            *namespace == service.0 || namespace == client_namespace
        };
        let routes = self.by_service.get(service).into_iter().flatten();
        routes.filter(attached).filter(visible).map(|route| route.route.clone()).collect()
    }
}

fn services(route: &AttachedRoute) -> HashSet<ServiceKey> {
    route.parents.iter().map(|parent| (parent.namespace.clone(), parent.service.clone())).collect()
}

fn precedence(route: &AttachedRoute) -> impl Ord + '_ {
    (route.created, &route.route.name, &route.route.namespace)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::super::routes::{AttachedRoute, translate};
    use super::{RouteIndex, ServiceKey};

    fn route(namespace: &str, name: &str, created: &str, service: &str) -> AttachedRoute {
        translate(&json!({
            "metadata": { "name": name, "namespace": namespace, "creationTimestamp": created },
            "spec": { "parentRefs": [
                { "group": "", "kind": "Service", "name": service, "namespace": "default", "port": 80 },
            ] },
        }))
        .expect("a valid route")
    }

    fn service(name: &str) -> ServiceKey {
        ("default".to_owned(), name.to_owned())
    }

    #[test]
    fn a_change_concerns_the_old_and_the_new_services_of_a_route() {
        let (mut index, key) = (RouteIndex::default(), ("default".to_owned(), "r".to_owned()));
        let created = "2026-01-01T00:00:00Z";
        let set = |index: &mut RouteIndex, service: &str| {
            index.set(key.clone(), Some(route("default", "r", created, service)))
        };
        assert_eq!(set(&mut index, "a"), HashSet::from([service("a")]));
        assert_eq!(set(&mut index, "a"), HashSet::new(), "nothing changed");
        assert_eq!(set(&mut index, "b"), HashSet::from([service("a"), service("b")]));
        assert!(index.routes(&service("a"), 80, "default").is_empty());
        assert_eq!(index.routes(&service("b"), 80, "default").len(), 1);
        assert!(index.routes(&service("b"), 81, "default").is_empty(), "another port");
        assert_eq!(index.set(key.clone(), None), HashSet::from([service("b")]));
        assert!(index.by_service.is_empty() && index.by_route.is_empty());
    }

    #[test]
    fn older_routes_take_precedence_and_other_namespaces_see_their_own_routes() {
        let mut index = RouteIndex::default();
        for (namespace, name, created) in [
            ("default", "young", "2026-01-03T00:00:00Z"),
            ("shop", "shop-only", "2026-01-01T00:00:00Z"),
            ("default", "old", "2026-01-02T00:00:00Z"),
        ] {
            index.set((namespace.into(), name.into()), Some(route(namespace, name, created, "web")));
        }
        let names = |client: &str| -> Vec<String> {
            index.routes(&service("web"), 80, client).into_iter().map(|route| route.name).collect()
        };
        assert_eq!(names("default"), ["old", "young"]);
        assert_eq!(names("shop"), ["shop-only", "old", "young"]);
    }
}
