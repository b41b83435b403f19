//! The policy annotations of a Service or a route: retries, timeouts and the circuit breaker.

use std::collections::BTreeMap;
use std::time::Duration;

mod breaker;
mod load_biaser;

pub use breaker::{Breaker, Unified};
pub use load_biaser::LoadBiaser;

use crate::{duration, names};

/// The annotations of one object, by key.
pub type Annotations = BTreeMap<String, String>;

/// An invalid annotation. The policy controller then ignores the related annotations and writes a warning to its log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct PolicyError {
    /// The key of the annotation.
    pub key: String,
    /// The problem with its value.
    pub what: String,
}

/// The retry policy of the annotations `retry.linkerd.io/*`: a limit for each request and no retry budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The ranges of HTTP statuses to retry, both ends included; empty: no status is retried.
    pub statuses: Vec<(u16, u16)>,
    /// The maximum number of retries of a request, at least 1. The annotation values 0 and absent mean 1.
    pub limit: u16,
    /// The timeout for the response headers of each attempt except the last one.
    pub timeout: Option<Duration>,
}

impl Retry {
    /// Parses `retry.linkerd.io/http`, `/limit` and `/timeout`. Returns `None` if all are absent or 0.
    ///
    /// # Errors
    /// Returns the first annotation with an invalid value.
    pub fn from_annotations(annotations: &Annotations) -> Result<Option<Self>, PolicyError> {
        let limit = annotations.get(names::RETRY_LIMIT).map(|value| {
            value.parse::<u16>().map_err(|_| {
                invalid(
                    names::RETRY_LIMIT,
                    format!("invalid limit `{value}`, expected a number from 0 to 65535"),
                )
            })
        });
        let limit = limit.transpose()?.filter(|limit| *limit != 0);
        let timeout = duration_of(annotations, names::RETRY_TIMEOUT)?.filter(|t| !t.is_zero());
        let statuses = annotations.get(names::RETRY_HTTP).map(|value| {
            statuses(value).ok_or_else(|| {
                invalid(
                    names::RETRY_HTTP,
                    format!("invalid conditions `{value}`, expected a list of 5xx, gateway-error, codes and ranges"),
                )
            })
        });
        let statuses = statuses.transpose()?;
        if limit.is_none() && timeout.is_none() && statuses.is_none() {
            return Ok(None);
        }
        Ok(Some(Self { statuses: statuses.unwrap_or_default(), limit: limit.unwrap_or(1), timeout }))
    }

    /// Returns whether a response with this HTTP status is retried.
    pub fn covers(&self, status: u16) -> bool {
        self.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

/// Parses a comma-separated list of conditions (`5xx`, `gateway-error`, `503`, `500-504`) into ranges of HTTP statuses, both
/// ends included. Returns `None` if a condition is invalid.
pub fn statuses(list: &str) -> Option<Vec<(u16, u16)>> {
    let code = |text: &str| text.parse().ok().filter(|code| (100..600).contains(code));
    list.split(',')
        .map(|item| match item {
            item if item.eq_ignore_ascii_case("5xx") => Some((500, 599)),
            item if item.eq_ignore_ascii_case("gateway-error") => Some((502, 504)),
            item => match item.split_once('-') {
                None => code(item).map(|code| (code, code)),
                Some((from, to)) => Some((code(from)?, code(to)?)).filter(|(from, to)| from <= to),
            },
        })
        .collect()
}

/// The timeouts of the annotations `timeout.linkerd.io/*`; `None` where absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// The timeout of a request, all attempts together.
    pub request: Option<Duration>,
    /// The timeout of the response of a backend.
    pub response: Option<Duration>,
    /// The maximum time without data on a stream.
    pub idle: Option<Duration>,
}

impl Timeouts {
    /// Parses `timeout.linkerd.io/request`, `/response` and `/idle`.
    ///
    /// # Errors
    /// Returns the first annotation with an invalid value.
    pub fn from_annotations(annotations: &Annotations) -> Result<Self, PolicyError> {
        Ok(Self {
            request: duration_of(annotations, names::TIMEOUT_REQUEST)?,
            response: duration_of(annotations, names::TIMEOUT_RESPONSE)?,
            idle: duration_of(annotations, names::TIMEOUT_IDLE)?,
        })
    }
}

/// The circuit breaker `consecutive`: makes an endpoint unavailable after consecutive failures, each time for a longer
/// penalty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Consecutive {
    /// The number of consecutive failures that opens the circuit breaker; 7 where absent.
    pub max_failures: u32,
    /// The shortest penalty; 1 s where absent.
    pub min_penalty: Duration,
    /// The longest penalty; 60 s where absent.
    pub max_penalty: Duration,
    /// The random part of a penalty, relative to the penalty; 0.5 where absent.
    pub jitter_ratio: f32,
}

