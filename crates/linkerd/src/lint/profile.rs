//! Checks of a ServiceProfile.

use serde_json::{Value, json};

use super::shape::{self, Mistake};
use super::{Sink, World, regexes, retries, shadow, shapes};
use crate::names;
use crate::policy::Annotations;
use crate::profile::{Budget, BudgetError, METHODS, RequestMatch, ResponseMatch, ServiceProfile};

pub(super) fn lint(world: &World, sink: &mut Sink<'_>) {
    let (object, mistakes) = repaired(sink.object());
    for (place, what) in &mistakes {
        let todo = "correct the field; `meshy sp show` prints a complete profile";
        sink.add("profile-invalid", place.as_str(), what.as_str(), todo);
    }
    let others = sink.found.len();
    match ServiceProfile::read_leniently(&object) {
        Ok(profile) => contents(world, sink, &profile),
        Err(error) => sink.add("profile-invalid", "metadata", error.to_string(), "correct the field"),
    }
    // A field that could not be read got an empty value, about which there is nothing more to report.
    let mut index = 0;
    sink.found.retain(|finding| {
        index += 1;
        let field = &finding.place.field;
        let caused =
            |place: &str| below(field, place) || finding.id == "profile-invalid" && below(place, field);
        index <= others || !mistakes.iter().any(|(place, _)| caused(place))
    });
}

