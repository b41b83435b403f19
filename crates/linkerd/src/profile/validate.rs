//! The rules of Linkerd's ServiceProfile validator, used by its CLI and its webhook.

use super::{ProfileError, RequestMatch, ResponseMatch, ServiceProfile};
use crate::duration;

pub(super) fn validate(profile: &ServiceProfile) -> Result<(), ProfileError> {
    if !is_dns_subdomain(&profile.metadata.name) {
        return invalid("metadata.name", "invalid name, expected a DNS subdomain");
    }
    for (i, route) in profile.spec.routes.iter().enumerate() {
        let field = format!("spec.routes[{i}]");
        if route.name.is_empty() {
            return invalid(format!("{field}.name"), "must not be empty");
        }
        if let Some(timeout) = &route.timeout {
            duration::go(timeout).or_else(|e| invalid(format!("{field}.timeout"), e))?;
        }
        request(&route.condition, &format!("{field}.condition"))?;
        for (j, class) in route.response_classes.iter().enumerate() {
            response(&class.condition, &format!("{field}.responseClasses[{j}].condition"))?;
        }
    }
    if let Some(budget) = &profile.spec.retry_budget {
        if budget.retry_ratio < 0.0 {
            return invalid("spec.retryBudget.retryRatio", "must not be negative");
        }
        budget.ttl().map(drop).or_else(|e| invalid("spec.retryBudget.ttl", e))?;
    }
    Ok(())
}

fn request(condition: &RequestMatch, field: &str) -> Result<(), ProfileError> {
    let RequestMatch { method, path_regex, all, any, not } = condition;
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
    if !is_set(method) && !is_set(path_regex) && all.is_none() && any.is_none() && not.is_none() {
        return invalid(field, "must have at least one of method, pathRegex, all, any, not");
    }
    for (name, children) in [("all", all), ("any", any)] {
        for (i, child) in children.iter().flatten().enumerate() {
            request(child, &format!("{field}.{name}[{i}]"))?;
        }
    }
    not.as_ref().map_or(Ok(()), |child| request(child, &format!("{field}.not")))
}

fn response(condition: &ResponseMatch, field: &str) -> Result<(), ProfileError> {
    let ResponseMatch { status, all, any, not } = condition;
    if status.is_none() && all.is_none() && any.is_none() && not.is_none() {
        return invalid(field, "must have at least one of status, all, any, not");
    }
    if let Some(range) = status {
        let outside = |status: u32| status != 0 && !(100..=599).contains(&status);
        if outside(range.min) || outside(range.max) {
            return invalid(format!("{field}.status"), "must be from 100 to 599");
        }
        if range.min != 0 && range.max != 0 && range.max < range.min {
            return invalid(format!("{field}.status"), "max must not be less than min");
        }
    }
    for (name, children) in [("all", all), ("any", any)] {
        for (i, child) in children.iter().flatten().enumerate() {
            response(child, &format!("{field}.{name}[{i}]"))?;
        }
    }
    not.as_ref().map_or(Ok(()), |child| response(child, &format!("{field}.not")))
}

fn invalid<T>(place: impl Into<String>, what: impl ToString) -> Result<T, ProfileError> {
    Err(ProfileError { place: place.into(), what: what.to_string() })
}

fn is_dns_subdomain(name: &str) -> bool {
    let label = |label: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(label.chars().next())
            && edge(label.chars().next_back())
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
