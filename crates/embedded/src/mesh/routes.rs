//! HTTPRoutes and GRPCRoutes, translated for the data plane.

mod filters;

use http::Method;
use jiff::Timestamp;
use meshy_dataplane::policy::{
    Backend, BackendKind, HeaderMatch, HttpRoute, PathMatch, QueryMatch, Retry, RouteKind, RouteMatch,
    RouteRule, ServiceRef, Timeouts, ValueMatch,
};
use meshy_linkerd::policy::PolicyError;
use meshy_linkerd::{duration, grpc_route, httproute as resource, names};
use regex::Regex;
use serde_json::Value;

use super::policy;

/// A route with the objects that it is attached to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AttachedRoute {
    pub(super) parents: Vec<Parent>,
    /// The oldest of equal routes takes precedence.
    pub(super) created: Option<Timestamp>,
    pub(super) route: HttpRoute,
}

/// An object that a route is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) key: ParentKey,
    /// `None` means each port.
    pub(super) port: Option<u16>,
}

/// An object that routes can be attached to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ParentKey {
    pub(super) kind: ParentKind,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ParentKind {
    /// Clients of the Service follow the route.
    Service,
    /// Clients follow the route for addresses outside of the cluster.
    EgressNetwork,
    /// The pods that the Server selects follow the route.
    Server,
}

impl Parent {
    /// Returns the parent that a reference of a route in a namespace names, or `None` for one that the mesh does not use.
    pub(super) fn of(reference: &resource::ParentRef, route_namespace: &str) -> Option<Self> {
        let kind = if reference.is_service() {
            ParentKind::Service
        } else if reference.is_egress_network() {
            ParentKind::EgressNetwork
        } else if reference.is_server(route_namespace) {
            ParentKind::Server
        } else {
            return None;
        };
        let namespace = reference.namespace.clone().unwrap_or_else(|| route_namespace.to_owned());
        Some(Self { key: ParentKey { kind, namespace, name: reference.name.clone() }, port: reference.port })
    }
}

/// A route that proxies do not receive. One invalid part disables the whole route, as with Linkerd's controller.
#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid route: {0}")]
    Object(#[from] serde_json::Error),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("invalid regular expression `{expression}`: {source}")]
    Expression { expression: String, source: regex::Error },
    #[error("invalid header name `{0}`")]
    HeaderName(String),
    #[error("query parameter match without a name")]
    QueryName,
    #[error("invalid method `{0}`")]
    Method(String),
    #[error("unsupported filter `{0}`")]
    Filter(String),
}

/// Translates an HTTPRoute.
///
/// # Errors
/// A part of the route is invalid or not supported.
pub(super) fn translate(object: &Value) -> Result<AttachedRoute, RouteError> {
    let resource = resource::HttpRoute::from_value(object)?;
    let retry = policy::retry_of_route(&resource.metadata.annotations)?;
    attached(object, &resource, RouteKind::Http, retry)
}

/// Translates an HTTPRoute of the group `policy.linkerd.io`.
///
/// # Errors
/// As for [`translate`].
pub(super) fn translate_policy(object: &Value) -> Result<AttachedRoute, RouteError> {
    let mut attached = translate(object)?;
    attached.route.kind = RouteKind::PolicyHttp;
    Ok(attached)
}

/// Translates a GRPCRoute.
///
/// # Errors
/// As for [`translate`].
pub(super) fn translate_grpc(object: &Value) -> Result<AttachedRoute, RouteError> {
    let resource = grpc_route::from_value(object)?;
    let retry = policy::retry_of_grpc_route(&resource.metadata.annotations)?;
    attached(object, &resource, RouteKind::Grpc, retry)
}

fn attached(
    object: &Value,
    resource: &resource::HttpRoute,
    kind: RouteKind,
    retry: Option<Retry>,
) -> Result<AttachedRoute, RouteError> {
    let namespace = resource.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let parents = resource.spec.parent_refs.iter().filter_map(|parent| Parent::of(parent, &namespace));
    let created = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    Ok(AttachedRoute {
        parents: parents.collect(),
        created: created.and_then(|created| created.parse().ok()),
        route: HttpRoute { kind, ..route(resource, &namespace, retry.as_ref())? },
    })
}

fn route(
    resource: &resource::HttpRoute,
    namespace: &str,
    retry: Option<&Retry>,
) -> Result<HttpRoute, RouteError> {
    let annotated = policy::timeouts_of_route(&resource.metadata.annotations)?;
    let rule = |rule: &resource::Rule| {
        Ok(RouteRule {
            matches: rule.matches.iter().map(route_match).collect::<Result<_, RouteError>>()?,
            filters: filters::translate(&rule.filters)?,
            backends: rule.backend_refs.iter().map(|found| backend(found, namespace)).collect(),
            timeouts: timeouts(annotated, &rule.timeouts),
            retry: retry.cloned(),
        })
    };
    Ok(HttpRoute {
        kind: RouteKind::Http,
        rules: resource.spec.rules.iter().map(rule).collect::<Result<_, RouteError>>()?,
        namespace: namespace.to_owned(),
        name: resource.metadata.name.clone(),
        hostnames: resource.spec.hostnames.clone(),
    })
}