/// Returns whether a field is `place` or below it.
fn below(field: &str, place: &str) -> bool {
    field.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Returns a profile whose spec can be read, and what was wrong with it.
fn repaired(object: &Value) -> (Value, Vec<Mistake>) {
    let mut object = object.clone();
    let mut mistakes = match object.get_mut("spec") {
        Some(Value::Null) | None => Vec::new(),
        Some(spec) => shape::repair(spec, &shapes::PROFILE, "spec"),
    };
    if object["spec"].is_null() {
        object["spec"] = json!({});
    }
    let name = object.pointer("/metadata/name");
    if !name.is_some_and(Value::is_string) {
        let what = name.map_or("missing".to_owned(), |name| format!("invalid value `{name}`, expected text"));
        mistakes.push(("metadata.name".to_owned(), what));
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
        object["metadata"] = json!({"name": "", "namespace": namespace});
    }
    (object, mistakes)
}

fn contents(world: &World, sink: &mut Sink<'_>, profile: &ServiceProfile) {
    for error in profile.violations() {
        // The retry budget has separate rules with better messages.
        if !error.place.starts_with("spec.retryBudget") {
            sink.add("profile-invalid", error.place, error.what, "correct the field");
        }
    }
    named_service(world, sink, profile);
    for (i, route) in profile.spec.routes.iter().enumerate() {
        let at = format!("spec.routes[{i}]");
        condition(sink, &route.condition, &format!("{at}.condition"));
        if route.is_retryable {
            let methods = shadow::methods(&route.condition);
            let any = route.condition.any.iter().flatten().flat_map(shadow::methods);
            let field = format!("{at}.isRetryable");
            retries::idempotent(sink, methods.into_iter().chain(any), &route.name, field);
        }
        for (j, class) in route.response_classes.iter().enumerate() {
            statuses(sink, &class.condition, &format!("{at}.responseClasses[{j}].condition"));
        }
        if let Some(earlier) =
            profile.spec.routes[..i].iter().find(|e| shadow::covers(&e.condition, &route.condition))
        {
            sink.add(
                "route-shadowed",
                at,
                format!(
                    "route `{}` follows `{}`, which matches all of its requests",
                    route.name, earlier.name
                ),
                format!(
                    "move `{}` before `{}`, or make `{}` more specific",
                    route.name, earlier.name, earlier.name
                ),
            );
        }
    }
    if let Some(retry_budget) = &profile.spec.retry_budget {
        budget(sink, retry_budget);
        if !profile.spec.routes.iter().any(|route| route.is_retryable) {
            sink.add(
                "budget-unused",
                "spec.retryBudget",
                "no route has `isRetryable: true`",
                "set `isRetryable: true` on the routes to retry",
            );
        }
    }
}

fn named_service(world: &World, sink: &mut Sink<'_>, profile: &ServiceProfile) {
    let name = &profile.metadata.name;
    let Some((service, namespace)) = profile.service() else {
        let first = name.split('.').next().unwrap_or_default();
        let namespace = profile.metadata.namespace.as_deref().unwrap_or("default");
        let expected = names::service_fqdn(first, namespace);
        return sink.add(
            "profile-name",
            "metadata.name",
            format!("`{name}` is not the full DNS name of a service"),
            format!("rename it to `{expected}`"),
        );
    };
    match world.service(service, namespace) {
        None if world.is_complete() => sink.add(
            "service-absent",
            "metadata.name",
            format!("service `{service}` not found in namespace `{namespace}`"),
            "create the service, or correct the name",
        ),
        None => {}
        Some(item) => {
            if item.object.pointer("/spec/clusterIP").and_then(|ip| ip.as_str()) == Some("None") {
                sink.add(
                    "service-headless",
                    "metadata.name",
                    format!("service `{service}` is headless"),
                    "create a service with a cluster IP for the clients",
                );
            } else if !world.has_meshed_clients(item) {
                sink.add(
                    "clients-absent",
                    "metadata.name",
                    format!("only pods of `{service}` have a proxy"),
                    "inject the proxy into the clients: `meshy inject deploy/NAME`, or `meshy inject` for the ingress controller",
                );
            }
            if profile.replaces_policy() {
                overridden_policy(world, sink, service, namespace, &item.annotations(""));
            }
        }
    }
}

fn overridden_policy(
    world: &World,
    sink: &mut Sink<'_>,
    service: &str,
    namespace: &str,
    annotations: &Annotations,
) {
    let prefixes = ["retry.linkerd.io/", "timeout.linkerd.io/", names::FAILURE_ACCRUAL];
    let policy = annotations.keys().filter(|key| prefixes.iter().any(|p| key.starts_with(p)));
    let mut overridden: Vec<String> = policy.map(|key| format!("annotation `{key}`")).collect();
    overridden
        .extend(world.routes_of(service, namespace).iter().map(|r| format!("{} `{}`", r.kind(), r.name())));
    if !overridden.is_empty() {
        sink.add(
            "profile-overrides-policy",
            "spec.routes",
            format!("service `{service}` also has {}, which the profile overrides", overridden.join(", ")),
            "keep one of them: `meshy sp delete`, or `meshy retry delete`",
        );
    }
}

fn budget(sink: &mut Sink<'_>, budget: &Budget) {
    match budget.validate() {
        Err(error @ (BudgetError::Ttl(_) | BudgetError::TtlRange(_))) => {
            sink.add("budget-ttl", "spec.retryBudget.ttl", error.to_string(), "set a ttl from 1s to 60s");
        }
        Err(error @ BudgetError::Ratio(_)) => {
            sink.add(
                "budget-ratio",
                "spec.retryBudget.retryRatio",
                error.to_string(),
                "set a ratio from 0 to 1000; the default is 0.2",
            );
        }
        Ok(_) => {
            if budget.retry_ratio > 1.0 {
                sink.add(
                    "budget-ratio-high",
                    "spec.retryBudget.retryRatio",
                    format!("retryRatio {0} allows {0} retries per request", budget.retry_ratio),
                    "set a ratio of at most 1; the default is 0.2",
                );
                return;
            }
            let (ratio, effective) = (budget.retry_ratio, f64::from(budget.effective_ratio()));
            if (effective - ratio).abs() > ratio.abs() * 0.01 {
                sink.add(
                    "budget-rounding",
                    "spec.retryBudget.retryRatio",
                    format!("the proxy rounds retryRatio {ratio} to {effective:.3}"),
                    format!("write {effective:.3}, or a ratio of the form 1/n"),
                );
            }
        }
    }
}

fn condition(sink: &mut Sink<'_>, condition: &RequestMatch, at: &str) {
    if let Some(method) = &condition.method
        && !method.is_empty()
        && !METHODS.contains(&method.as_str())
    {
        sink.add(
            "method-unknown",
            format!("{at}.method"),
            format!("HTTP has no method `{method}`"),
            format!("write one of {}", METHODS.join(", ")),
        );
    }
    if let Some(regex) = &condition.path_regex {
        regexes::lint(sink, regex, &format!("{at}.pathRegex"));
    }
    for (field, children) in [("all", &condition.all), ("any", &condition.any)] {
        for (i, child) in children.iter().flatten().enumerate() {
            self::condition(sink, child, &format!("{at}.{field}[{i}]"));
        }
    }
    if let Some(child) = &condition.not {
        self::condition(sink, child, &format!("{at}.not"));
    }
}

fn statuses(sink: &mut Sink<'_>, condition: &ResponseMatch, at: &str) {
    if let Some(range) = condition.status
        && range.max == 0
    {
        sink.add(
            "status-range",
            format!("{at}.status"),
            format!("min is {} and max is not set", range.min),
            "set both min and max",
        );
    }
    for (field, children) in [("all", &condition.all), ("any", &condition.any)] {
        for (i, child) in children.iter().flatten().enumerate() {
            statuses(sink, child, &format!("{at}.{field}[{i}]"));
        }
    }
    if let Some(child) = &condition.not {
        statuses(sink, child, &format!("{at}.not"));
    }
}
