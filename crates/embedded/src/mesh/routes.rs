//! HTTPRoutes in the data plane's terms.

use http::{HeaderName, HeaderValue, Method};
use meshy_dataplane::policy::{
    Backend, Filter, HeaderMatch, HeaderModifier, HttpRoute, PathMatch, QueryMatch, Redirect, RouteMatch,
    RouteRule, ServiceRef, Timeouts, ValueMatch,
};
use meshy_mesh::{duration, httproute as written, names};
use regex::Regex;
use serde_json::Value;

use super::policy;
use crate::object::{int, list, text};

/// Why a route is not followed: one part that cannot be read costs the whole of it, as with Linkerd's controller.
type Read<T> = Result<T, String>;

/// A route for one port of a Service; none when the route is not for it or cannot be read.
pub(super) fn translate(object: &Value, namespace: &str, service: &str, port: u16) -> Option<HttpRoute> {
    let route = match written::HttpRoute::from_value(object) {
        Ok(route) => route,
        Err(error) => {
            tracing::warn!(route = crate::object::name(object), %error, "the HTTPRoute is not followed");
            return None;
        }
    };
    let own = route.metadata.namespace.as_deref().unwrap_or("default");
    let parent = |parent: &written::ParentRef| {
        parent.is_service()
            && parent.name == service
            && parent.namespace.as_deref().unwrap_or(own) == namespace
            && parent.port.is_none_or(|wanted| wanted == port)
    };
    if !route.spec.parent_refs.iter().any(parent) {
        return None;
    }
    read(&route, own)
        .inspect_err(|reason| {
            tracing::warn!(route = route.metadata.name, reason, "the HTTPRoute is not followed")
        })
        .ok()
}

fn read(route: &written::HttpRoute, own: &str) -> Read<HttpRoute> {
    let (retry, by_annotation) =
        policy::of_route(&route.metadata.annotations).map_err(|error| error.to_string())?;
    let rule = |rule: &written::Rule| {
        Ok(RouteRule {
            matches: rule.matches.iter().map(matches).collect::<Read<_>>()?,
            filters: filters(&rule.filters)?,
            backends: rule.backend_refs.iter().map(|backend| self::backend(backend, own)).collect(),
            timeouts: timeouts(by_annotation, &rule.timeouts),
            retry: retry.clone(),
        })
    };
    Ok(HttpRoute {
        rules: route.spec.rules.iter().map(rule).collect::<Read<_>>()?,
        namespace: own.to_owned(),
        name: route.metadata.name.clone(),
        hostnames: route.spec.hostnames.clone(),
    })
}

/// The annotation wins over the rule's own `request`, the only one of its fields that Linkerd reads; nothing said leaves
/// it to the Service.
fn timeouts(by_annotation: Timeouts, rule: &written::RuleTimeouts) -> Option<Timeouts> {
    let read = |text: &Option<String>| duration::go(text.as_deref()?).ok().filter(|time| !time.is_zero());
    let all = Timeouts { request: by_annotation.request.or_else(|| read(&rule.request)), ..by_annotation };
    (all != Timeouts::default()).then_some(all)
}

/// One that cannot be followed keeps its share of the requests, and fails them: no Service has port 0.
fn backend(found: &written::BackendRef, own: &str) -> Backend {
    let namespace = found.namespace.clone().unwrap_or_else(|| own.to_owned());
    let filters = filters(&found.filters);
    let sound = found.is_service() && filters.is_ok();
    let port = found.port.filter(|_| sound).unwrap_or(0);
    Backend {
        authority: format!("{}:{port}", names::service_fqdn(&found.name, &namespace)),
        service: ServiceRef { namespace, name: found.name.clone(), port },
        weight: found.weight.unwrap_or(1),
        filters: filters.unwrap_or_default(),
    }
}

fn matches(found: &written::Match) -> Read<RouteMatch> {
    let path = match &found.path {
        None => None,
        Some(path) => {
            let value = path.value.clone().unwrap_or_else(|| "/".to_owned());
            Some(match path.how.as_deref() {
                Some("Exact") => PathMatch::Exact(value),
                Some("RegularExpression") => PathMatch::Regex(expression(&value)?),
                _ => PathMatch::Prefix(value),
            })
        }
    };
    let header = |one: &written::ValueMatch| {
        let name = one.name.as_deref().and_then(|name| name.parse().ok());
        Ok(HeaderMatch { name: name.ok_or("a header's name cannot be read")?, value: value(one)? })
    };
    let query = |one: &written::ValueMatch| {
        let name = one.name.clone().ok_or("a query parameter has no name")?;
        Ok(QueryMatch { name, value: value(one)? })
    };
    let method = found.method.as_deref().map(str::parse::<Method>).transpose();
    Ok(RouteMatch {
        path,
        headers: found.headers.iter().map(header).collect::<Read<_>>()?,
        query: found.query_params.iter().map(query).collect::<Read<_>>()?,
        method: method.map_err(|error| error.to_string())?,
    })
}

fn value(found: &written::ValueMatch) -> Read<ValueMatch> {
    let text = found.value.clone().unwrap_or_default();
    Ok(match found.how.as_deref() {
        Some("RegularExpression") => ValueMatch::Regex(expression(&text)?),
        _ => ValueMatch::Exact(text),
    })
}

fn expression(text: &str) -> Read<Regex> {
    Regex::new(text).map_err(|_| format!("`{text}` is no regular expression"))
}

