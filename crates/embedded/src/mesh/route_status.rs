//! The status of HTTPRoutes and GRPCRoutes, as Linkerd's policy controller writes it: for each Service among the parents
//! whether the route is accepted and whether its backends exist.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Service;
use meshy_linkerd::grpc_route;
use meshy_linkerd::httproute::{HttpRoute, ParentRef};
use serde_json::{Value, json};

use super::route_index::ServiceKey;
use super::routes::{self, RouteError};
use super::shared::key;
use crate::api::{Api, ApiError, Change, GRPC_ROUTES, HTTP_ROUTES, Kind, POLICY_HTTP_ROUTES, StoredObject};
use crate::object::{ObjectExt, now};

/// The name of Linkerd's controller in the status.
const CONTROLLER: &str = "linkerd.io/policy-controller";

/// Namespace and name of a route.
type RouteKey = (String, String);

/// A kind of routes that has a status.
#[derive(Clone)]
pub(super) struct Routes {
    kind: Kind,
    parse: fn(&Value) -> Result<HttpRoute, serde_json::Error>,
    /// Why proxies do not receive the route.
    check: fn(&Value) -> Result<(), RouteError>,
}

/// Returns the kinds of routes that have a status.
pub(super) fn kinds() -> [Routes; 3] {
    [
        Routes {
            kind: HTTP_ROUTES,
            parse: HttpRoute::from_value,
            check: |object| routes::translate(object).map(drop),
        },
        Routes {
            kind: POLICY_HTTP_ROUTES,
            parse: HttpRoute::from_value,
            check: |object| routes::translate_policy(object).map(drop),
        },
        Routes {
            kind: GRPC_ROUTES,
            parse: grpc_route::from_value,
            check: |object| routes::translate_grpc(object).map(drop),
        },
    ]
}

/// A condition without its time.
#[derive(Debug, PartialEq)]
struct Condition {
    kind: &'static str,
    is_met: bool,
    reason: &'static str,
    message: String,
}

/// Follows the routes of one kind and Services, and writes the status of each route. Ends with the API server.
pub(super) async fn follow(api: &Api, routes: &Routes) {
    let (mut changes, mut services) = (api.watch_json(routes.kind.clone()), api.watch::<Service>());
    let mut known: HashMap<RouteKey, StoredObject> = HashMap::new();
    loop {
        let concerned: Vec<RouteKey> = tokio::select! {
            change = changes.next() => match change {
                None => return,
                Some(Change::Deleted(object)) => {
                    known.remove(&key(&object));
                    continue;
                }
                Some(Change::Applied(object)) => {
                    let key = key(&object);
                    known.insert(key.clone(), object);
                    vec![key]
                }
            },
            change = services.next() => {
                let Some(change) = change else { return };
                let service = change.object();
                let service = (service.namespace().to_owned(), service.name().to_owned());
                let names = |object: &StoredObject| routes.named_services(object).contains(&service);
                known.iter().filter(|(_, object)| names(object)).map(|(key, _)| key.clone()).collect()
            }
        };
        for key in concerned {
            let Some(route) = known.get(&key) else { continue };
            match routes.write(api, &key, route).await {
                Ok(()) | Err(ApiError::NotFound) => {}
                Err(error) => {
                    let kind = &routes.kind.resource;
                    tracing::warn!(%kind, route = key.1, %error, "cannot write the status of a route");
                }
            }
        }
    }
}

impl Routes {
    /// Returns the Services that a route names as parents or as backends.
    fn named_services(&self, object: &Value) -> Vec<ServiceKey> {
        let Ok(route) = (self.parse)(object) else { return Vec::new() };
        let own = route.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let parents = route.services().map(|(name, namespace)| (namespace.to_owned(), name.to_owned()));
        let mut all: Vec<ServiceKey> = parents.collect();
        for backend in route.spec.rules.iter().flat_map(|rule| &rule.backend_refs) {
            let namespace = backend.namespace.clone().unwrap_or_else(|| own.clone());
            all.push((namespace, backend.name.clone()));
        }
        all
    }

    async fn write(&self, api: &Api, key: &RouteKey, object: &Value) -> Result<(), ApiError> {
        let exists = |(namespace, name): &ServiceKey| api.get::<Service>(namespace, name).is_some();
        let Some(parents) = self.parents(object, exists) else { return Ok(()) };
        api.modify_status_json(&self.kind, &key.0, &key.1, |object| {
            let old = object.pointer("/status/parents").cloned().unwrap_or_default();
            let new = merged(&old, &parents);
            if new != old {
                object["status"]["parents"] = new;
            }
        })
        .await
    }

    /// Returns the conditions for each Service among the parents, or `None` for a route that no Service is a parent of.
    fn parents(
        &self,
        object: &Value,
        exists: impl Fn(&ServiceKey) -> bool,
    ) -> Option<Vec<(Value, [Condition; 2])>> {
        let route = (self.parse)(object).ok()?;
        let own = route.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let invalid = (self.check)(object).err().map(|error| error.to_string());
        let backends = resolved(&route, &own, &exists);
        let references = object.pointer("/spec/parentRefs").and_then(Value::as_array)?;
        let of_parent = |(parent, reference): (&ParentRef, &Value)| {
            let namespace = parent.namespace.clone().unwrap_or_else(|| own.clone());
            let accepted = match &invalid {
                Some(message) => (false, "UnsupportedValue", message.clone()),
                None if exists(&(namespace, parent.name.clone())) => (true, "Accepted", String::new()),
                None => (false, "NoMatchingParent", String::new()),
            };
            let condition = |kind, (is_met, reason, message)| Condition { kind, is_met, reason, message };
            let conditions = [condition("Accepted", accepted), condition("ResolvedRefs", backends.clone())];
            (reference.clone(), conditions)
        };
        let all = route.spec.parent_refs.iter().zip(references);
        let all: Vec<_> = all.filter(|(parent, _)| parent.is_service()).map(of_parent).collect();
        (!all.is_empty()).then_some(all)
    }
}

