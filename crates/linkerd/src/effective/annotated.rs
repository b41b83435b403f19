//! A Service without a profile in effect: routes and annotations.

use super::inherit::{read, retry_source, timeouts_of};
use super::{Effective, Field, Objects, Requests, Setting, Source, grpc, words};
use crate::httproute::HttpRoute;
use crate::lint::unsupported_filters;
use crate::policy::{Annotations, Breaker, Retry, Timeouts};
use crate::{duration, names};

/// Adds the routes and the annotations of the Service, and reports what has no effect.
pub(super) fn add(objects: &Objects<'_>, found: &mut Effective) {
    let service_retry = read("Service", Retry::from_annotations(objects.annotations), found).flatten();
    let service_timeouts =
        read("Service", Timeouts::from_annotations(objects.annotations), found).unwrap_or_default();
    if !grpc::add(objects, service_timeouts, found) {
        for route in objects.routes {
            of_route(route, service_retry.as_ref(), service_timeouts, found);
        }
        let (which, settings) = match found.requests.is_empty() {
            true => {
                let why = "no route of the Service sets it";
                let source = Source::Service;
                ("all requests", settings(service_retry.as_ref(), service_timeouts, &source, [why, why]))
            }
            false => ("requests that no route matches", vec![no_route()]),
        };
        found.requests.push(Requests { which: which.to_owned(), settings });
        if objects.annotations.contains_key(names::RETRY_GRPC) {
            found.ignore("Service", names::RETRY_GRPC, "it needs a GRPCRoute");
        }
    }
    let breaker = read("Service", Breaker::from_annotations(objects.annotations), found).flatten();
    found.shared.push(words::breaker(breaker.as_ref()));
}

/// A Service with HTTPRoutes responds with 404 to requests that none of them matches.
fn no_route() -> Setting {
    Setting {
        field: Field::Retries,
        value: "none: the proxy responds with 404".to_owned(),
        source: Source::Default,
        why: "a Service with routes has no default route",
    }
}

fn of_route(
    route: &HttpRoute,
    service_retry: Option<&Retry>,
    service_timeouts: Timeouts,
    found: &mut Effective,
) {
    let (name, object) = (route.metadata.name.clone(), format!("HTTPRoute {}", route.metadata.name));
    if let Some(filter) = unsupported_filters(route).next() {
        found.ignore(object, "all fields", format!("Linkerd does not implement the filter {filter}"));
        return;
    }
    let annotations = &route.metadata.annotations;
    let (Some(retry), Some(annotated)) = (
        read(&object, Retry::from_annotations(annotations), found),
        read(&object, Timeouts::from_annotations(annotations), found),
    ) else {
        return;
    };
    if retry.is_some() && service_retry.is_some() {
        let why = format!("{object} has retry annotations");
        found.ignore("Service", "retry.linkerd.io/*", why);
    }
    if annotations.contains_key(names::RETRY_GRPC) {
        found.ignore(&object, names::RETRY_GRPC, "an HTTPRoute retries by HTTP status");
    }
    ignored_fields(route, annotations, &object, found);
    let field = route.spec.rules.iter().find_map(|rule| rule.timeouts.request.as_deref());
    let field = field.and_then(|text| duration::go(text).ok()).filter(|time| !time.is_zero());
    let timeouts = Timeouts { request: annotated.request.or(field), ..annotated };
    let of_route = Source::Route(name);
    let (source, why) = retry_source(retry.is_some(), &of_route);
    let mut all = words::retries(retry.as_ref().or(service_retry), &source, why);
    all.push(timeouts_of(timeouts, service_timeouts, of_route, found));
    found.requests.push(Requests { which: format!("requests of {object}"), settings: all });
}

/// Reports the fields and annotations of a route that Linkerd does not read.
fn ignored_fields(route: &HttpRoute, annotations: &Annotations, object: &str, found: &mut Effective) {
    if route.spec.rules.iter().any(|rule| rule.timeouts.backend_request.is_some()) {
        found.ignore(object, "timeouts.backendRequest", "Linkerd does not read it");
    }
    if annotations.contains_key(names::TIMEOUT_REQUEST)
        && route.spec.rules.iter().any(|rule| rule.timeouts.request.is_some())
    {
        found.ignore(
            object,
            "timeouts.request",
            format!("the annotation {} replaces it", names::TIMEOUT_REQUEST),
        );
    }
    if annotations.contains_key(names::FAILURE_ACCRUAL) {
        found.ignore(object, names::FAILURE_ACCRUAL, "the circuit breaker belongs to the Service");
    }
}

fn settings(
    retry: Option<&Retry>,
    timeouts: Timeouts,
    source: &Source,
    [why_retry, why_time]: [&'static str; 2],
) -> Vec<Setting> {
    let mut settings = words::retries(retry, source, why_retry);
    settings.push(words::timeouts(timeouts, source, why_time));
    settings
}
