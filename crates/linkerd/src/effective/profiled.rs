//! A Service whose ServiceProfile is in effect.

use super::{Effective, Field, Objects, Requests, Setting, Source};
use crate::profile::{Route, ServiceProfile};

const WHY: &str = "a ServiceProfile with routes replaces annotations and routes";

/// Adds the routes of the profile, and reports what it replaces.
pub(super) fn add(objects: &Objects<'_>, profile: &ServiceProfile, found: &mut Effective) {
    for route in &profile.spec.routes {
        let settings = settings(route, profile);
        found.requests.push(Requests { which: format!("ServiceProfile route {}", route.name), settings });
    }
    let none = |field, value: &str| Setting {
        field,
        value: value.to_owned(),
        source: Source::Profile,
        why: "no route of the profile matches",
    };
    found.requests.push(Requests {
        which: "all other requests".to_owned(),
        settings: vec![none(Field::Retries, "none"), none(Field::Timeouts, "none")],
    });
    found.shared.push(Setting {
        field: Field::Breaker,
        value: "none".to_owned(),
        source: Source::Profile,
        why: "clients with a profile use no circuit breaker",
    });
    for prefix in ["retry.linkerd.io/", "timeout.linkerd.io/", "balancer."] {
        if let Some(key) = objects.annotations.keys().find(|key| key.starts_with(prefix)) {
            let group = key.split('/').next().unwrap_or_default();
            found.ignore("Service", format!("{group}/*"), "the ServiceProfile replaces it");
        }
    }
    let routes = objects.routes.iter().map(|route| ("HTTPRoute", route));
    for (kind, route) in routes.chain(objects.grpc_routes.iter().map(|route| ("GRPCRoute", route))) {
        let object = format!("{kind} {}", route.metadata.name);
        found.ignore(object, "all fields", "the ServiceProfile replaces it");
    }
    if profile.spec.retry_budget.is_some() && !profile.spec.routes.iter().any(|route| route.is_retryable) {
        found.ignore("ServiceProfile", "spec.retryBudget", "no route is retryable");
    }
}

fn settings(route: &Route, profile: &ServiceProfile) -> Vec<Setting> {
    let setting = |field, value: String| Setting { field, value, source: Source::Profile, why: WHY };
    let timeout = route.timeout().map_or("none".to_owned(), |timeout| format!("{timeout:?} per request"));
    let mut settings = Vec::new();
    if route.is_retryable {
        let classes = match route.response_classes.len() {
            0 => "5xx".to_owned(),
            _ => "failures by the route's response classes".to_owned(),
        };
        let budget = profile.budget().in_words();
        let budget = budget.split(';').next().unwrap_or_default().to_owned();
        settings.extend([setting(Field::Retries, classes), setting(Field::Limit, budget)]);
    } else {
        settings.push(setting(Field::Retries, "none".to_owned()));
    }
    settings.push(setting(Field::Timeouts, timeout));
    settings
}