/// Returns the timeouts of a rule: the annotation takes precedence over `request`, the only field of the rule that
/// Linkerd reads. Without either, the timeouts of the Service apply.
fn timeouts(annotated: Timeouts, rule: &resource::RuleTimeouts) -> Option<Timeouts> {
    let read = |text: &Option<String>| duration::go(text.as_deref()?).ok().filter(|time| !time.is_zero());
    let all = Timeouts { request: annotated.request.or_else(|| read(&rule.request)), ..annotated };
    (all != Timeouts::default()).then_some(all)
}

/// Returns a backend. An unsupported one keeps its share of the requests and fails them: no Service has port 0.
fn backend(found: &resource::BackendRef, route_namespace: &str) -> Backend {
    let namespace = found.namespace.clone().unwrap_or_else(|| route_namespace.to_owned());
    let filters = filters::translate(&found.filters);
    let kind = if found.is_egress_network() { BackendKind::EgressNetwork } else { BackendKind::Service };
    let supported = found.is_service() && filters.is_ok();
    let port = found.port.filter(|_| supported).unwrap_or(0);
    Backend {
        kind,
        authority: format!("{}:{port}", names::service_fqdn(&found.name, &namespace)),
        service: ServiceRef { namespace, name: found.name.clone(), port },
        weight: found.weight.unwrap_or(1),
        filters: filters.unwrap_or_default(),
    }
}

fn route_match(found: &resource::Match) -> Result<RouteMatch, RouteError> {
    let path = |path: &resource::ValueMatch| {
        let value = path.value.clone().unwrap_or_else(|| "/".to_owned());
        Ok::<_, RouteError>(match path.how.as_deref() {
            Some("Exact") => PathMatch::Exact(value),
            Some("RegularExpression") => PathMatch::Regex(expression(&value)?),
            _ => PathMatch::Prefix(value),
        })
    };
    let header = |found: &resource::ValueMatch| {
        let name = found.name.clone().unwrap_or_default();
        let value = value(found)?;
        Ok(HeaderMatch { name: name.parse().map_err(|_| RouteError::HeaderName(name))?, value })
    };
    let query = |found: &resource::ValueMatch| {
        let name = found.name.clone().ok_or(RouteError::QueryName)?;
        Ok(QueryMatch { name, value: value(found)? })
    };
    let method = |method: &String| method.parse::<Method>().map_err(|_| RouteError::Method(method.clone()));
    Ok(RouteMatch {
        path: found.path.as_ref().map(path).transpose()?,
        headers: found.headers.iter().map(header).collect::<Result<_, RouteError>>()?,
        query: found.query_params.iter().map(query).collect::<Result<_, RouteError>>()?,
        method: found.method.as_ref().map(method).transpose()?,
    })
}

fn value(found: &resource::ValueMatch) -> Result<ValueMatch, RouteError> {
    let text = found.value.clone().unwrap_or_default();
    Ok(match found.how.as_deref() {
        Some("RegularExpression") => ValueMatch::Regex(expression(&text)?),
        _ => ValueMatch::Exact(text),
    })
}

