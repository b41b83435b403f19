//! What can be wrong with a ServiceProfile.

use super::{Sink, World, regexes, shadow};
use crate::names;
use crate::policy::Annotations;
use crate::profile::{Budget, BudgetFault, RequestMatch, ResponseMatch, ServiceProfile};

pub(super) fn lint(world: &World, sink: &mut Sink<'_>) {
    let profile = match ServiceProfile::read_leniently(sink.object()) {
        Ok(profile) => profile,
        Err(error) => {
            return sink.add(
                "profile-invalid",
                "spec",
                error.to_string(),
                "correct the field; `meshy sp show` prints a whole profile",
            );
        }
    };
    if let Err(error) = ServiceProfile::from_value(sink.object())
        // A budget's faults have rules of their own, which say more.
        && !error.place.starts_with("spec.retryBudget")
    {
        sink.add("profile-invalid", error.place, error.what, "correct the field");
    }
    named_service(world, sink, &profile);
    for (i, route) in profile.spec.routes.iter().enumerate() {
        let at = format!("spec.routes[{i}]");
        condition(sink, &route.condition, &format!("{at}.condition"));
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
                    "route `{}` comes after `{}`, which takes all of its requests",
                    route.name, earlier.name
                ),
                format!("move `{}` before `{}`, or narrow the earlier one", route.name, earlier.name),
            );
        }
    }
    if let Some(given) = &profile.spec.retry_budget {
        budget(sink, given);
        if !profile.spec.routes.iter().any(|route| route.is_retryable) {
            sink.add(
                "budget-unused",
                "spec.retryBudget",
                "no route says `isRetryable: true`",
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
        let likely = names::service_fqdn(first, namespace);
        return sink.add(
            "profile-name",
            "metadata.name",
            format!("`{name}` is not a service's full name"),
            format!("call it `{likely}`"),
        );
    };
    match world.service(service, namespace) {
        None if world.is_complete() => sink.add(
            "service-absent",
            "metadata.name",
            format!("there is no service `{service}` in namespace `{namespace}`"),
            "deploy the service, or correct the name",
        ),
        None => {}
        Some(item) => {
            if item.object.pointer("/spec/clusterIP").and_then(|ip| ip.as_str()) == Some("None") {
                sink.add(
                    "service-headless",
                    "metadata.name",
                    format!("service `{service}` is headless"),
                    "give clients a service with a cluster IP",
                );
            } else if !world.has_meshed_clients(item) {
                sink.add(
                    "clients-absent",
                    "metadata.name",
                    format!("no pod but those of `{service}` has a proxy"),
                    "mesh the clients: `meshy inject deploy/NAME`, or `meshy inject` for the ingress controller",
                );
            }
            if profile.replaces_policy() {
                beside_policy(world, sink, service, namespace, &item.annotations(""));
            }
        }
    }
}

fn beside_policy(
    world: &World,
    sink: &mut Sink<'_>,
    service: &str,
    namespace: &str,
    annotations: &Annotations,
) {
    let prefixes = ["retry.linkerd.io/", "timeout.linkerd.io/", names::FAILURE_ACCRUAL];
    let policy = annotations.keys().filter(|key| prefixes.iter().any(|p| key.starts_with(p)));
    let mut silenced: Vec<String> = policy.map(|key| format!("annotation `{key}`")).collect();
    silenced
        .extend(world.routes_of(service, namespace).iter().map(|r| format!("{} `{}`", r.kind(), r.name())));
    if !silenced.is_empty() {
        sink.add(
            "profile-beside-policy",
            "spec.routes",
            format!("service `{service}` also has {}, which the profile switches off", silenced.join(", ")),
            "keep one dialect: `meshy sp delete`, or `meshy retry delete`",
        );
    }
}

fn budget(sink: &mut Sink<'_>, budget: &Budget) {
    match budget.validity() {
        Err(fault @ (BudgetFault::Ttl(_) | BudgetFault::TtlRange(_))) => {
            sink.add("budget-ttl", "spec.retryBudget.ttl", fault.to_string(), "write a ttl from 1s to 60s");
        }
        Err(fault @ BudgetFault::Ratio(_)) => {
            sink.add(
                "budget-ratio",
                "spec.retryBudget.retryRatio",
                fault.to_string(),
                "write a ratio from 0 to 1000; 0.2 is usual",
            );
        }
        Ok(_) => {
            let (said, acts) = (budget.retry_ratio, f64::from(budget.effective_ratio()));
            if (acts - said).abs() > said.abs() * 0.01 {
                sink.add(
                    "budget-rounding",
                    "spec.retryBudget.retryRatio",
                    format!("retryRatio {said} acts as {acts:.3}"),
                    format!("write {acts:.3}, or a ratio of the form 1/n"),
                );
            }
        }
    }
}

fn condition(sink: &mut Sink<'_>, condition: &RequestMatch, at: &str) {
    if let Some(method) = &condition.method
        && !method.is_empty()
        && method.chars().any(|c| !c.is_ascii_uppercase() && c != '-')
    {
        let todo = format!("write `{}`", method.to_uppercase());
        sink.add("method-unknown", format!("{at}.method"), format!("method `{method}`"), todo);
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
            format!("min {} without a max", range.min),
            "write both ends",
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
