//! Annotations of Services in the data plane's terms.

use std::time::Duration;

use meshy_dataplane::policy::{FailureAccrual, Retry, Timeouts};
use meshy_mesh::policy as written;
use meshy_mesh::policy::Annotations;
use serde_json::Value;

/// The annotations of an object.
pub(super) fn annotations(object: &Value) -> Annotations {
    let all = object.pointer("/metadata/annotations").and_then(Value::as_object);
    all.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// A Service's retries by annotation; a value that cannot be read voids the set.
pub(super) fn retry(annotations: &Annotations) -> Option<Retry> {
    logged(written::Retry::from_annotations(annotations))?.map(told)
}

/// A Service's timeouts by annotation.
pub(super) fn timeouts(annotations: &Annotations) -> Timeouts {
    limits(&logged(written::Timeouts::from_annotations(annotations)).unwrap_or_default())
}

/// A route's retries and timeouts by annotation.
///
/// # Errors
/// A value cannot be read, which costs the whole route.
pub(super) fn of_route(annotations: &Annotations) -> Result<(Option<Retry>, Timeouts), written::PolicyError> {
    let retry = written::Retry::from_annotations(annotations)?.map(told);
    Ok((retry, limits(&written::Timeouts::from_annotations(annotations)?)))
}

fn told(found: written::Retry) -> Retry {
    let statuses = found.statuses.iter().map(|(from, to)| *from..=*to).collect();
    Retry { statuses, limit: found.limit, timeout: found.timeout }
}

fn limits(found: &written::Timeouts) -> Timeouts {
    let given = |time: Option<Duration>| time.filter(|time| !time.is_zero());
    Timeouts { request: given(found.request), response: given(found.response), idle: given(found.idle) }
}

/// The circuit breaker by annotation.
pub(super) fn failure_accrual(annotations: &Annotations) -> Option<FailureAccrual> {
    let found = logged(written::Consecutive::from_annotations(annotations))??;
    Some(FailureAccrual {
        max_failures: found.max_failures,
        min_penalty: found.min_penalty,
        max_penalty: found.max_penalty,
        jitter_ratio: found.jitter_ratio.into(),
    })
}

fn logged<T>(read: Result<T, written::PolicyError>) -> Option<T> {
    read.inspect_err(|error| tracing::warn!(%error, "the annotation is not followed")).ok()
}