fn expression(text: &str) -> Result<Regex, RouteError> {
    meshy_linkerd::expression::compiled(text)
        .map_err(|source| RouteError::Expression { expression: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{AttachedRoute, Parent, ParentKey, ParentKind, RouteError, translate};

    /// Translates a route for `web:9090` with one rule.
    fn route(annotations: Value, rule: Value) -> Result<AttachedRoute, RouteError> {
        translate(&json!({
            "metadata": { "name": "split", "namespace": "default", "annotations": annotations },
            "spec": {
                "parentRefs": [
                    { "group": "core", "kind": "Service", "name": "web", "port": 9090 },
                    { "kind": "Gateway", "name": "web" },
                ],
                "rules": [rule],
            },
        }))
    }

    #[test]
    fn a_route_is_attached_to_the_services_among_its_parents() {
        let route = route(json!({}), json!({})).expect("a valid route");
        let key = ParentKey { kind: ParentKind::Service, namespace: "default".into(), name: "web".into() };
        assert_eq!(route.parents, [Parent { key, port: Some(9090) }]);
    }

    #[test]
    fn a_route_is_attached_to_a_server_of_its_own_namespace_without_port_and_section() {
        let parents = |reference: Value| {
            let mut object = json!({ "metadata": { "name": "r", "namespace": "shop" }, "spec": {} });
            let mut parent = json!({ "group": "policy.linkerd.io", "kind": "Server", "name": "web" });
            for (key, value) in reference.as_object().expect("an object") {
                parent[key] = value.clone();
            }
            object["spec"]["parentRefs"] = json!([parent]);
            let parents = translate(&object).expect("a valid route").parents;
            parents.into_iter().map(|parent| parent.key.kind).collect::<Vec<_>>()
        };
        assert_eq!(parents(json!({})), [ParentKind::Server]);
        assert_eq!(parents(json!({ "namespace": "shop" })), [ParentKind::Server]);
        for detached in [
            json!({ "namespace": "other" }),
            json!({ "port": 80 }),
            json!({ "sectionName": "a" }),
            json!({ "group": "gateway.networking.k8s.io" }),
        ] {
            assert_eq!(parents(detached.clone()), [], "{detached}");
        }
        assert_eq!(parents(json!({ "kind": "EgressNetwork" })), [ParentKind::EgressNetwork]);
    }

    #[test]
    fn a_split_refers_to_its_backends_by_full_name_and_weight() {
        let backends = json!([
            { "name": "web", "port": 9090, "weight": 90 },
            { "name": "web-v2", "port": 9090, "weight": 10, "filters": [
                { "type": "RequestHeaderModifier", "requestHeaderModifier": { "remove": ["x-a"] } },
            ] },
        ]);
        let route = route(json!({ "retry.linkerd.io/http": "5xx" }), json!({ "backendRefs": backends }));
        let rule = route.expect("a valid route").route.rules.remove(0);
        assert_eq!(rule.backends[1].authority, "web-v2.default.svc.cluster.local:9090");
        assert_eq!((rule.backends[0].weight, rule.backends[1].weight), (90, 10));
        assert_eq!((rule.backends[0].filters.len(), rule.backends[1].filters.len()), (0, 1));
        assert_eq!(rule.retry.map(|retry| retry.limit), Some(1));
    }

    #[test]
    fn an_unsupported_backend_keeps_its_weight_and_has_no_endpoint() {
        let backends = json!([
            { "name": "web", "port": 9090 }, { "name": "no-port" },
            { "kind": "Bucket", "name": "other-kind", "port": 9090 },
            { "name": "mirrored", "port": 9090, "filters": [{ "type": "RequestMirror" }] },
        ]);
        let route = route(json!({}), json!({ "backendRefs": backends })).expect("a valid route").route;
        let ports: Vec<_> =
            route.rules[0].backends.iter().map(|backend| (backend.service.port, backend.weight)).collect();
        assert_eq!(ports, [(9090, 1), (0, 1), (0, 1), (0, 1)]);
    }

    #[test]
    fn an_invalid_part_disables_the_whole_route() {
        assert!(route(json!({}), json!({})).is_ok());
        for (rule, reason) in [
            (
                json!({ "matches": [{ "path": { "type": "RegularExpression", "value": "/(" } }] }),
                "invalid regular expression `/(`",
            ),
            (
                json!({ "matches": [{ "headers": [{ "type": "RegularExpression", "name": "a", "value": "(" }] }] }),
                "invalid regular expression `(`",
            ),
            (
                json!({ "filters": [{ "type": "URLRewrite", "urlRewrite": {} }] }),
                "unsupported filter `URLRewrite`",
            ),
        ] {
            let error = route(json!({}), rule).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{error}");
        }
        assert!(route(json!({ "retry.linkerd.io/http": "9xx" }), json!({})).is_err());
        assert!(route(json!({ "timeout.linkerd.io/request": "soon" }), json!({})).is_err());
    }

    #[test]
    fn the_timeouts_of_measured_routes_reach_the_proxy() {
        let request = |annotations: Value, timeouts: Value| {
            let route = route(annotations, json!({ "timeouts": timeouts })).expect("a valid route").route;
            route.rules[0].timeouts.map(|timeouts| (timeouts.request, timeouts.response, timeouts.idle))
        };
        let millis = |millis| Some((Some(Duration::from_millis(millis)), None, None));
        assert_eq!(request(json!({}), json!({ "backendRequest": "200ms" })), None, "a14b");
        let both = json!({ "request": "400ms", "backendRequest": "200ms" });
        assert_eq!(request(json!({}), both), millis(400), "a14c");
        let annotation = json!({ "timeout.linkerd.io/request": "100ms" });
        assert_eq!(request(annotation, json!({ "request": "400ms" })), millis(100), "a17");
    }

    #[test]
    fn the_timeout_annotation_takes_precedence_over_the_rule() {
        let rule = json!({ "timeouts": { "request": "2s", "backendRequest": "1s" } });
        let timeouts = |annotations: Value| {
            let route = route(annotations, rule.clone()).expect("a valid route").route;
            route.rules[0].timeouts.expect("a timeout")
        };
        let of_rule = timeouts(json!({}));
        assert_eq!((of_rule.request, of_rule.response), (Some(Duration::from_secs(2)), None));
        let annotated =
            timeouts(json!({ "timeout.linkerd.io/request": "5s", "timeout.linkerd.io/response": "3s" }));
        assert_eq!(annotated.request, Some(Duration::from_secs(5)));
        assert_eq!(annotated.response, Some(Duration::from_secs(3)));
    }
}
