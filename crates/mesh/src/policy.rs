//! The newer dialect: retries, timeouts and the circuit breaker as annotations on a Service or a route.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{duration, names};

/// Annotations of one object.
pub type Annotations = BTreeMap<String, String>;

/// An annotation that the policy controller cannot read; it then drops the whole set and logs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct PolicyError {
    /// The annotation.
    pub key: String,
    /// What is wrong with its value.
    pub what: String,
}

/// Retries by annotation: no budget, at most `limit` for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Ranges of statuses, both ends included; empty: none.
    pub statuses: Vec<(u16, u16)>,
    /// Retries for one request; `0` and absent both mean 1.
    pub limit: u16,
    /// How long one try but the last may wait for its headers.
    pub timeout: Option<Duration>,
}

impl Retry {
    /// Reads `retry.linkerd.io/http`, `/limit` and `/timeout`; none when not one of them says anything.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn from_annotations(annotations: &Annotations) -> Result<Option<Self>, PolicyError> {
        let limit = annotations.get(names::RETRY_LIMIT).map(|value| {
            value
                .parse::<u16>()
                .map_err(|_| fault(names::RETRY_LIMIT, format!("`{value}` is not a number from 0 to 65535")))
        });
        let limit = limit.transpose()?.filter(|limit| *limit != 0);
        let timeout = time(annotations, names::RETRY_TIMEOUT)?.filter(|t| !t.is_zero());
        let statuses = annotations.get(names::RETRY_HTTP).map(|value| {
            statuses(value).ok_or_else(|| {
                fault(
                    names::RETRY_HTTP,
                    format!("`{value}` is not a list of 5xx, gateway-error, codes and ranges"),
                )
            })
        });
        let statuses = statuses.transpose()?;
        if limit.is_none() && timeout.is_none() && statuses.is_none() {
            return Ok(None);
        }
        Ok(Some(Self { statuses: statuses.unwrap_or_default(), limit: limit.unwrap_or(1), timeout }))
    }

    /// Whether an answer with this status is asked for again.
    pub fn covers(&self, status: u16) -> bool {
        self.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

/// Reads a list of conditions: `5xx`, `gateway-error`, `503`, `500-504`; nothing if one cannot be read.
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

/// Timeouts by annotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Over all tries.
    pub request: Option<Duration>,
    /// One backend's response.
    pub response: Option<Duration>,
    /// Silence on a stream.
    pub idle: Option<Duration>,
}

impl Timeouts {
    /// Reads `timeout.linkerd.io/*`.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn from_annotations(annotations: &Annotations) -> Result<Self, PolicyError> {
        Ok(Self {
            request: time(annotations, names::TIMEOUT_REQUEST)?,
            response: time(annotations, names::TIMEOUT_RESPONSE)?,
            idle: time(annotations, names::TIMEOUT_IDLE)?,
        })
    }
}

/// The circuit breaker `consecutive`: this many failures in a row shut an endpoint out for a growing time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Consecutive {
    /// Failures in a row; 7 where absent.
    pub max_failures: u32,
    /// The first penalty; 1 s where absent.
    pub min_penalty: Duration,
    /// The longest penalty; 60 s where absent.
    pub max_penalty: Duration,
    /// How much of a penalty is chance; 0.5 where absent.
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
    /// Reads `balancer.linkerd.io/failure-accrual` and its parameters; none when it is not on or not `consecutive`.
    ///
    /// # Errors
    /// A value cannot be read.
    pub fn from_annotations(annotations: &Annotations) -> Result<Option<Self>, PolicyError> {
        match annotations.get(names::FAILURE_ACCRUAL).map(String::as_str) {
            None | Some("unified") => return Ok(None),
            Some("consecutive") => {}
            Some(mode) => {
                return Err(fault(
                    names::FAILURE_ACCRUAL,
                    format!("`{mode}` is neither `consecutive` nor `unified`"),
                ));
            }
        }
        let key = |end: &str| format!("{}-consecutive-{end}", names::FAILURE_ACCRUAL);
        let default = Self::default();
        let number = |end: &str| {
            annotations
                .get(&key(end))
                .map(|v| v.parse::<f32>().map_err(|_| fault(&key(end), format!("`{v}` is not a number"))))
                .transpose()
        };
        Ok(Some(Self {
            max_failures: number("max-failures")?.map_or(default.max_failures, |n| n as u32),
            min_penalty: time(annotations, &key("min-penalty"))?.unwrap_or(default.min_penalty),
            max_penalty: time(annotations, &key("max-penalty"))?.unwrap_or(default.max_penalty),
            jitter_ratio: number("jitter-ratio")?.unwrap_or(default.jitter_ratio),
        }))
    }
}

fn time(annotations: &Annotations, key: &str) -> Result<Option<Duration>, PolicyError> {
    annotations.get(key).map(|value| duration::annotation(value).map_err(|e| fault(key, e))).transpose()
}

fn fault(key: &str, what: impl ToString) -> PolicyError {
    PolicyError { key: key.to_owned(), what: what.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(pairs: &[(&str, &str)]) -> Annotations {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn conditions_are_codes_ranges_and_two_words() {
        assert_eq!(
            statuses("5xx,gateway-error,429,500-503"),
            Some(vec![(500, 599), (502, 504), (429, 429), (500, 503)])
        );
        for bad in ["", "4xx", "503-500", "600", "5xx, 429"] {
            assert_eq!(statuses(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_limit_of_zero_is_the_default_of_one() {
        let retry =
            Retry::from_annotations(&annotations(&[(names::RETRY_HTTP, "5xx"), (names::RETRY_LIMIT, "0")]));
        assert_eq!(retry.unwrap().unwrap().limit, 1);
    }

    #[test]
    fn one_bad_value_voids_the_set() {
        let error = Retry::from_annotations(&annotations(&[
            (names::RETRY_HTTP, "5xx"),
            (names::RETRY_TIMEOUT, "1.5s"),
        ]));
        assert_eq!(error.unwrap_err().key, names::RETRY_TIMEOUT);
    }

    #[test]
    fn no_annotation_is_no_policy() {
        assert_eq!(Retry::from_annotations(&Annotations::new()), Ok(None));
        assert_eq!(Consecutive::from_annotations(&Annotations::new()), Ok(None));
    }
}
