//! Retry, timeout and circuit breaker annotations, translated for the data plane.

use std::time::Duration;

use meshy_dataplane::policy::{FailureAccrual, LoadBias, Retry, SuccessRate, Timeouts};
use meshy_linkerd::grpc_route;
use meshy_linkerd::policy as annotation;
use meshy_linkerd::policy::{Annotations, PolicyError};

/// Returns the retries of a Service; an invalid value disables them.
pub(super) fn retry(annotations: &Annotations) -> Option<Retry> {
    logged(annotation::Retry::from_annotations(annotations))?.map(translate_retry)
}

/// Returns the retries of a Service for its GRPCRoutes without their own; an invalid value disables them.
pub(super) fn grpc_retry(annotations: &Annotations) -> Option<Retry> {
    logged(retry_of_grpc_route(annotations))?
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
    let (found, success_rate) = match logged(annotation::Breaker::from_annotations(annotations))?? {
        annotation::Breaker::Consecutive(found) => (found, None),
        annotation::Breaker::Unified(found) => {
            let rate = SuccessRate {
                threshold: found.threshold,
                window: found.window,
                min_responses: found.min_requests,
            };
            (found.consecutive, Some(rate).filter(|rate| rate.threshold > 0.0))
        }
    };
    Some(FailureAccrual {
        max_failures: found.max_failures,
        success_rate,
        min_penalty: found.min_penalty,
        max_penalty: found.max_penalty,
        jitter_ratio: found.jitter_ratio.into(),
    })
}

/// Returns how failures add to the load of endpoints; `None` unless the annotations of a Service enable it.
pub(super) fn load_bias(annotations: &Annotations) -> Option<LoadBias> {
    let found = logged(annotation::LoadBiaser::from_annotations(annotations))??;
    Some(LoadBias { penalty: found.penalty, max_retry_after: found.max_retry_after })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(pairs: &[(&str, &str)]) -> Annotations {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_invalid_retry_condition_disables_the_retries_of_a_service() {
        let of =
            |http| retry(&annotations(&[("retry.linkerd.io/http", http), ("retry.linkerd.io/limit", "1")]));
        assert_eq!(of("bogus"), None);
        assert_eq!(of("503").map(|retry| retry.limit), Some(1));
    }

    #[test]
    fn grpc_conditions_of_a_service_are_for_its_grpc_routes() {
        let all = annotations(&[
            ("retry.linkerd.io/http", "5xx"),
            ("retry.linkerd.io/grpc", "unavailable"),
            ("retry.linkerd.io/limit", "2"),
        ]);
        let (http, grpc) = (retry(&all).expect("retries"), grpc_retry(&all).expect("retries"));
        assert_eq!((http.grpc.len(), http.statuses.len(), http.limit), (0, 1, 2));
        assert_eq!((&*grpc.grpc, grpc.statuses.len(), grpc.limit), (&[14][..], 0, 2));
        assert_eq!(grpc_retry(&annotations(&[("retry.linkerd.io/grpc", "14")])), None);
    }

    #[test]
    fn the_breaker_unified_and_the_load_biaser_reach_the_proxy() {
        let mode = ("balancer.linkerd.io/failure-accrual", "unified");
        let of = |pairs: &[(&str, &str)]| failure_accrual(&annotations(pairs)).expect("a breaker");
        assert_eq!(of(&[mode]).success_rate, Some(SuccessRate::default()));
        assert_eq!(of(&[mode]).max_failures, 7);
        let off = ("balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold", "0");
        assert_eq!(of(&[mode, off]).success_rate, None);
        assert_eq!(of(&[("balancer.linkerd.io/failure-accrual", "consecutive")]).success_rate, None);
        let enabled = ("balancer.alpha.linkerd.io/penalize-failures", "true");
        assert_eq!(load_bias(&annotations(&[enabled])), Some(LoadBias::default()));
        assert_eq!(load_bias(&annotations(&[])), None);
    }
}
