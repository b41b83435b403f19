//! Checks of HTTPRoutes: types, filters, expressions, timeouts, parents and ports.

use serde_json::{Value, json};

use super::{Sink, World, regexes, retries, shape, shapes};
use crate::httproute::{HttpRoute, Rule};
use crate::policy::Annotations;
use crate::{duration, expression, names};

/// The filters that Linkerd's policy controller translates (`policy-controller/k8s/index/src/outbound/index/http.rs`).
const FILTERS: [&str; 3] = ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect"];

/// Returns the types of the filters of a route that Linkerd does not implement. It ignores such a route.
pub(crate) fn unsupported_filters(route: &HttpRoute) -> impl Iterator<Item = &str> {
    fn backends(rule: &Rule) -> impl Iterator<Item = &Value> {
        rule.backend_refs.iter().flat_map(|backend| &backend.filters)
    }
    let all = route.spec.rules.iter().flat_map(|rule| rule.filters.iter().chain(backends(rule)));
    all.filter_map(|filter| filter["type"].as_str()).filter(|kind| !FILTERS.contains(kind))
}

/// Checks an HTTPRoute.
pub(super) fn lint(world: &World, sink: &mut Sink<'_>) {
    let route = readable(sink);
    filters(sink);
    for (i, rule) in route.spec.rules.iter().enumerate() {
        let at = format!("spec.rules[{i}]");
        for (j, matches) in rule.matches.iter().enumerate() {
            let path = matches.path.iter().map(|path| ("path".to_owned(), path));
            let headers = numbered("headers", &matches.headers);
            let params = numbered("queryParams", &matches.query_params);
            for (field, value) in path.chain(headers).chain(params) {
                if value.how.as_deref() == Some("RegularExpression") {
                    expression(
                        sink,
                        value.value.as_deref().unwrap_or_default(),
                        format!("{at}.matches[{j}].{field}.value"),
                    );
                }
            }
        }
        timeouts(sink, rule.timeouts.request.as_deref(), rule.timeouts.backend_request.as_deref(), &at);
        if sink.item.annotations("").contains_key(names::RETRY_HTTP) {
            let methods = rule.matches.iter().filter_map(|matches| matches.method.as_deref());
            let field = format!("metadata.annotations[{}]", names::RETRY_HTTP);
            retries::idempotent(sink, methods, &route.metadata.name, field);
        }
    }
    references(world, sink, &route);
}

/// Returns the route, without the fields that cannot be read, which are reported.
fn readable(sink: &mut Sink<'_>) -> HttpRoute {
    let mut spec = sink.object().get("spec").cloned().unwrap_or_else(|| json!({}));
    for (place, what) in shape::repair(&mut spec, &shapes::ROUTE, "spec") {
        sink.add("route-invalid", place, what, "correct the field");
    }
    let metadata = json!({"name": sink.item.name(), "namespace": sink.item.namespace_or_default()});
    HttpRoute::from_value(&json!({"metadata": metadata, "spec": spec})).unwrap_or_default()
}

fn numbered<'a, T>(name: &'a str, list: &'a [T]) -> impl Iterator<Item = (String, &'a T)> {
    list.iter().enumerate().map(move |(i, item)| (format!("{name}[{i}]"), item))
}

fn expression(sink: &mut Sink<'_>, text: &str, at: String) {
    if let Err(error) = expression::compiled(text) {
        sink.add(
            "route-regex-invalid",
            at,
            format!("`{text}`: {}", regexes::reason(&error)),
            "correct the expression; look-around and back-references are not supported",
        );
    }
}

fn filters(sink: &mut Sink<'_>) {
    let mut found = Vec::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for (i, rule) in list(&sink.object()["spec"]["rules"]).iter().enumerate() {
        let mut look = |filters: &Value, at: String| {
            for (j, filter) in list(filters).iter().enumerate() {
                if let Some(kind) = filter["type"].as_str().filter(|kind| !FILTERS.contains(kind)) {
                    found.push((format!("{at}.filters[{j}].type"), kind.to_owned()));
                }
            }
        };
        look(&rule["filters"], format!("spec.rules[{i}]"));
        for (j, backend) in list(&rule["backendRefs"]).iter().enumerate() {
            look(&backend["filters"], format!("spec.rules[{i}].backendRefs[{j}]"));
        }
    }
    for (at, kind) in found {
        sink.add("filter-unsupported", at, format!("filter `{kind}`"), "remove the filter");
    }
}