fn filters(found: &[Value]) -> Read<Vec<Filter>> {
    let each = |filter: &Value| match text(filter, "/type") {
        "RequestHeaderModifier" => Ok(Filter::RequestHeaders(modifier(&filter["requestHeaderModifier"]))),
        "ResponseHeaderModifier" => Ok(Filter::ResponseHeaders(modifier(&filter["responseHeaderModifier"]))),
        "RequestRedirect" => Ok(Filter::Redirect(redirect(&filter["requestRedirect"]))),
        other => Err(format!("the filter `{other}` is not supported")),
    };
    found.iter().map(each).collect()
}

fn modifier(found: &Value) -> HeaderModifier {
    let pairs = |pointer: &str| -> Vec<(HeaderName, HeaderValue)> {
        let pair = |one: &Value| Some((text(one, "/name").parse().ok()?, text(one, "/value").parse().ok()?));
        list(found, pointer).iter().filter_map(pair).collect()
    };
    HeaderModifier {
        set: pairs("/set"),
        add: pairs("/add"),
        remove: list(found, "/remove").iter().filter_map(|name| name.as_str()?.parse().ok()).collect(),
    }
}

fn redirect(found: &Value) -> Redirect {
    let given = |pointer: &str| Some(text(found, pointer)).filter(|text| !text.is_empty()).map(str::to_owned);
    let number = |pointer: &str| int(found, pointer).and_then(|number| u16::try_from(number).ok());
    Redirect {
        scheme: given("/scheme"),
        hostname: given("/hostname"),
        port: number("/port"),
        path: given("/path/replaceFullPath"),
        status: number("/statusCode").and_then(|code| http::StatusCode::from_u16(code).ok()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{HttpRoute, translate};
    use std::time::Duration;

    /// A route for `web:9090` of one rule.
    fn route(annotations: Value, rule: Value) -> Option<HttpRoute> {
        let object = json!({
            "metadata": { "name": "split", "namespace": "default", "annotations": annotations },
            "spec": {
                "parentRefs": [{ "group": "core", "kind": "Service", "name": "web", "port": 9090 }],
                "rules": [rule],
            },
        });
        assert!(translate(&object, "default", "other", 9090).is_none(), "it is for one service");
        assert!(translate(&object, "default", "web", 80).is_none(), "and for one port");
        translate(&object, "default", "web", 9090)
    }

    #[test]
    fn a_split_by_weight_names_its_backends_in_full() {
        let backends = json!([
            { "name": "web", "port": 9090, "weight": 90 },
            { "name": "web-v2", "port": 9090, "weight": 10, "filters": [
                { "type": "RequestHeaderModifier", "requestHeaderModifier": { "remove": ["x-a"] } },
            ] },
        ]);
        let route = route(json!({ "retry.linkerd.io/http": "5xx" }), json!({ "backendRefs": backends }));
        let rule = route.expect("the route is for it").rules.remove(0);
        assert_eq!(rule.backends[1].authority, "web-v2.default.svc.cluster.local:9090");
        assert_eq!((rule.backends[0].weight, rule.backends[1].weight), (90, 10));
        assert_eq!((rule.backends[0].filters.len(), rule.backends[1].filters.len()), (0, 1));
        assert_eq!(rule.retry.map(|retry| retry.limit), Some(1));
    }

    #[test]
    fn a_backend_that_cannot_be_followed_keeps_its_share() {
        let backends = json!([
            { "name": "web", "port": 9090 }, { "name": "no-port" },
            { "kind": "Bucket", "name": "other-kind", "port": 9090 },
            { "name": "mirrored", "port": 9090, "filters": [{ "type": "RequestMirror" }] },
        ]);
        let route = route(json!({}), json!({ "backendRefs": backends })).expect("it is followed");
        let ports: Vec<_> =
            route.rules[0].backends.iter().map(|one| (one.service.port, one.weight)).collect();
        assert_eq!(ports, [(9090, 1), (0, 1), (0, 1), (0, 1)]);
    }

    #[test]
    fn a_part_that_cannot_be_read_costs_the_whole_route() {
        assert!(route(json!({}), json!({})).is_some());
        for rule in [
            json!({ "matches": [{ "path": { "type": "RegularExpression", "value": "/(" } }] }),
            json!({ "matches": [{ "headers": [{ "type": "RegularExpression", "name": "a", "value": "(" }] }] }),
            json!({ "filters": [{ "type": "URLRewrite", "urlRewrite": {} }] }),
        ] {
            assert!(route(json!({}), rule.clone()).is_none(), "{rule}");
        }
        assert!(route(json!({ "retry.linkerd.io/http": "9xx" }), json!({})).is_none());
        assert!(route(json!({ "timeout.linkerd.io/request": "soon" }), json!({})).is_none());
    }

    #[test]
    fn the_timeout_annotation_wins_over_the_rules_own_field() {
        let rule = json!({ "timeouts": { "request": "2s", "backendRequest": "1s" } });
        let limits = |annotations: Value| {
            let route = route(annotations, rule.clone()).expect("it is followed");
            route.rules[0].timeouts.expect("a timeout")
        };
        let own = limits(json!({}));
        assert_eq!((own.request, own.response), (Some(Duration::from_secs(2)), None));
        let told = limits(json!({ "timeout.linkerd.io/request": "5s", "timeout.linkerd.io/response": "3s" }));
        assert_eq!(told.request, Some(Duration::from_secs(5)));
        assert_eq!(told.response, Some(Duration::from_secs(3)));
    }
}
