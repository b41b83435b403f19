//! The rules of Linkerd's ServiceProfile validator, used by its CLI and its webhook.

use super::{ProfileError, RequestMatch, ResponseMatch, ServiceProfile};
use crate::duration;

/// Returns all violated rules, in the order of the fields.
pub(super) fn validate(profile: &ServiceProfile) -> Vec<ProfileError> {
    let mut errors = Errors(Vec::new());
    if !is_dns_subdomain(&profile.metadata.name) {
        errors.add("metadata.name", "invalid name, expected a DNS subdomain");
    }
    for (i, route) in profile.spec.routes.iter().enumerate() {
        let field = format!("spec.routes[{i}]");
        if route.name.is_empty() {
            errors.add(format!("{field}.name"), "must not be empty");
        }
        if let Some(Err(error)) = route.timeout.as_deref().map(duration::go) {
            errors.add(format!("{field}.timeout"), error);
        }
        errors.request(&route.condition, &format!("{field}.condition"));
        for (j, class) in route.response_classes.iter().enumerate() {
            errors.response(&class.condition, &format!("{field}.responseClasses[{j}].condition"));
        }
    }
    if let Some(budget) = &profile.spec.retry_budget {
        if budget.retry_ratio < 0.0 {
            errors.add("spec.retryBudget.retryRatio", "must not be negative");
        }
        if let Err(error) = budget.ttl() {
            errors.add("spec.retryBudget.ttl", error);
        }
    }
    errors.0
}

struct Errors(Vec<ProfileError>);

impl Errors {
    fn add(&mut self, place: impl Into<String>, what: impl ToString) {
        self.0.push(ProfileError { place: place.into(), what: what.to_string() });
    }

    fn request(&mut self, condition: &RequestMatch, field: &str) {
        let RequestMatch { method, path_regex, all, any, not } = condition;
        let is_set = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
        if !is_set(method) && !is_set(path_regex) && all.is_none() && any.is_none() && not.is_none() {
            self.add(field, "must have at least one of method, pathRegex, all, any, not");
        }
        for (name, children) in [("all", all), ("any", any)] {
            for (i, child) in children.iter().flatten().enumerate() {
                self.request(child, &format!("{field}.{name}[{i}]"));
            }
        }
        if let Some(child) = not {
            self.request(child, &format!("{field}.not"));
        }
    }

    fn response(&mut self, condition: &ResponseMatch, field: &str) {
        let ResponseMatch { status, all, any, not } = condition;
        if status.is_none() && all.is_none() && any.is_none() && not.is_none() {
            self.add(field, "must have at least one of status, all, any, not");
        }
        if let Some(range) = status {
            let outside = |status: u32| status != 0 && !(100..=599).contains(&status);
            if outside(range.min) || outside(range.max) {
                self.add(format!("{field}.status"), "must be from 100 to 599");
            } else if range.min != 0 && range.max != 0 && range.max < range.min {
                self.add(format!("{field}.status"), "max must not be less than min");
            }
        }
        for (name, children) in [("all", all), ("any", any)] {
            for (i, child) in children.iter().flatten().enumerate() {
                self.response(child, &format!("{field}.{name}[{i}]"));
            }
        }
        if let Some(child) = not {
            self.response(child, &format!("{field}.not"));
        }
    }
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
