//! The values of settings in words.

use std::time::Duration;

use super::{Field, RateLimit, Setting, Source};
use crate::grpc_route;
use crate::policy::{Breaker, Consecutive, Retry, Timeouts};

const NOT_SET: &str = "no object sets it";

/// Returns the retries and their limit.
pub(super) fn retries(retry: Option<&Retry>, source: &Source, why: &'static str) -> Vec<Setting> {
    let Some(retry) = retry else { return vec![not_set(Field::Retries)] };
    by_conditions(retry.statuses.iter().map(|range| status(*range)).collect(), retry, source, why)
}

/// Returns the retries of a GRPCRoute, by the codes of gRPC statuses, and their limit.
pub(super) fn grpc_retries(
    retry: Option<(&[u8], &Retry)>,
    source: &Source,
    why: &'static str,
) -> Vec<Setting> {
    let Some((codes, retry)) = retry else { return vec![not_set(Field::Retries)] };
    let name = |code: &u8| grpc_route::CONDITIONS.iter().find(|(_, of)| of == code).map(|(name, _)| name);
    let statuses = codes.iter().filter_map(name).map(|name| format!("gRPC {name}")).collect();
    by_conditions(statuses, retry, source, why)
}

fn by_conditions(statuses: Vec<String>, retry: &Retry, source: &Source, why: &'static str) -> Vec<Setting> {
    let setting = |field, value| Setting { field, value, source: source.clone(), why };
    let slow = retry.timeout.map(|timeout| format!("no response headers after {timeout:?}"));
    let conditions: Vec<String> = statuses.into_iter().chain(slow).collect();
    let conditions = if conditions.is_empty() { "no status".to_owned() } else { conditions.join(", ") };
    let times = if retry.limit == 1 { "retry" } else { "retries" };
    vec![
        setting(Field::Retries, conditions),
        setting(Field::Limit, format!("{} {times} per request, no budget", retry.limit)),
    ]
}

fn status(range: (u16, u16)) -> String {
    match range {
        (500, 599) => "5xx".to_owned(),
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from}-{to}"),
    }
}

/// Returns the timeouts.
pub(super) fn timeouts(timeouts: Timeouts, source: &Source, why: &'static str) -> Setting {
    let part = |name: &str, time: Option<Duration>| {
        time.filter(|time| !time.is_zero()).map(|time| format!("{time:?} per {name}"))
    };
    let parts = [
        part("request", timeouts.request),
        part("response", timeouts.response),
        part("idle stream", timeouts.idle),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return not_set(Field::Timeouts);
    }
    Setting { field: Field::Timeouts, value: parts.join(", "), source: source.clone(), why }
}

/// Returns the circuit breaker.
pub(super) fn breaker(breaker: Option<&Breaker>) -> Setting {
    let consecutive = |c: &Consecutive| {
        format!("{} failures in a row, penalty {:?} to {:?}", c.max_failures, c.min_penalty, c.max_penalty)
    };
    let value = match breaker {
        None => return not_set(Field::Breaker),
        Some(Breaker::Consecutive(found)) => consecutive(found),
        Some(Breaker::Unified(found)) => format!(
            "{}; or less than {:.0} % success in {:?}, from {} responses",
            consecutive(&found.consecutive),
            found.threshold * 100.0,
            found.window,
            found.min_requests
        ),
    };
    Setting {
        field: Field::Breaker,
        value,
        source: Source::Service,
        why: "only the Service has a circuit breaker",
    }
}

/// Returns the rate limit; with several, the lowest limit for all clients together.
pub(super) fn rate_limit(limits: &[RateLimit]) -> Setting {
    let lowest = limits.iter().min_by_key(|limit| limit.total.or(limit.identity).unwrap_or(u32::MAX));
    let Some(limit) = lowest else { return not_set(Field::RateLimit) };
    let total = limit.total.map(|rate| format!("{rate}/s per pod, probes included"));
    let identity = limit.identity.map(|rate| format!("{rate}/s per client identity"));
    let overrides = limit.overrides.iter().map(|(rate, clients)| match &clients[..] {
        [] => format!("{rate}/s for no client"),
        [one] => format!("{rate}/s for {one}"),
        [first, others @ ..] => format!("{rate}/s for {first} and {} others together", others.len()),
    });
    let parts: Vec<String> = total.into_iter().chain(identity).chain(overrides).collect();
    Setting {
        field: Field::RateLimit,
        value: parts.join(", "),
        source: Source::RateLimit(limit.name.clone()),
        why: "the server's proxy enforces it, whatever clients use",
    }
}

fn not_set(field: Field) -> Setting {
    Setting { field, value: "none".to_owned(), source: Source::Default, why: NOT_SET }
}
