//! Checks of the policy annotations of Services and routes, and of the parents and backends of routes.

use super::{Sink, World, retries, route};
use crate::httproute::HttpRoute;
use crate::names;
use crate::policy::{Annotations, Breaker, Retry, Timeouts};

pub(super) fn lint(world: &World, sink: &mut Sink<'_>) {
    let annotations = sink.item.annotations("");
    values(sink, &annotations);
    retries::lint_service(world, sink);
    if Retry::from_annotations(&annotations).is_ok_and(|r| r.is_some())
        && !world.has_meshed_clients(sink.item)
    {
        let what = format!("only pods of `{}` have a proxy", sink.item.name());
        sink.add(
            "clients-absent",
            "metadata.annotations",
            what,
            "inject the proxy into the clients: `meshy inject deploy/NAME`",
        );
    }
}

pub(super) fn lint_route(world: &World, sink: &mut Sink<'_>) {
    values(sink, &sink.item.annotations(""));
    let Ok(route) = HttpRoute::from_value(sink.object()) else { return };
    for (name, namespace) in route.services() {
        if world.is_complete() && world.service(name, namespace).is_none() {
            sink.add(
                "service-absent",
                "spec.parentRefs",
                format!("service `{name}` not found in namespace `{namespace}`"),
                "create the service, or correct the name",
            );
        }
    }
    if !world.is_complete() {
        return;
    }
    let route_namespace = sink.item.namespace_or_default().to_owned();
    for (i, rule) in route.spec.rules.iter().enumerate() {
        for (j, backend) in rule.backend_refs.iter().enumerate() {
            let namespace = backend.namespace.as_deref().unwrap_or(&route_namespace);
            if world.service(&backend.name, namespace).is_none() {
                sink.add(
                    "service-absent",
                    format!("spec.rules[{i}].backendRefs[{j}]"),
                    format!("service `{}` not found in namespace `{namespace}`", backend.name),
                    "create the service, or correct the name",
                );
            }
        }
    }
}

fn values(sink: &mut Sink<'_>, annotations: &Annotations) {
    let field = |key: &str| format!("metadata.annotations[{key}]");
    let errors = [
        Retry::from_annotations(annotations).err(),
        Timeouts::from_annotations(annotations).err(),
        Breaker::from_annotations(annotations).err(),
    ];
    for error in errors.into_iter().flatten() {
        sink.add("annotation-value", field(&error.key), error.what, "correct the value");
    }
    if annotations.get(names::RETRY_LIMIT).is_some_and(|v| v.parse() == Ok(0)) {
        sink.add(
            "retry-limit-zero",
            field(names::RETRY_LIMIT),
            "limit `0`",
            "set a limit of at least 1, or remove the retry annotations",
        );
    }
    route::retry_timeout(sink, annotations);
    let has = |key: &str| annotations.contains_key(key);
    let alone = [names::RETRY_LIMIT, names::RETRY_TIMEOUT].into_iter().find(|key| has(key));
    if let Some(alone) = alone
        && !has(names::RETRY_HTTP)
        && !has(names::RETRY_GRPC)
    {
        let todo = format!("add `{}: 5xx`", names::RETRY_HTTP);
        sink.add(
            "retry-condition-absent",
            field(alone),
            format!("`{alone}` without `{}`", names::RETRY_HTTP),
            todo,
        );
    }
}
