//! A Service without a profile in effect: HTTPRoutes and annotations.

use super::{Effective, Field, Objects, Requests, Setting, Source, words};
use crate::httproute::HttpRoute;
use crate::lint::unsupported_filters;
use crate::policy::{Annotations, Breaker, PolicyError, Retry, Timeouts};
use crate::{duration, names};

/// Adds the routes and the annotations of the Service, and reports what has no effect.
pub(super) fn add(objects: &Objects<'_>, found: &mut Effective) {
    let service_retry = read("Service", Retry::from_annotations(objects.annotations), found).flatten();
    let service_timeouts =
        read("Service", Timeouts::from_annotations(objects.annotations), found).unwrap_or_default();
    let before = found.requests.len();
    for route in objects.routes {
        of_route(route, service_retry.as_ref(), service_timeouts, found);
    }
    let which =
        if found.requests.len() == before { "all requests" } else { "requests that no route matches" };
    if which == "all requests" {
        let why = "no route of the Service sets it";
        let settings = settings(service_retry.as_ref(), service_timeouts, &Source::Service, [why, why]);
        found.requests.push(Requests { which: which.to_owned(), settings });
    } else {
        found.requests.push(Requests { which: which.to_owned(), settings: vec![no_route()] });
    }
    if objects.annotations.contains_key(names::RETRY_GRPC) {
        found.ignore("Service", names::RETRY_GRPC, "it needs a GRPCRoute");
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
    ignored_fields(route, annotations, &object, found);
    let field = route.spec.rules.iter().find_map(|rule| rule.timeouts.request.as_deref());
    let field = field.and_then(|text| duration::go(text).ok()).filter(|time| !time.is_zero());
    let timeouts = Timeouts { request: annotated.request.or(field), ..annotated };
    let own_timeouts = timeouts != Timeouts::default();
    if own_timeouts && service_timeouts != Timeouts::default() {
        found.ignore("Service", "timeout.linkerd.io/*", format!("{object} has timeouts"));
    }
    let of_route = Source::Route(name);
    let (retry_source, why_retry) = match retry {
        Some(_) => (of_route.clone(), "the route's retry annotations replace the Service's"),
        None => (Source::Service, "the route has no retry annotation"),
    };
    let (time_source, why_time) = match own_timeouts {
        true => (of_route, "the route's timeouts replace the Service's"),
        false => (Source::Service, "the route has no timeout"),
    };
    let mut all =
        settings(retry.as_ref().or(service_retry), Timeouts::default(), &retry_source, [why_retry, why_time]);
    all.pop();
    let timeouts = if own_timeouts { timeouts } else { service_timeouts };
    all.push(words::timeouts(timeouts, &time_source, why_time));
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

/// Returns the value of annotations; an invalid one is reported as without effect.
fn read<T>(object: &str, value: Result<T, PolicyError>, found: &mut Effective) -> Option<T> {
    value.map_err(|error| found.ignore(object, error.key, error.what)).ok()
}
