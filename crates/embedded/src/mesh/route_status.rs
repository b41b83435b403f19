//! The status of HTTPRoutes, as Linkerd's policy controller writes it: for each Service among the parents whether the route
//! is accepted and whether its backends exist.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Service;
use meshy_linkerd::httproute::{HttpRoute, ParentRef};
use serde_json::{Value, json};

use super::route_index::ServiceKey;
use super::routes;
use super::shared::key;
use crate::api::{Api, ApiError, Change, HTTP_ROUTES, Kind, StoredObject};
use crate::object::{ObjectExt, now};

/// The name of Linkerd's controller in the status.
const CONTROLLER: &str = "linkerd.io/policy-controller";

/// Namespace and name of an HTTPRoute.
type RouteKey = (String, String);

/// A condition without its time.
#[derive(Debug, PartialEq)]
struct Condition {
    kind: &'static str,
    is_met: bool,
    reason: &'static str,
    message: String,
}

/// Follows HTTPRoutes and Services and writes the status of each route. Ends with the API server.
pub(super) async fn follow(api: &Api) {
    let (mut changes, mut services) = (api.watch_json(HTTP_ROUTES), api.watch::<Service>());
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
                let names = |object: &StoredObject| named_services(object).contains(&service);
                known.iter().filter(|(_, object)| names(object)).map(|(key, _)| key.clone()).collect()
            }
        };
        for key in concerned {
            let Some(route) = known.get(&key) else { continue };
            match write(api, &HTTP_ROUTES, &key, route).await {
                Ok(()) | Err(ApiError::NotFound) => {}
                Err(error) => {
                    tracing::warn!(route = key.1, %error, "cannot write the status of an HTTPRoute")
                }
            }
        }
    }
}

/// Returns the Services that a route names as parents or as backends.
fn named_services(object: &Value) -> Vec<ServiceKey> {
    let Ok(route) = HttpRoute::from_value(object) else { return Vec::new() };
    let own = route.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let parents = route.services().map(|(name, namespace)| (namespace.to_owned(), name.to_owned()));
    let mut all: Vec<ServiceKey> = parents.collect();
    for backend in route.spec.rules.iter().flat_map(|rule| &rule.backend_refs) {
        let namespace = backend.namespace.clone().unwrap_or_else(|| own.clone());
        all.push((namespace, backend.name.clone()));
    }
    all
}

async fn write(api: &Api, kind: &Kind, key: &RouteKey, object: &Value) -> Result<(), ApiError> {
    let exists = |(namespace, name): &ServiceKey| api.get::<Service>(namespace, name).is_some();
    let Some(parents) = parents(object, exists) else { return Ok(()) };
    api.modify_status_json(kind, &key.0, &key.1, |object| {
        let old = object.pointer("/status/parents").cloned().unwrap_or_default();
        let new = merged(&old, &parents);
        if new != old {
            object["status"]["parents"] = new;
        }
    })
    .await
}

/// Returns the conditions for each Service among the parents, or `None` for a route that no Service is a parent of.
fn parents(object: &Value, exists: impl Fn(&ServiceKey) -> bool) -> Option<Vec<(Value, [Condition; 2])>> {
    let route = HttpRoute::from_value(object).ok()?;
    let own = route.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let invalid = routes::translate(object).err().map(|error| error.to_string());
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

    use super::{merged, parents};

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
        let exists = |(namespace, name): &(String, String)| namespace == "shop" && name == "web";
        let all = parents(object, exists).expect("a Service among the parents");
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
    fn an_unchanged_condition_keeps_its_time_and_other_controllers_keep_theirs() {
        let parents = parents(&route("web", json!({})), |_| true).expect("parents");
        let mut old =
            merged(&json!([{ "controllerName": "other", "parentRef": {}, "conditions": [] }]), &parents);
        old[1]["conditions"][0]["lastTransitionTime"] = json!("2020-01-01T00:00:00Z");
        assert_eq!(merged(&old, &parents), old);
    }
}
