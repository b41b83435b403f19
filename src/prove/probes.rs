//! The requests of a proof: a path for each route of a profile and one that no route matches, sent to a service that behaves in
//! several ways.

use std::time::Duration;

use meshy_linkerd::expression;
use meshy_linkerd::profile::{RequestMatch, ResponseMatch, ServiceProfile};
use meshy_policy::test_service::{Delay, Distribution, FaultChange};
use serde::Serialize;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Probe {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
}

/// How the service behaves, and how many requests of each probe are sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mode {
    /// The name of the mode in outputs.
    pub name: String,
    /// The change of the service's faults.
    pub fault: FaultChange,
    /// Requests of each probe.
    pub count: usize,
    /// Each request waits for the response to the one before.
    pub in_turn: bool,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The requests.
    pub probes: Vec<Probe>,
    /// The behaviours, in this order.
    pub modes: Vec<Mode>,
}

/// Requests of each probe while the service fails: more than the consecutive failures that open a circuit breaker.
const FAILING: usize = 20;

/// Requests of each probe in the other modes.
const FEW: usize = 10;

/// A path that no route of a reasonable profile names.
const UNMATCHED: &str = "/meshy/no-route";

/// Returns what is sent for a profile whose budget becomes a limit of so many retries.
pub(crate) fn plan(profile: &ServiceProfile, limit: u16) -> Plan {
    let mode = |name: String, fault: FaultChange, count| Mode { name, fault, count, in_turn: false };
    let good = FaultChange { reset: true, ..FaultChange::default() };
    let in_turn = |statuses: &[u16]| FaultChange { sequence: Some(statuses.to_vec()), ..good.clone() };
    let mut modes = vec![mode("good".to_owned(), good.clone(), FEW)];
    for status in class_statuses(profile) {
        modes.push(mode(format!("responds {status}"), in_turn(&[status]), FEW));
    }
    if profile.spec.routes.iter().any(|route| route.is_retryable) {
        let other = mode("fails every other request".to_owned(), in_turn(&[500, 200]), FEW);
        modes.push(Mode { in_turn: true, ..other });
    }
    let timeouts = profile.spec.routes.iter().filter_map(|route| route.timeout());
    if let Some(shortest) = timeouts.filter(|timeout| *timeout > Duration::ZERO).min() {
        let delay = shortest.as_secs_f64() * 1300.0;
        let fixed = Delay { mean_ms: delay, distribution: Distribution::Fixed };
        let fault = FaultChange { delay: Some(Some(fixed)), ..good.clone() };
        modes.push(mode(format!("takes {delay:.0} ms"), fault, 2));
    }
    // A budget whose reserve gives each request as many retries as the limit would hide the difference.
    let budget = profile.budget();
    let seconds = budget.ttl().unwrap_or_default().as_secs();
    let reserve = u64::from(budget.min_retries_per_second) * seconds;
    let count = if reserve == u64::from(limit) * FAILING as u64 { FAILING + 5 } else { FAILING };
    modes.push(mode("fails".to_owned(), in_turn(&[500]), count));
    Plan { probes: probes(profile), modes }
}

/// Returns a request for each route whose expression a path can be derived from, and one that no route matches.
fn probes(profile: &ServiceProfile) -> Vec<Probe> {
    let mut probes: Vec<Probe> =
        profile.spec.routes.iter().filter_map(|route| of_condition(&route.condition)).collect();
    probes.push(Probe { method: "GET".to_owned(), path: UNMATCHED.to_owned() });
    probes.sort();
    probes.dedup();
    probes
}

fn of_condition(condition: &RequestMatch) -> Option<Probe> {
    let parts = condition.all.iter().flatten().chain(condition.any.iter().flatten());
    let inner: Vec<Probe> = parts.filter_map(of_condition).collect();
    let method = condition.method.clone().or_else(|| inner.first().map(|probe| probe.method.clone()));
    let path = match &condition.path_regex {
        Some(regex) => sample(regex)?,
        None => inner.first().map_or_else(|| "/".to_owned(), |probe| probe.path.clone()),
    };
    Some(Probe { method: method.unwrap_or_else(|| "GET".to_owned()), path })
}

/// Returns a path that an expression matches; none if none is found.
fn sample(regex: &str) -> Option<String> {
    let compiled = expression::whole_path(regex).ok()?;
    let first = regex.trim().trim_start_matches('^').trim_end_matches('$');
    let first = first.split('|').next().unwrap_or_default();
    let filled = [
        (".*", "x"),
        (".+", "x"),
        ("[^/]*", "x"),
        ("[^/]+", "x"),
        ("[0-9]+", "1"),
        ("\\d+", "1"),
        ("[a-z]+", "a"),
        ("\\.", "."),
        ("\\-", "-"),
        ("(", ""),
        (")?", ""),
        (")", ""),
    ];
    let filled = filled.iter().fold(first.to_owned(), |text, (from, to)| text.replace(from, to));
    let candidates = [filled.as_str(), first, "/", "/x", "/1"];
    candidates.into_iter().find(|path| path.starts_with('/') && compiled.is_match(path)).map(str::to_owned)
}

/// Returns a status of each response class: the lower end of its range.
fn class_statuses(profile: &ServiceProfile) -> Vec<u16> {
    fn of(condition: &ResponseMatch, found: &mut Vec<u16>) {
        let first = condition.status.and_then(|range| u16::try_from(range.min).ok());
        found.extend(first.filter(|status| (200..600).contains(status)));
        condition.all.iter().flatten().chain(condition.any.iter().flatten()).for_each(|part| of(part, found));
    }
    let mut found = Vec::new();
    let classes = profile.spec.routes.iter().flat_map(|route| &route.response_classes);
    classes.for_each(|class| of(&class.condition, &mut found));
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_derived_from_the_expression_of_a_route() {
        for (regex, path) in [
            ("/.*", "/x"),
            ("/items/[0-9]+", "/items/1"),
            ("/v1/items/[^/]*/price\\.json", "/v1/items/x/price.json"),
            ("/a|/b", "/a"),
            ("^/slow$", "/slow"),
        ] {
            assert_eq!(sample(regex).as_deref(), Some(path), "{regex}");
        }
        assert_eq!(sample("/[a-f]{3}-never(?:x"), None);
    }

    #[test]
    fn each_behaviour_that_a_profile_names_is_a_mode() {
        let profile = ServiceProfile::read_leniently(&json!({
            "metadata": {"name": "a.b.svc.cluster.local"},
            "spec": {"routes": [
                {"name": "r", "condition": {"method": "GET", "pathRegex": "/r"}, "timeout": "1s", "isRetryable": true,
                    "responseClasses": [{"condition": {"status": {"min": 429, "max": 429}}, "isFailure": true}]},
            ]},
        }))
        .unwrap();
        let plan = plan(&profile, 3);
        let modes: Vec<&str> = plan.modes.iter().map(|mode| mode.name.as_str()).collect();
        assert_eq!(modes, ["good", "responds 429", "fails every other request", "takes 1300 ms", "fails"]);
        let paths: Vec<&str> = plan.probes.iter().map(|probe| probe.path.as_str()).collect();
        assert_eq!(paths, [UNMATCHED, "/r"]);
    }
}