impl Default for Consecutive {
    fn default() -> Self {
        Self {
            max_failures: 7,
            min_penalty: Duration::from_secs(1),
            max_penalty: Duration::from_secs(60),
            jitter_ratio: 0.5,
        }
    }
}

impl Consecutive {
    /// Parses `balancer.linkerd.io/failure-accrual` and its parameters. Returns `None` if the circuit breaker is absent or
    /// `unified`.
    ///
    /// # Errors
    /// Returns the first annotation with an invalid value.
    pub fn from_annotations(annotations: &Annotations) -> Result<Option<Self>, PolicyError> {
        match annotations.get(names::FAILURE_ACCRUAL).map(String::as_str) {
            None | Some("unified") => return Ok(None),
            Some("consecutive") => {}
            Some(mode) => {
                return Err(invalid(
                    names::FAILURE_ACCRUAL,
                    format!("invalid value `{mode}`, expected `consecutive` or `unified`"),
                ));
            }
        }
        Self::parameters(annotations).map(Some)
    }

    /// Parses the parameters `failure-accrual-consecutive-*`, which both modes read.
    fn parameters(annotations: &Annotations) -> Result<Self, PolicyError> {
        let key = |end: &str| format!("{}-consecutive-{end}", names::FAILURE_ACCRUAL);
        let default = Self::default();
        let number = |end: &str| {
            annotations
                .get(&key(end))
                .map(|v| {
                    v.parse::<f32>()
                        .map_err(|_| invalid(&key(end), format!("invalid value `{v}`, expected a number")))
                })
                .transpose()
        };
        Ok(Self {
            max_failures: number("max-failures")?.map_or(default.max_failures, |n| n as u32),
            min_penalty: duration_of(annotations, &key("min-penalty"))?.unwrap_or(default.min_penalty),
            max_penalty: duration_of(annotations, &key("max-penalty"))?.unwrap_or(default.max_penalty),
            jitter_ratio: number("jitter-ratio")?.unwrap_or(default.jitter_ratio),
        })
    }
}

fn duration_of(annotations: &Annotations, key: &str) -> Result<Option<Duration>, PolicyError> {
    annotations.get(key).map(|value| duration::annotation(value).map_err(|e| invalid(key, e))).transpose()
}

fn invalid(key: &str, what: impl ToString) -> PolicyError {
    PolicyError { key: key.to_owned(), what: what.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(pairs: &[(&str, &str)]) -> Annotations {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn retry_conditions_are_codes_ranges_and_named_classes() {
        assert_eq!(
            statuses("5xx,gateway-error,429,500-503"),
            Some(vec![(500, 599), (502, 504), (429, 429), (500, 503)])
        );
        for bad in ["", "4xx", "503-500", "600", "5xx, 429"] {
            assert_eq!(statuses(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_limit_of_0_means_the_default_of_1() {
        let retry =
            Retry::from_annotations(&annotations(&[(names::RETRY_HTTP, "5xx"), (names::RETRY_LIMIT, "0")]));
        assert_eq!(retry.unwrap().unwrap().limit, 1);
    }

    #[test]
    fn one_invalid_value_invalidates_the_retry_policy() {
        let error = Retry::from_annotations(&annotations(&[
            (names::RETRY_HTTP, "5xx"),
            (names::RETRY_TIMEOUT, "1.5s"),
        ]));
        assert_eq!(error.unwrap_err().key, names::RETRY_TIMEOUT);
    }

    #[test]
    fn objects_without_annotations_have_no_policy() {
        assert_eq!(Retry::from_annotations(&Annotations::new()), Ok(None));
        assert_eq!(Consecutive::from_annotations(&Annotations::new()), Ok(None));
    }
}
