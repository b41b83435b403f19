//! The lint rules: id, level and reason.

use super::Level::{self, Error, Warning};

/// A lint rule. Its fields apply to each of its findings.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The id, which is also the name of the rule's page in `docs/lint/`.
    pub id: &'static str,
    /// The level of the findings.
    pub level: Level,
    /// The effect of the problem in the cluster, in one sentence.
    pub why: &'static str,
}

const fn rule_of(id: &'static str, level: Level, why: &'static str) -> Rule {
    Rule { id, level, why }
}

/// All rules, sorted by id.
pub const RULES: &[Rule] = &[
    rule_of("annotation-not-text", Error, "annotations are text: the API server rejects the object"),
    rule_of(
        "annotation-unknown",
        Warning,
        "the API server stores a misspelled annotation, and Linkerd ignores it",
    ),
    rule_of(
        "annotation-value",
        Error,
        "the policy controller ignores all annotations of this group on a Service, or the whole HTTPRoute, and reports it only in its log",
    ),
    rule_of(
        "breaker-mode-absent",
        Error,
        "without `balancer.linkerd.io/failure-accrual` there is no circuit breaker, and its parameters have no effect",
    ),
    rule_of("breaker-mode-other", Error, "the circuit breaker `consecutive` does not use a success rate"),
    rule_of("breaker-off", Error, "a circuit breaker without a limit never opens"),
    rule_of(
        "breaker-on-route",
        Error,
        "Linkerd reads the circuit breaker from Services and EgressNetworks, not from routes",
    ),
    rule_of(
        "budget-ratio",
        Error,
        "the proxy drops a budget whose ratio is outside 0 to 1000, and then retries no request",
    ),
    rule_of(
        "budget-ratio-high",
        Warning,
        "retries can add more load than the requests themselves, most of all when the service is overloaded",
    ),
    rule_of("budget-rounding", Warning, "the proxy rounds the cost of a retry to a whole number of requests"),
    rule_of(
        "budget-ttl",
        Error,
        "the proxy drops a budget whose ttl is outside 1 s to 60 s, and then retries no request",
    ),
    rule_of(
        "budget-unused",
        Warning,
        "a retry budget limits retryable routes only, and no route is retryable",
    ),
    rule_of(
        "clients-absent",
        Warning,
        "the proxy of the client applies the policy, so without a meshed client it has no effect",
    ),
    rule_of("filter-unsupported", Error, "Linkerd does not implement the filter and ignores the whole route"),
    rule_of(
        "ingress-named-port",
        Error,
        "the ingress controller copies the port to `l5d-dst-override`, which requires a number: every request fails",
    ),
    rule_of(
        "inject-host-network",
        Error,
        "the injector skips pods with host networking, since their traffic cannot be redirected",
    ),
    rule_of(
        "inject-place",
        Error,
        "the injector reads annotations of pods, and pods get their annotations from the pod template",
    ),
    rule_of(
        "inject-value",
        Error,
        "the injector accepts `enabled`, `ingress` and `disabled`; any other value means `disabled`",
    ),
    rule_of(
        "method-unknown",
        Warning,
        "clients send the methods of HTTP, so a route for another one probably matches no request",
    ),
    rule_of(
        "parent-kind",
        Error,
        "no proxy follows a route whose parent has another kind or group, and no status reports it",
    ),
    rule_of(
        "penalize-egress",
        Error,
        "the load biaser changes the choice between the endpoints of a Service; an EgressNetwork has none",
    ),
    rule_of(
        "port-absent",
        Error,
        "a Service has no requests on a port that it does not declare, and requests to such a backend fail",
    ),
    rule_of(
        "profile-invalid",
        Error,
        "Linkerd's webhook rejects the profile; without the webhook the controller ignores it",
    ),
    rule_of(
        "profile-name",
        Error,
        "proxies request the profile by the full DNS name of the service, so a profile of another name is unused",
    ),
    rule_of(
        "profile-overrides-policy",
        Error,
        "a profile with routes overrides the annotations, HTTPRoutes and circuit breaker of its service",
    ),
    rule_of(
        "rate-limit-probes",
        Warning,
        "the limit `total` counts the probes of the kubelet too: above the limit they fail and the pod is no longer ready",
    ),
    rule_of(
        "regex-glob",
        Warning,
        "the path is a regular expression, in which `*` repeats the preceding character",
    ),
    rule_of(
        "regex-invalid",
        Error,
        "the proxy ignores a route with an invalid expression, and applies the other routes",
    ),
    rule_of(
        "regex-never",
        Error,
        "the expression must match the whole path without the query, so it matches no request",
    ),
    rule_of(
        "retry-condition-absent",
        Error,
        "without `retry.linkerd.io/http` no status is retried, only attempts that exceed `retry.linkerd.io/timeout`",
    ),
    rule_of("retry-limit-zero", Error, "a limit of 0 means the default of 1 retry"),
    rule_of(
        "retry-not-idempotent",
        Warning,
        "the first attempt may have been executed before it failed, so the request can take effect twice",
    ),
    rule_of(
        "retry-overridden",
        Warning,
        "a route with any retry annotation replaces all retry annotations of its service",
    ),
    rule_of(
        "retry-protocol",
        Error,
        "`retry.linkerd.io/grpc` has an effect only on requests that follow a GRPCRoute, and `retry.linkerd.io/http` not on a GRPCRoute",
    ),
    rule_of(
        "route-field-unknown",
        Error,
        "Linkerd ignores a whole route if Gateway API 1.2.1 does not define one of its fields",
    ),
    rule_of("route-invalid", Error, "the API server rejects the route"),
    rule_of(
        "route-regex-invalid",
        Error,
        "Linkerd's webhook rejects the route; without the webhook the controller ignores the whole route",
    ),
    rule_of(
        "route-shadowed",
        Error,
        "the first route that matches a request applies, so this route gets no requests",
    ),
    rule_of("service-absent", Error, "the policy has no effect until the service exists"),
    rule_of(
        "service-headless",
        Error,
        "clients of a headless service connect to pod addresses, which have no profile",
    ),
    rule_of("status-range", Warning, "a missing `max` counts as 0, so the range contains no status"),
    rule_of(
        "timeout-backend-request",
        Error,
        "the API server accepts `backendRequest`, and Linkerd ignores it",
    ),
    rule_of(
        "timeout-order",
        Error,
        "the timeout of the whole request ends it first, so the longer timeout has no effect",
    ),
];