fn timeouts(sink: &mut Sink<'_>, request: Option<&str>, backend: Option<&str>, at: &str) {
    let Some(backend) = backend else { return };
    sink.add(
        "timeout-backend-request",
        format!("{at}.timeouts.backendRequest"),
        format!("backendRequest `{backend}`"),
        format!("use the annotation `{}`, which applies to the whole route", names::TIMEOUT_RESPONSE),
    );
    if let Some(request) = request
        && let (Ok(whole), Ok(part)) = (duration::go(request), duration::go(backend))
        && !whole.is_zero()
        && part > whole
    {
        longer(sink, format!("{at}.timeouts.backendRequest"), "backendRequest", backend, request);
    }
}

/// Reports a retry timeout that the timeout of the request ends first.
pub(super) fn retry_timeout(sink: &mut Sink<'_>, annotations: &Annotations) {
    let get = |key: &str| Some((annotations.get(key)?, duration::annotation(annotations.get(key)?).ok()?));
    if let (Some((attempt, part)), Some((request, whole))) =
        (get(names::RETRY_TIMEOUT), get(names::TIMEOUT_REQUEST))
        && !whole.is_zero()
        && part >= whole
    {
        let field = format!("metadata.annotations[{}]", names::RETRY_TIMEOUT);
        longer(sink, field, names::RETRY_TIMEOUT, attempt, request);
    }
}

fn longer(sink: &mut Sink<'_>, field: String, name: &str, part: &str, whole: &str) {
    sink.add(
        "timeout-order",
        field,
        format!("`{name}` of {part} does not end before the request, which has {whole}"),
        "set it shorter than the timeout of the request",
    );
}

/// Checks that parents and backends exist with these kinds and ports.
fn references(world: &World, sink: &mut Sink<'_>, route: &HttpRoute) {
    let own = sink.item.namespace_or_default().to_owned();
    for (i, parent) in route.spec.parent_refs.iter().enumerate() {
        let at = format!("spec.parentRefs[{i}]");
        if parent.is_service() {
            port(
                world,
                sink,
                &parent.name,
                parent.namespace.as_deref().unwrap_or(&own),
                parent.port,
                &format!("{at}.port"),
            );
        } else {
            parent_kind(sink, parent.kind.as_deref(), parent.group.as_deref(), &at);
        }
    }
    for (i, rule) in route.spec.rules.iter().enumerate() {
        for (j, backend) in rule.backend_refs.iter().enumerate().filter(|(_, backend)| backend.is_service()) {
            let at = format!("spec.rules[{i}].backendRefs[{j}]");
            port(
                world,
                sink,
                &backend.name,
                backend.namespace.as_deref().unwrap_or(&own),
                backend.port,
                &format!("{at}.port"),
            );
        }
    }
}

/// The kinds of parents that Linkerd and gateways follow, each with its groups.
const PARENTS: [(&str, &[&str]); 4] = [
    ("Service", &["", "core"]),
    ("Gateway", &[names::GATEWAY_GROUP]),
    ("EgressNetwork", &[names::POLICY_GROUP]),
    ("Server", &[names::POLICY_GROUP]),
];

fn parent_kind(sink: &mut Sink<'_>, kind: Option<&str>, group: Option<&str>, at: &str) {
    let kind = kind.unwrap_or("Gateway");
    let written = group.unwrap_or(names::GATEWAY_GROUP);
    match PARENTS.iter().find(|(known, _)| *known == kind) {
        Some((_, groups)) if groups.contains(&written) => {}
        Some((_, groups)) => sink.add(
            "parent-kind",
            format!("{at}.group"),
            format!("no kind `{kind}` in group `{written}`"),
            format!("write `group: \"{}\"`", groups[0]),
        ),
        None => {
            if let Some((nearest, _)) =
                PARENTS.iter().find(|(known, _)| strsim::levenshtein(known, kind) <= 2)
            {
                let what = format!("unknown kind `{kind}`");
                sink.add("parent-kind", format!("{at}.kind"), what, format!("write `{nearest}`"));
            }
        }
    }
}

/// Reports a port that the service, if it is known, does not declare.
pub(super) fn port(
    world: &World,
    sink: &mut Sink<'_>,
    service: &str,
    namespace: &str,
    port: Option<u16>,
    at: &str,
) {
    let Some(port) = port else { return };
    let Some(ports) = world.service(service, namespace).and_then(|s| s.object["spec"]["ports"].as_array())
    else {
        return;
    };
    let numbers: Vec<u64> = ports.iter().filter_map(|declared| declared["port"].as_u64()).collect();
    if !numbers.is_empty() && !numbers.contains(&u64::from(port)) {
        let declared: Vec<String> = numbers.iter().map(u64::to_string).collect();
        sink.add(
            "port-absent",
            at,
            format!("service `{service}` has no port {port}"),
            format!("use a port that it has: {}", declared.join(", ")),
        );
    }
}
