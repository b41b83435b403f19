//! Policies on the edges of a call graph that multiply load or cannot work.

mod consecutive;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::values::format_duration;

/// The policy of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EdgePolicy {
    /// The most retries of a request; `None`: without limit (a retry budget alone), 0: no retries.
    pub retry_limit: Option<u32>,
    /// Whether a retry budget bounds the retries.
    pub budget: bool,
    /// The timeout over all attempts.
    pub request_timeout: Option<Duration>,
    /// The response timeout: of each attempt, which is not retried after it.
    pub response_timeout: Option<Duration>,
    /// The retry timeout: of each attempt but the last, which is retried after it.
    pub retry_timeout: Option<Duration>,
}

/// An edge of a call graph and its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyEdge {
    /// The calling service.
    pub from: String,
    /// The called service.
    pub to: String,
    /// The policy that the caller's proxy applies.
    pub policy: EdgePolicy,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Consecutive edges retry, so that the attempts multiply.
    ConsecutiveRetries,
    /// The attempts of an inner edge take longer than the outer edge waits.
    InnerTimeout,
    /// An edge retries without a timeout.
    RetriesWithoutTimeout,
    /// Several clients retry against a service without a budget.
    SharedServiceWithoutBudget,
}

/// A problem of the policies of a call graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub rule: Rule,
    /// The services along the edges concerned, the caller first.
    pub path: Vec<String>,
    /// What can happen, with numbers.
    pub message: String,
}

impl Rule {
    /// Returns the id of the rule in outputs.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::ConsecutiveRetries => "consecutive-retries",
            Self::InnerTimeout => "inner-timeout",
            Self::RetriesWithoutTimeout => "retries-without-timeout",
            Self::SharedServiceWithoutBudget => "shared-service-without-budget",
        }
    }
}

impl EdgePolicy {
    /// Returns when the first of a request's attempts ends at the latest.
    fn attempt_bound(&self) -> Option<Duration> {
        [self.response_timeout, self.retry_timeout].into_iter().flatten().min()
    }

    /// Returns whether the edge may retry.
    fn retries(&self) -> bool {
        self.retry_limit.map_or(self.budget, |limit| limit > 0)
    }

    /// Returns the most attempts of a request: `None` if only a budget bounds them.
    fn attempts(&self) -> Option<u64> {
        match self.retry_limit {
            Some(limit) => Some(u64::from(limit) + 1),
            None if self.budget => None,
            None => Some(1),
        }
    }
}

/// Returns the problems of the policies of a call graph, by rule and in the order of the edges. The graph may have cycles.
#[must_use]
pub fn lint(edges: &[PolicyEdge]) -> Vec<Finding> {
    let mut found = consecutive::consecutive_retries(edges);
    found.extend(inner_timeouts(edges));
    found.extend(edges.iter().filter_map(without_timeout));
    found.extend(without_budget(edges));
    found
}

fn without_timeout(edge: &PolicyEdge) -> Option<Finding> {
    let policy = &edge.policy;
    let is_bounded = policy.request_timeout.is_some() || policy.response_timeout.is_some();
    (policy.retries() && !is_bounded).then(|| Finding {
        rule: Rule::RetriesWithoutTimeout,
        path: vec![edge.from.clone(), edge.to.clone()],
        message: format!(
            "retries from `{}` to `{}` have no timeout: a slow `{}` keeps its clients waiting",
            edge.from, edge.to, edge.to
        ),
    })
}

fn without_budget(edges: &[PolicyEdge]) -> Vec<Finding> {
    let mut clients: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| edge.policy.retries() && !edge.policy.budget) {
        clients.entry(&edge.to).or_default().insert(&edge.from);
    }
    let shared = clients.into_iter().filter(|(_, clients)| clients.len() > 1);
    shared
        .map(|(to, clients)| {
            let names: Vec<String> = clients.iter().map(|name| format!("`{name}`")).collect();
            let mut path: Vec<String> = clients.iter().map(|&name| name.to_owned()).collect();
            path.push(to.to_owned());
            Finding {
                rule: Rule::SharedServiceWithoutBudget,
                path,
                message: format!(
                    "{} retry against `{to}` with a limit and no budget: when `{to}` is overloaded, all add load",
                    names.join(" and ")
                ),
            }
        })
        .collect()
}

/// Pairs of consecutive edges whose inner attempts may take longer than the outer edge waits.
fn inner_timeouts(edges: &[PolicyEdge]) -> Vec<Finding> {
    let mut found = Vec::new();
    for outer in edges {
        // The timeout of an attempt ends it; without one, the request timeout ends the last.
        let waits = outer.policy.attempt_bound().or(outer.policy.request_timeout);
        let Some(waits) = waits else { continue };
        for inner in edges.iter().filter(|inner| inner.from == outer.to) {
            let Some((longest, formula)) = longest(&inner.policy).filter(|(longest, _)| *longest > waits)
            else {
                continue;
            };
            found.push(Finding {
                rule: Rule::InnerTimeout,
                path: vec![outer.from.clone(), outer.to.clone(), inner.to.clone()],
                message: format!(
                    "`{}` waits up to {} for `{}` ({formula}), longer than `{}` waits for `{}` ({}): the work is wasted",
                    inner.from,
                    format_duration(longest),
                    inner.to,
                    outer.from,
                    outer.to,
                    format_duration(waits),
                ),
            });
        }
    }
    found
}

/// Returns how long all attempts of an edge may take, and how it is computed.
fn longest(policy: &EdgePolicy) -> Option<(Duration, String)> {
    let attempts = policy.attempts().and_then(|attempts| u32::try_from(attempts).ok());
    let by_attempts = policy.attempt_bound().zip(attempts).and_then(|(timeout, attempts)| {
        let formula = format!("{attempts} attempts × {}", format_duration(timeout));
        timeout.checked_mul(attempts).map(|longest| (longest, formula))
    });
    let by_request = policy.request_timeout.map(|timeout| (timeout, "its request timeout".to_owned()));
    match (by_attempts, by_request) {
        (Some(attempts), Some(request)) => Some(if attempts.0 < request.0 { attempts } else { request }),
        (attempts, request) => attempts.or(request),
    }
}