/// The rules about the calls of several services, for which [`calls`](super::calls()) returns the findings.
pub(crate) const CALL_RULES: &[Rule] = &[
    rule_of(
        "consecutive-retries",
        Warning,
        "each edge repeats the attempts of the one before: if the last service fails, its load grows to the product",
    ),
    rule_of(
        "inner-timeout",
        Warning,
        "when the outer timeout ends a request, the inner attempts go on and their responses are thrown away",
    ),
    rule_of(
        "retries-without-timeout",
        Warning,
        "only a failure is retried: a request that gets no response waits, and keeps its client waiting",
    ),
    rule_of(
        "shared-service-without-budget",
        Warning,
        "a limit applies to each request: the more requests fail, the more load all clients add, at the same time",
    ),
];

/// The rule about programs of this machine: the cluster reports what it replaced in their environment.
pub(crate) const PROGRAM_RULE: Rule = rule_of(
    "program-calls-unknown",
    Warning,
    "only calls through a replaced value pass the proxy of the pod; names in files and in code fail or bypass it",
);

/// Returns the rule of an id.
///
/// # Panics
/// Panics if there is no such rule: a misspelled id in the code of a rule.
pub(super) fn rule(id: &str) -> &'static Rule {
    RULES.iter().chain(CALL_RULES).find(|rule| rule.id == id).unwrap_or_else(|| panic!("no lint rule `{id}`"))
}
