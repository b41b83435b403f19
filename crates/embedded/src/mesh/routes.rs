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

/// A route for one port of a Service; none when the route is not for it or cannot be read.
pub(super) fn translate(object: &Value, namespace: &str, service: &str, port: u16) -> Option<HttpRoute> {
    let route = written::HttpRoute::from_value(object).ok()?;
    let own = route.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let parent = |parent: &written::ParentRef| {
        parent.is_service()
            && parent.name == service
            && parent.namespace.as_deref().unwrap_or(&own) == namespace
            && parent.port.is_none_or(|wanted| wanted == port)
    };
    if !route.spec.parent_refs.iter().any(parent) {
        return None;
    }
    let annotations = route.metadata.annotations.clone();
    let (retry, by_annotation) = (policy::retry(&annotations), policy::timeouts(&annotations));
    let rules = route.spec.rules.iter().map(|rule| RouteRule {
        matches: rule.matches.iter().filter_map(matches).collect(),
        filters: filters(&rule.filters),
        backends: rule.backend_refs.iter().filter_map(|backend| self::backend(backend, &own)).collect(),
        timeouts: timeouts(by_annotation, &rule.timeouts),
        retry: retry.clone(),
    });
    Some(HttpRoute {
        rules: rules.collect(),
        namespace: own.clone(),
        name: route.metadata.name.clone(),
        hostnames: route.spec.hostnames.clone(),
    })
}

/// The annotation wins over the rule's own field; nothing said leaves it to the Service.
fn timeouts(by_annotation: Timeouts, rule: &written::RuleTimeouts) -> Option<Timeouts> {
    let read = |text: &Option<String>| duration::go(text.as_deref()?).ok().filter(|time| !time.is_zero());
    let all = Timeouts {
        request: by_annotation.request.or_else(|| read(&rule.request)),
        response: by_annotation.response.or_else(|| read(&rule.backend_request)),
        idle: by_annotation.idle,
    };
    (all != Timeouts::default()).then_some(all)
}

fn backend(found: &written::BackendRef, own: &str) -> Option<Backend> {
    let namespace = found.namespace.clone().unwrap_or_else(|| own.to_owned());
    let port = found.port?;
    Some(Backend {
        authority: format!("{}:{port}", names::service_fqdn(&found.name, &namespace)),
        service: ServiceRef { namespace, name: found.name.clone(), port },
        weight: found.weight.unwrap_or(1),
        filters: Vec::new(),
    })
}

fn matches(found: &written::Match) -> Option<RouteMatch> {
    let path = match &found.path {
        None => None,
        Some(path) => {
            let value = path.value.clone().unwrap_or_else(|| "/".to_owned());
            Some(match path.how.as_deref() {
                Some("Exact") => PathMatch::Exact(value),
                Some("RegularExpression") => PathMatch::Regex(Regex::new(&value).ok()?),
                _ => PathMatch::Prefix(value),
            })
        }
    };
    let headers = found
        .headers
        .iter()
        .map(|one| Some(HeaderMatch { name: one.name.as_deref()?.parse().ok()?, value: value(one)? }))
        .collect::<Option<_>>()?;
    let query = found
        .query_params
        .iter()
        .map(|one| Some(QueryMatch { name: one.name.clone()?, value: value(one)? }))
        .collect::<Option<_>>()?;
    let method = found.method.as_deref().map(str::parse::<Method>).transpose().ok()?;
    Some(RouteMatch { path, headers, query, method })
}

fn value(found: &written::ValueMatch) -> Option<ValueMatch> {
    let text = found.value.clone().unwrap_or_default();
    Some(match found.how.as_deref() {
        Some("RegularExpression") => ValueMatch::Regex(Regex::new(&text).ok()?),
        _ => ValueMatch::Exact(text),
    })
}

fn filters(found: &[Value]) -> Vec<Filter> {
    let each = |filter: &Value| match text(filter, "/type") {
        "RequestHeaderModifier" => Some(Filter::RequestHeaders(modifier(&filter["requestHeaderModifier"]))),
        "ResponseHeaderModifier" => {
            Some(Filter::ResponseHeaders(modifier(&filter["responseHeaderModifier"])))
        }
        "RequestRedirect" => Some(Filter::Redirect(redirect(&filter["requestRedirect"]))),
        _ => None,
    };
    found.iter().filter_map(each).collect()
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
    use serde_json::json;

    use super::translate;

    #[test]
    fn a_split_by_weight_names_its_backends_in_full() {
        let object = json!({
            "metadata": { "name": "split", "namespace": "default", "annotations": { "retry.linkerd.io/http": "5xx" } },
            "spec": {
                "parentRefs": [{ "group": "core", "kind": "Service", "name": "web", "port": 9090 }],
                "rules": [{ "backendRefs": [
                    { "name": "web", "port": 9090, "weight": 90 },
                    { "name": "web-v2", "port": 9090, "weight": 10 },
                ] }],
            },
        });
        let route = translate(&object, "default", "web", 9090).expect("the route is for it");
        let backends = &route.rules[0].backends;
        assert_eq!(backends[1].authority, "web-v2.default.svc.cluster.local:9090");
        assert_eq!((backends[0].weight, backends[1].weight), (90, 10));
        assert_eq!(route.rules[0].retry.as_ref().map(|retry| retry.limit), Some(1));
        assert!(translate(&object, "default", "other", 9090).is_none());
        assert!(translate(&object, "default", "web", 80).is_none());
    }
}
