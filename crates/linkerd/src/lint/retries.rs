//! Checks of retries without the intended effect: overridden, for the other protocol, of methods that may run twice.

use super::{Sink, World};
use crate::names;
use crate::policy::Annotations;

/// The retry annotations of an object.
fn of(annotations: &Annotations) -> Vec<&str> {
    annotations.keys().map(String::as_str).filter(|key| key.starts_with("retry.linkerd.io/")).collect()
}

pub(super) fn lint_service(world: &World, sink: &mut Sink<'_>) {
    let annotations = sink.item.annotations("");
    let own = of(&annotations);
    if own.is_empty() {
        return;
    }
    let routes = world.routes_of(sink.item.name(), sink.item.namespace_or_default());
    let overriding: Vec<String> = routes
        .iter()
        .filter(|route| !of(&route.annotations("")).is_empty())
        .map(|route| format!("{} `{}`", route.kind(), route.name()))
        .collect();
    if !overriding.is_empty() {
        sink.add(
            "retry-overridden",
            format!("metadata.annotations[{}]", own[0]),
            format!("{} has retry annotations too", overriding.join(", ")),
            "keep the retry annotations in one place",
        );
    }
    let grpc_routes = routes.iter().any(|route| route.kind() == "GRPCRoute");
    if world.is_complete() && !grpc_routes && annotations.contains_key(names::RETRY_GRPC) {
        sink.add(
            "retry-protocol",
            format!("metadata.annotations[{}]", names::RETRY_GRPC),
            format!("service `{}` has no GRPCRoute", sink.item.name()),
            "create a GRPCRoute for the service, with the annotation",
        );
    }
}

/// Reports the annotation of the other protocol on a route.
pub(super) fn lint_route(sink: &mut Sink<'_>) {
    let (ignored, works) = match sink.item.kind() {
        "GRPCRoute" => (names::RETRY_HTTP, names::RETRY_GRPC),
        _ => (names::RETRY_GRPC, names::RETRY_HTTP),
    };
    if sink.item.annotations("").contains_key(ignored) {
        let (kind, field) = (sink.item.kind().to_owned(), format!("metadata.annotations[{ignored}]"));
        sink.add("retry-protocol", field, format!("a {kind} has `{ignored}`"), format!("use `{works}`"));
    }
}

/// Reports methods of a retried route that must not run twice.
pub(super) fn idempotent<'a>(
    sink: &mut Sink<'_>,
    methods: impl Iterator<Item = &'a str>,
    route: &str,
    field: String,
) {
    let mut unsafe_ones: Vec<&str> = methods.filter(|method| matches!(*method, "POST" | "PATCH")).collect();
    unsafe_ones.dedup();
    if !unsafe_ones.is_empty() {
        sink.add(
            "retry-not-idempotent",
            field,
            format!("`{route}` retries {}", unsafe_ones.join(" and ")),
            "retry GET, HEAD, PUT and DELETE only, unless the service detects repeated requests",
        );
    }
}
