//! The rules by id: how bad, and why it matters.

use super::Level::{self, Error, Warning};

/// What holds for every finding of a rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The id.
    pub id: &'static str,
    /// How bad.
    pub level: Level,
    /// Why it matters, in one sentence.
    pub why: &'static str,
}

const fn rule_of(id: &'static str, level: Level, why: &'static str) -> Rule {
    Rule { id, level, why }
}

/// All rules, in the order of the alphabet.
pub const RULES: &[Rule] = &[
    rule_of(
        "annotation-unknown",
        Warning,
        "Linkerd reads its own keys only; a misspelled one is kept and never looked at",
    ),
    rule_of(
        "annotation-value",
        Error,
        "the policy controller drops the whole set of annotations and writes it to its log only",
    ),
    rule_of(
        "budget-ratio",
        Error,
        "the proxy drops a budget whose ratio is outside 0 to 1000, and then retries nothing",
    ),
    rule_of(
        "budget-rounding",
        Warning,
        "a retry costs a whole number of requests, so the ratio acts as the next one that divides 1",
    ),
    rule_of(
        "budget-ttl",
        Error,
        "the proxy drops a budget whose ttl is outside 1 s to 60 s, and then retries nothing",
    ),
    rule_of("budget-unused", Warning, "a budget is spent by retryable routes only, and no route here is one"),
    rule_of(
        "clients-absent",
        Warning,
        "retries happen in the client's proxy; without a meshed client nothing follows the policy",
    ),
    rule_of(
        "ingress-named-port",
        Error,
        "the controller writes the port into `l5d-dst-override`, and a name there is no port: every request fails",
    ),
    rule_of(
        "inject-host-network",
        Error,
        "the injector leaves pods on the node's network alone, since their traffic cannot be redirected",
    ),
    rule_of(
        "inject-place",
        Error,
        "the injector looks at pods, and pods take their annotations from the template, not from the workload",
    ),
    rule_of(
        "inject-value",
        Error,
        "the injector knows enabled, ingress and disabled; another value is taken as disabled",
    ),
    rule_of(
        "method-unknown",
        Error,
        "methods are compared letter by letter, so this one matches no request of ordinary clients",
    ),
    rule_of(
        "profile-beside-policy",
        Error,
        "a profile with routes replaces annotations, HTTPRoutes and the circuit breaker of its service without a word",
    ),
    rule_of(
        "profile-invalid",
        Error,
        "Linkerd's validator refuses the profile, and where the validator is away the controller ignores it",
    ),
    rule_of(
        "profile-name",
        Error,
        "a profile belongs to the service whose full DNS name it bears; under another name nobody asks for it",
    ),
    rule_of(
        "regex-glob",
        Warning,
        "the path is matched by a regular expression, in which `*` repeats what stands before it",
    ),
    rule_of(
        "regex-invalid",
        Error,
        "the proxy drops a route whose expression it cannot read, and only that route",
    ),
    rule_of(
        "regex-never",
        Error,
        "the expression is held against the whole path without its query, so it can match no request",
    ),
    rule_of(
        "retry-condition-absent",
        Error,
        "without `retry.linkerd.io/http` no status is retried; limit and timeout alone only retry slow headers",
    ),
    rule_of("retry-limit-zero", Error, "a limit of 0 counts as not set, and not set means one retry"),
    rule_of(
        "route-field-unknown",
        Error,
        "Linkerd ignores a route as a whole if one of its fields is unknown to Gateway API 1.2.1",
    ),
    rule_of(
        "route-shadowed",
        Error,
        "routes are tried in order and the first match wins, so this one gets no request",
    ),
    rule_of("service-absent", Error, "the policy waits for a service that does not exist"),
    rule_of(
        "service-headless",
        Error,
        "clients of a headless service talk to pod addresses, and those have no profile",
    ),
    rule_of("status-range", Warning, "an end that is left out counts as 0, so the range holds no status"),
];

/// A rule by its id.
///
/// # Panics
/// There is none: a misspelled id in a rule's code, which each rule's test would show.
pub(super) fn rule(id: &str) -> &'static Rule {
    RULES.iter().find(|rule| rule.id == id).unwrap_or_else(|| panic!("no lint rule `{id}`"))
}
