//! Routes of a service as its clients' proxies count them (requests and attempts) and as its own proxies do (attempts).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::latency::{Buckets, Percentiles};
use super::ratio::share;
use super::series::{Scrape, Series};
use super::stat::arrives_at_application;

/// The route of requests that no route of the profile fits.
pub const DEFAULT: &str = "[DEFAULT]";

/// Which policy a route's counters come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Dialect {
    /// A ServiceProfile's route: `route_*`.
    #[default]
    Profile,
    /// An HTTPRoute or GRPCRoute, or the default route that annotations act on: `outbound_http_route_*`, `outbound_grpc_route_*`.
    Policy,
}

/// A route's counters, summed over clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RouteCounts {
    /// Which policy the counters come from.
    pub dialect: Dialect,
    /// Requests sent.
    pub requests_count: u64,
    /// Requests that succeeded in the end.
    pub succeeded_count: u64,
    /// Requests that failed in the end.
    pub failed_count: u64,
    /// Of these, those ended by the route's timeout.
    pub timed_out_count: u64,
    /// Of these, those that the circuit breaker or load shedding rejected.
    pub refused_count: u64,
    /// Of these, those whose error the counters do not name. A profile's counters count rejections by the circuit breaker here.
    #[serde(default)]
    pub unnamed_error_count: u64,
    /// Attempts sent.
    pub attempts_count: u64,
    /// Attempts that succeeded.
    pub attempts_succeeded_count: u64,
    /// Attempts that failed.
    pub attempts_failed_count: u64,
    /// Retryable failures, with and without a retry.
    pub retryable_count: u64,
    /// Of these, those that the budget did not allow to retry.
    pub no_budget_count: u64,
    /// Requests that failed after all retries that the retry limit allows.
    pub limit_count: u64,
    /// Requests that succeeded after retries. A profile's counters do not have it.
    #[serde(skip)]
    pub saved_count: u64,
    /// Latency of requests, all attempts together.
    pub latency: Percentiles,
    /// The mean latency in milliseconds, where the buckets are too coarse for percentiles.
    pub latency_mean_ms: Option<f64>,
    /// The share of requests that took less than 50 ms, where the buckets are too coarse for percentiles.
    pub below_50ms_ratio: Option<f64>,
}

impl RouteCounts {
    /// Succeeded of ended requests.
    pub fn effective_success(&self) -> Option<f64> {
        share(self.succeeded_count, self.failed_count)
    }

    /// Succeeded of ended attempts.
    pub fn actual_success(&self) -> Option<f64> {
        share(self.attempts_succeeded_count, self.attempts_failed_count)
    }

    /// Retries that were made.
    pub fn retries(&self) -> u64 {
        self.attempts_count.saturating_sub(self.requests_count)
    }

    /// Adds another route's counters; percentiles cannot be added and go.
    pub fn add(&mut self, other: &Self) {
        self.requests_count += other.requests_count;
        self.succeeded_count += other.succeeded_count;
        self.failed_count += other.failed_count;
        self.timed_out_count += other.timed_out_count;
        self.refused_count += other.refused_count;
        self.unnamed_error_count += other.unnamed_error_count;
        self.attempts_count += other.attempts_count;
        self.attempts_succeeded_count += other.attempts_succeeded_count;
        self.attempts_failed_count += other.attempts_failed_count;
        self.retryable_count += other.retryable_count;
        self.no_budget_count += other.no_budget_count;
        self.limit_count += other.limit_count;
        self.saved_count += other.saved_count;
        self.latency = Percentiles::default();
    }
}

/// A service by its name and namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Service {
    /// Whether a `dst` or `authority` such as `bounced-service.default.svc.cluster.local:9090` names it.
    pub fn is_named_by(&self, authority: &str) -> bool {
        let host = authority.split(':').next().unwrap_or_default();
        let mut parts = host.splitn(4, '.');
        parts.next() == Some(self.name.as_str())
            && parts.next() == Some(self.namespace.as_str())
            && parts.next() == Some("svc")
    }
}

/// What is gathered of one route: counters, buckets, and sum and below-50-ms count where there are only these.
type Gathered = (RouteCounts, Buckets, (f64, f64));