/// Returns whether all backends exist.
fn resolved(
    route: &HttpRoute,
    own: &str,
    exists: impl Fn(&ServiceKey) -> bool,
) -> (bool, &'static str, String) {
    for backend in route.spec.rules.iter().flat_map(|rule| &rule.backend_refs) {
        let namespace = backend.namespace.clone().unwrap_or_else(|| own.to_owned());
        if !backend.is_service() {
            return (false, "InvalidKind", String::new());
        }
        if !exists(&(namespace, backend.name.clone())) {
            return (false, "BackendNotFound", String::new());
        }
    }
    (true, "ResolvedRefs", String::new())
}

/// Returns the parents of a status: those of other controllers stay, and a condition that did not change keeps its time.
fn merged(old: &Value, parents: &[(Value, [Condition; 2])]) -> Value {
    let old = old.as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = |parent: &&Value| parent["controllerName"] == CONTROLLER;
    let mut all: Vec<Value> = old.iter().filter(|parent| !ours(parent)).cloned().collect();
    for (reference, conditions) in parents {
        let before = old.iter().filter(ours).find(|parent| parent["parentRef"] == *reference);
        let conditions: Vec<_> = conditions.iter().map(|condition| dated(condition, before)).collect();
        all.push(json!({ "parentRef": reference, "controllerName": CONTROLLER, "conditions": conditions }));
    }
    Value::Array(all)
}

fn dated(condition: &Condition, before: Option<&Value>) -> Value {
    let status = if condition.is_met { "True" } else { "False" };
    let mut new = json!({
        "type": condition.kind, "status": status, "reason": condition.reason, "message": condition.message,
    });
    let conditions = before.and_then(|parent| parent["conditions"].as_array()).into_iter().flatten();
    let same =
        |old: &&Value| ["type", "status", "reason", "message"].iter().all(|field| old[field] == new[field]);
    let time = conditions.clone().find(same).map(|old| old["lastTransitionTime"].clone());
    new["lastTransitionTime"] = time.unwrap_or_else(|| json!(now()));
    new
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Routes, kinds, merged};

    fn route(backend: &str, rule: Value) -> Value {
        let mut rule = rule;
        rule["backendRefs"] = json!([{ "name": backend, "port": 80 }]);
        json!({
            "metadata": { "name": "r", "namespace": "shop" },
            "spec": {
                "parentRefs": [{ "group": "core", "kind": "Service", "name": "web", "port": 80 }, { "name": "gateway" }],
                "rules": [rule],
            },
        })
    }

    fn reasons(object: &Value) -> Vec<(&'static str, bool)> {
        reasons_of(&kinds()[0], object)
    }

    fn reasons_of(routes: &Routes, object: &Value) -> Vec<(&'static str, bool)> {
        let exists = |(namespace, name): &(String, String)| namespace == "shop" && name == "web";
        let all = routes.parents(object, exists).expect("a Service among the parents");
        assert_eq!(all.len(), 1, "the gateway has another controller");
        all[0].1.iter().map(|condition| (condition.reason, condition.is_met)).collect()
    }

    #[test]
    fn each_parent_has_the_reason_why_a_route_is_ignored() {
        assert_eq!(reasons(&route("web", json!({}))), [("Accepted", true), ("ResolvedRefs", true)]);
        assert_eq!(reasons(&route("none", json!({}))), [("Accepted", true), ("BackendNotFound", false)]);
        let unsupported = json!({ "filters": [{ "type": "URLRewrite", "urlRewrite": {} }] });
        assert_eq!(
            reasons(&route("web", unsupported)),
            [("UnsupportedValue", false), ("ResolvedRefs", true)]
        );
        let mut orphan = route("web", json!({}));
        orphan["spec"]["parentRefs"][0]["name"] = json!("absent");
        assert_eq!(reasons(&orphan)[0], ("NoMatchingParent", false));
    }

    #[test]
    fn a_grpc_route_is_checked_as_one() {
        let grpc = &kinds()[2];
        let method = json!({ "matches": [{ "method": { "service": "shop.Cart", "method": "Add" } }] });
        assert_eq!(reasons_of(grpc, &route("web", method)), [("Accepted", true), ("ResolvedRefs", true)]);
        let mut invalid = route("none", json!({}));
        invalid["metadata"]["annotations"] = json!({ "retry.linkerd.io/grpc": "14" });
        assert_eq!(
            reasons_of(grpc, &invalid),
            [("UnsupportedValue", false), ("BackendNotFound", false)],
            "statuses are names"
        );
    }

    #[test]
    fn an_unchanged_condition_keeps_its_time_and_other_controllers_keep_theirs() {
        let parents = kinds()[0].parents(&route("web", json!({})), |_| true).expect("parents");
        let mut old =
            merged(&json!([{ "controllerName": "other", "parentRef": {}, "conditions": [] }]), &parents);
        old[1]["conditions"][0]["lastTransitionTime"] = json!("2020-01-01T00:00:00Z");
        assert_eq!(merged(&old, &parents), old);
    }
}
