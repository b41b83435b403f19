//! The GRPCRoutes of a Service: with one, clients use them and none of its HTTPRoutes, and gRPC conditions for retries apply
//! (`policy-controller/grpc/src/outbound.rs` in Linkerd; rows c10 to c13).

use super::inherit::{read, retry_source, timeouts_of};
use super::{Effective, Field, Objects, Requests, Setting, Source, words};
use crate::httproute::HttpRoute;
use crate::lint::unsupported_filters;
use crate::policy::{Annotations, Retry, Timeouts};
use crate::{grpc_route, names};

/// Codes of gRPC statuses and the other settings of retries.
type GrpcRetry = (Vec<u8>, Retry);

/// Adds the groups of requests of a Service with GRPCRoutes. Returns whether clients use them.
pub(super) fn add(objects: &Objects<'_>, service_timeouts: Timeouts, found: &mut Effective) -> bool {
    let mut unused = Vec::new();
    let usable: Vec<_> = objects.grpc_routes.iter().filter(|route| is_usable(route, &mut unused)).collect();
    for (object, setting, why) in unused {
        found.ignore(object, setting, why);
    }
    if usable.is_empty() {
        return false;
    }
    let service = read("Service", grpc_route::retry(objects.annotations), found).flatten();
    for route in usable {
        of_route(route, service.as_ref(), service_timeouts, found);
    }
    for route in objects.routes {
        let object = format!("HTTPRoute {}", route.metadata.name);
        found.ignore(object, "all fields", "clients use the Service's GRPCRoutes");
    }
    if objects.annotations.contains_key(names::RETRY_HTTP) {
        found.ignore("Service", names::RETRY_HTTP, "a GRPCRoute retries by gRPC status");
    }
    let no_route = Setting {
        field: Field::Retries,
        value: "none: the proxy responds with the gRPC status NOT_FOUND".to_owned(),
        source: Source::Default,
        why: "a Service with routes has no default route",
    };
    let which = "requests that no route matches".to_owned();
    found.requests.push(Requests { which, settings: vec![no_route] });
    true
}

/// Whether Linkerd uses a route; if not, adds why.
fn is_usable(route: &HttpRoute, unused: &mut Vec<(String, String, String)>) -> bool {
    let object = format!("GRPCRoute {}", route.metadata.name);
    let annotations = &route.metadata.annotations;
    if let Some(filter) = unsupported_filters(route).next() {
        unused.push((
            object,
            "all fields".to_owned(),
            format!("Linkerd does not implement the filter {filter}"),
        ));
        return false;
    }
    let error = grpc_route::retry(annotations).err().or(Timeouts::from_annotations(annotations).err());
    let Some(error) = error else { return true };
    unused.push((object, error.key, error.what));
    false
}

fn of_route(
    route: &HttpRoute,
    service: Option<&GrpcRetry>,
    service_timeouts: Timeouts,
    found: &mut Effective,
) {
    let source = Source::GrpcRoute(route.metadata.name.clone());
    let annotations: &Annotations = &route.metadata.annotations;
    let own = grpc_route::retry(annotations).ok().flatten();
    let timeouts = Timeouts::from_annotations(annotations).unwrap_or_default();
    if own.is_some() && service.is_some() {
        found.ignore("Service", "retry.linkerd.io/*", format!("{source} has retry annotations"));
    }
    for (key, why) in [
        (names::RETRY_HTTP, "a GRPCRoute retries by gRPC status"),
        (names::FAILURE_ACCRUAL, "the circuit breaker belongs to the Service"),
    ] {
        if annotations.contains_key(key) {
            found.ignore(&source, key, why);
        }
    }
    let (retry_source, why) = retry_source(own.is_some(), &source);
    let retry = own.as_ref().or(service).map(|(codes, others)| (&**codes, others));
    let mut settings = words::grpc_retries(retry, &retry_source, why);
    let which = format!("requests of {source}");
    settings.push(timeouts_of(timeouts, service_timeouts, source, found));
    found.requests.push(Requests { which, settings });
}