/// The routes of a service as its clients see them. With a profile in force its routes; the policy's next to them, since a
/// window can hold both.
pub fn client_view<'a>(
    changes: impl IntoIterator<Item = &'a Scrape> + Clone,
    service: &Service,
) -> BTreeMap<(Dialect, String), RouteCounts> {
    let mut routes: BTreeMap<(Dialect, String), Gathered> = BTreeMap::new();
    for change in changes {
        for (series, count) in change.of("route_request_total").filter(|(s, _)| to(s, service)) {
            let route = routes.entry((Dialect::Profile, name(series))).or_default();
            route.0.requests_count += count as u64;
        }
        for (key, (route, buckets, _)) in routes.iter_mut().filter(|(key, _)| key.0 == Dialect::Profile) {
            let fits = |s: &Series| to(s, service) && name(s) == key.1;
            add_profile(route, change, &fits);
            buckets.add(change, "route_response_latency_ms_bucket", fits);
        }
        for protocol in PROTOCOLS {
            let statuses = metric(protocol, "request_statuses_total");
            for (series, _) in change.of(&statuses).filter(|(s, _)| child(s, service)) {
                routes.entry((Dialect::Policy, name(series))).or_default();
            }
            for (key, (route, _, sums)) in routes.iter_mut().filter(|(key, _)| key.0 == Dialect::Policy) {
                route.dialect = Dialect::Policy;
                let fits = |s: &Series| child(s, service) && name(s) == key.1;
                add_policy(route, change, protocol, &fits);
                let duration = metric(protocol, "request_duration_seconds");
                sums.0 += change.sum(&format!("{duration}_sum"), fits);
                sums.1 += change.sum(&format!("{duration}_bucket"), |s| fits(s) && s.is("le", "0.05"));
            }
        }
    }
    let finish = |(key, (mut route, buckets, (seconds, below))): ((Dialect, String), Gathered)| {
        match route.dialect {
            Dialect::Profile => route.latency = buckets.percentiles(),
            Dialect::Policy if route.requests_count > 0 => {
                let requests = route.requests_count as f64;
                route.latency_mean_ms = Some(seconds / requests * 1000.0);
                route.below_50ms_ratio = Some((below / requests).min(1.0));
            }
            Dialect::Policy => {}
        }
        (key, route)
    };
    // Series that stood still in the window would be rows of nothing.
    routes.into_iter().map(finish).filter(|(_, route)| route.requests_count > 0).collect()
}

fn add_profile(route: &mut RouteCounts, change: &Scrape, fits: &impl Fn(&Series) -> bool) {
    let sum =
        |metric: &str, also: &dyn Fn(&Series) -> bool| change.sum(metric, |s| fits(s) && also(s)) as u64;
    let good = |s: &Series| s.is("classification", "success");
    route.succeeded_count += sum("route_response_total", &good);
    route.failed_count += sum("route_response_total", &|s| !good(s));
    route.timed_out_count += sum("route_response_total", &|s| !good(s) && s.is("error", "timeout"));
    route.unnamed_error_count += sum("route_response_total", &|s| !good(s) && s.is("error", "unclassified"));
    route.attempts_count += sum("route_actual_request_total", &|_| true);
    route.attempts_succeeded_count += sum("route_actual_response_total", &good);
    route.attempts_failed_count += sum("route_actual_response_total", &|s| !good(s));
    route.retryable_count += sum("route_retryable_total", &|s| s.label("skipped").is_none());
    route.no_budget_count += sum("route_retryable_total", &|s| s.is("skipped", "no_budget"));
}

/// The protocols of the policies' counters: HTTPRoutes with the default route, and GRPCRoutes.
pub(super) const PROTOCOLS: [&str; 2] = ["http", "grpc"];

/// The gRPC statuses that are failures: Linkerd's list, which `response_total` uses too.
const GRPC_FAILURES: [&str; 6] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "PERMISSION_DENIED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/// Returns the name of a policy's metric.
pub(super) fn metric(protocol: &str, what: &str) -> String {
    format!("outbound_{protocol}_route_{what}")
}

