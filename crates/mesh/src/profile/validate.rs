//! The rules of Linkerd's validator for profiles, which its CLI and its webhook share.

use super::{ProfileError, RequestMatch, ResponseMatch, ServiceProfile};
use crate::duration;

pub(super) fn validate(profile: &ServiceProfile) -> Result<(), ProfileError> {
    if !is_dns_subdomain(&profile.metadata.name) {
        return fault("metadata.name", "is not a DNS name");
    }
    for (i, route) in profile.spec.routes.iter().enumerate() {
        let at = format!("spec.routes[{i}]");
        if route.name.is_empty() {
            return fault(format!("{at}.name"), "is empty");
        }
        if let Some(timeout) = &route.timeout {
            duration::go(timeout).or_else(|e| fault(format!("{at}.timeout"), e))?;
        }
        request(&route.condition, &format!("{at}.condition"))?;
        for (j, class) in route.response_classes.iter().enumerate() {
            response(&class.condition, &format!("{at}.responseClasses[{j}].condition"))?;
        }
    }
    if let Some(budget) = &profile.spec.retry_budget {
        if budget.retry_ratio < 0.0 {
            return fault("spec.retryBudget.retryRatio", "is negative");
        }
        budget.ttl().map(drop).or_else(|e| fault("spec.retryBudget.ttl", e))?;
    }
    Ok(())
}

fn request(condition: &RequestMatch, at: &str) -> Result<(), ProfileError> {
    let RequestMatch { method, path_regex, all, any, not } = condition;
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
    if !filled(method) && !filled(path_regex) && all.is_none() && any.is_none() && not.is_none() {
        return fault(at, "has none of method, pathRegex, all, any, not");
    }
    for (field, children) in [("all", all), ("any", any)] {
        for (i, child) in children.iter().flatten().enumerate() {
            request(child, &format!("{at}.{field}[{i}]"))?;
        }
    }
    not.as_ref().map_or(Ok(()), |child| request(child, &format!("{at}.not")))
}

fn response(condition: &ResponseMatch, at: &str) -> Result<(), ProfileError> {
    let ResponseMatch { status, all, any, not } = condition;
    if status.is_none() && all.is_none() && any.is_none() && not.is_none() {
        return fault(at, "has none of status, all, any, not");
    }
    if let Some(range) = status {
        let outside = |status: u32| status != 0 && !(100..=599).contains(&status);
        if outside(range.min) || outside(range.max) {
            return fault(format!("{at}.status"), "is outside 100 to 599");
        }
        if range.min != 0 && range.max != 0 && range.max < range.min {
            return fault(format!("{at}.status"), "ends before it begins");
        }
    }
    for (field, children) in [("all", all), ("any", any)] {
        for (i, child) in children.iter().flatten().enumerate() {
            response(child, &format!("{at}.{field}[{i}]"))?;
        }
    }
    not.as_ref().map_or(Ok(()), |child| response(child, &format!("{at}.not")))
}

fn fault<T>(place: impl Into<String>, what: impl ToString) -> Result<T, ProfileError> {
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
