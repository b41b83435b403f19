//! Retries by annotation: of which responses, how often, and how long an attempt may take.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::StatusCode;

/// Retries by annotation. They have a limit and a backoff instead of a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// The statuses that are retried.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// The gRPC statuses that are retried, on GRPCRoutes only.
    pub grpc: Vec<u8>,
    /// The largest number of retries of one request.
    pub limit: u16,
    /// How long an attempt may take until its response's headers before it is retried; not applied to the last attempt.
    pub timeout: Option<Duration>,
}

impl Retry {
    /// Parses the value of `retry.linkerd.io/http`: a comma-separated list of codes, ranges (`500-504`), `5xx` and
    /// `gateway-error`. A missing limit is 1, and so is 0, which Linkerd treats as missing.
    ///
    /// # Errors
    /// On the first part that is not one of these.
    pub fn parse(http: &str, limit: Option<u16>, timeout: Option<Duration>) -> Result<Self, ParseRetryError> {
        let statuses = http.split(',').map(|part| range(part.trim())).collect::<Result<_, _>>()?;
        Ok(Self { statuses, grpc: Vec::new(), limit: limit.filter(|limit| *limit > 0).unwrap_or(1), timeout })
    }

    /// Whether a response with this status is retried.
    pub fn matches(&self, status: StatusCode) -> bool {
        self.statuses.iter().any(|range| range.contains(&status.as_u16()))
    }
}

/// A part of a retry annotation is invalid.
#[derive(Debug, thiserror::Error)]
#[error("invalid statuses to retry `{0}`, expected a code, a range, `5xx` or `gateway-error`")]
pub struct ParseRetryError(String);

fn range(part: &str) -> Result<RangeInclusive<u16>, ParseRetryError> {
    let invalid = || ParseRetryError(part.to_owned());
    let code = |text: &str| text.parse().ok().filter(|code| (100..600).contains(code)).ok_or_else(invalid);
    match part {
        "5xx" => Ok(500..=599),
        "gateway-error" => Ok(502..=504),
        _ => match part.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (code(first)?, code(last)?);
                if first <= last { Ok(first..=last) } else { Err(invalid()) }
            }
            None => code(part).map(|code| code..=code),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(text: &str) -> Vec<RangeInclusive<u16>> {
        Retry::parse(text, None, None).expect("a valid value").statuses
    }

    #[test]
    fn codes_ranges_5xx_and_gateway_error_are_valid() {
        assert_eq!(statuses("5xx"), [500..=599]);
        assert_eq!(statuses("gateway-error, 429"), [502..=504, 429..=429]);
        assert_eq!(statuses("500-502,508"), [500..=502, 508..=508]);
    }

    #[test]
    fn other_statuses_are_rejected_and_named() {
        for invalid in ["", "4xx", "600", "504-502", "5xx;429", "99"] {
            assert!(Retry::parse(invalid, None, None).is_err(), "{invalid:?} was accepted");
        }
        let error = Retry::parse("5xx,teapot", None, None).unwrap_err().to_string();
        assert!(error.contains("`teapot`"), "{error}");
    }

    #[test]
    fn a_missing_limit_and_a_limit_of_zero_are_one() {
        assert_eq!(Retry::parse("5xx", Some(0), None).unwrap().limit, 1);
        assert_eq!(Retry::parse("5xx", None, None).unwrap().limit, 1);
        assert_eq!(Retry::parse("5xx", Some(3), None).unwrap().limit, 3);
    }
}