fn add_policy(route: &mut RouteCounts, change: &Scrape, protocol: &str, fits: &impl Fn(&Series) -> bool) {
    const TIMEOUTS: [&str; 4] =
        ["REQUEST_TIMEOUT", "RESPONSE_HEADERS_TIMEOUT", "RESPONSE_STREAM_TIMEOUT", "IDLE_TIMEOUT"];
    const REJECTED: [&str; 2] = ["FAIL_FAST", "LOAD_SHED"];
    let sum =
        |metric: &str, also: &dyn Fn(&Series) -> bool| change.sum(metric, |s| fits(s) && also(s)) as u64;
    let errors = |s: &Series, wanted: &[&str]| s.label("error").is_some_and(|e| wanted.contains(&e.as_ref()));
    // As Linkerd's own table: a status of 5xx or any error. `UNKNOWN` marks a client that went away mid-answer.
    let is_failure = |status: &str| match protocol {
        "grpc" => GRPC_FAILURES.contains(&status),
        _ => status.starts_with('5'),
    };
    let label = format!("{protocol}_status");
    let bad = |s: &Series| {
        s.label(&label).is_none_or(|status| status.is_empty() || is_failure(&status))
            || s.label("error").is_some_and(|error| !error.is_empty() && error != "UNKNOWN")
    };
    let statuses = &metric(protocol, "request_statuses_total");
    let attempts = &metric(protocol, "backend_response_statuses_total");
    route.succeeded_count += sum(statuses, &|s| !bad(s));
    route.failed_count += sum(statuses, &bad);
    route.requests_count += sum(statuses, &|_| true);
    route.timed_out_count += sum(statuses, &|s| errors(s, &TIMEOUTS));
    route.refused_count += sum(statuses, &|s| errors(s, &REJECTED));
    route.attempts_succeeded_count += sum(attempts, &|s| !bad(s));
    route.attempts_failed_count += sum(attempts, &bad);
    // A request that the breaker or a full queue rejected was not sent; of one whose retry was rejected, the first attempt was.
    let started =
        sum(&metric(protocol, "retry_requests_total"), &|_| true) + sum(statuses, &|s| !errors(s, &REJECTED));
    route.attempts_count += started.max(sum(attempts, &|_| true));
    route.limit_count += sum(&metric(protocol, "retry_limit_exceeded_total"), &|_| true);
    route.saved_count += sum(&metric(protocol, "retry_successes_total"), &|_| true);
}

/// What the proxies of a service's own pods count: attempts only, a retry looks like any request. A proxy counts routes only
/// while a profile is in force; what it answered beyond them is the default route's.
pub fn server_view<'a>(changes: impl IntoIterator<Item = &'a Scrape>) -> BTreeMap<String, RouteCounts> {
    let mut routes: BTreeMap<String, (RouteCounts, Buckets)> = BTreeMap::new();
    for change in changes {
        let inbound = |s: &Series| s.is("direction", "inbound");
        for (series, count) in change.of("route_response_total").filter(|(s, _)| inbound(s)) {
            let (route, _) = routes.entry(name(series)).or_default();
            match series.is("classification", "success") {
                true => route.attempts_succeeded_count += count as u64,
                false => route.attempts_failed_count += count as u64,
            }
            route.attempts_count += count as u64;
        }
        for (key, (_, buckets)) in &mut routes {
            buckets.add(change, "route_response_latency_ms_bucket", |s| inbound(s) && name(s) == *key);
        }
        let all = |s: &Series| inbound(s) && arrives_at_application(s, false);
        let beyond = |good: bool| {
            let same = |s: &Series| s.is("classification", "success") == good;
            let routed = change.sum("route_response_total", |s| inbound(s) && same(s)) as u64;
            let answered = change.sum("response_total", |s| all(s) && same(s)) as u64;
            (answered.saturating_sub(routed), routed)
        };
        let ((good, routed_good), (bad, routed_bad)) = (beyond(true), beyond(false));
        if good + bad > 0 {
            let (route, buckets) = routes.entry(DEFAULT.to_owned()).or_default();
            route.attempts_succeeded_count += good;
            route.attempts_failed_count += bad;
            route.attempts_count += good + bad;
            // Next to routes the same buckets hold their answers too.
            if routed_good + routed_bad == 0 {
                buckets.add(change, "response_latency_ms_bucket", all);
            }
        }
    }
    let finish = |(key, (route, buckets)): (String, (RouteCounts, Buckets))| {
        (key, RouteCounts { latency: buckets.percentiles(), ..route })
    };
    routes.into_iter().map(finish).filter(|(_, route)| route.attempts_count > 0).collect()
}

fn name(series: &Series) -> String {
    let label = series.label("rt_route").or_else(|| series.label("route_name"));
    label.map_or_else(|| DEFAULT.to_owned(), |name| name.into_owned())
}

pub(super) fn to(series: &Series, service: &Service) -> bool {
    series.is("direction", "outbound") && series.label("dst").is_some_and(|dst| service.is_named_by(&dst))
}

fn child(series: &Series, service: &Service) -> bool {
    series.is("parent_kind", "Service")
        && series.is("parent_name", &service.name)
        && series.is("parent_namespace", &service.namespace)
}

#[cfg(test)]
mod tests;
