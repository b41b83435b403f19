//! Retry, timeout and circuit breaker annotations, translated for the data plane.

use std::time::Duration;

use meshy_dataplane::policy::{FailureAccrual, Retry, Timeouts};
use meshy_linkerd::grpc_route;
use meshy_linkerd::policy as annotation;
use meshy_linkerd::policy::{Annotations, PolicyError};

/// Returns the retries of a Service; an invalid value disables them.
pub(super) fn retry(annotations: &Annotations) -> Option<Retry> {
    logged(annotation::Retry::from_annotations(annotations))?.map(translate_retry)
}

/// Returns the timeouts of a Service; an invalid value disables them.
pub(super) fn timeouts(annotations: &Annotations) -> Timeouts {
    translate_timeouts(&logged(annotation::Timeouts::from_annotations(annotations)).unwrap_or_default())
}

/// Returns the retries of an HTTPRoute.
///
/// # Errors
/// A value is invalid, which disables the whole route.
pub(super) fn retry_of_route(annotations: &Annotations) -> Result<Option<Retry>, PolicyError> {
    Ok(annotation::Retry::from_annotations(annotations)?.map(translate_retry))
}

/// Returns the retries of a GRPCRoute.
///
/// # Errors
/// As for [`retry_of_route`].
pub(super) fn retry_of_grpc_route(annotations: &Annotations) -> Result<Option<Retry>, PolicyError> {
    let found = grpc_route::retry(annotations)?;
    Ok(found.map(|(grpc, others)| Retry { grpc, ..translate_retry(others) }))
}

/// Returns the timeouts of a route.
///
/// # Errors
/// As for [`retry_of_route`].
pub(super) fn timeouts_of_route(annotations: &Annotations) -> Result<Timeouts, PolicyError> {
    Ok(translate_timeouts(&annotation::Timeouts::from_annotations(annotations)?))
}

/// Returns the circuit breaker of a Service; an invalid value disables it.
pub(super) fn failure_accrual(annotations: &Annotations) -> Option<FailureAccrual> {
    let found = logged(annotation::Consecutive::from_annotations(annotations))??;
    Some(FailureAccrual {
        max_failures: found.max_failures,
        min_penalty: found.min_penalty,
        max_penalty: found.max_penalty,
        jitter_ratio: found.jitter_ratio.into(),
    })
}

fn translate_retry(found: annotation::Retry) -> Retry {
    let statuses = found.statuses.iter().map(|(from, to)| *from..=*to).collect();
    Retry { statuses, grpc: Vec::new(), limit: found.limit, timeout: found.timeout }
}

fn translate_timeouts(found: &annotation::Timeouts) -> Timeouts {
    let non_zero = |time: Option<Duration>| time.filter(|time| !time.is_zero());
    Timeouts {
        request: non_zero(found.request),
        response: non_zero(found.response),
        idle: non_zero(found.idle),
    }
}

fn logged<T>(result: Result<T, PolicyError>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(%error, "invalid annotation ignored")).ok()
}
