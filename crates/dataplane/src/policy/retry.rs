//! Retries by annotation: which answers, how often, how long a try may take.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::StatusCode;

/// Retries by annotation. They have no budget: a limit and a pause instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The statuses that are asked for again.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// The most retries of one request.
    pub limit: u16,
    /// How long a try may take to answer with headers before it is retried; not applied to the last try.
    pub timeout: Option<Duration>,
}

impl Retry {
    /// Reads the value of `retry.linkerd.io/http` and takes a limit.
    ///
    /// The value is a comma list of a code, a range `500-504`, `5xx` and `gateway-error`. A limit of 0 is what Linkerd
    /// takes for "not given", so it gives 1 as well.
    ///
    /// # Errors
    /// On the first part that is none of these.
    pub fn parse(http: &str, limit: Option<u16>, timeout: Option<Duration>) -> Result<Self, BadRetry> {
        let statuses = http.split(',').map(|part| range(part.trim())).collect::<Result<_, _>>()?;
        Ok(Self { statuses, limit: limit.filter(|limit| *limit > 0).unwrap_or(1), timeout })
    }

    /// Whether an answer with this status is asked for again.
    pub fn takes(&self, status: StatusCode) -> bool {
        self.statuses.iter().any(|range| range.contains(&status.as_u16()))
    }
}

/// A part of a retry annotation that says nothing known.
#[derive(Debug, thiserror::Error)]
#[error("read `{0}` as statuses to retry: neither a code, a range, `5xx` nor `gateway-error`")]
pub struct BadRetry(String);

fn range(part: &str) -> Result<RangeInclusive<u16>, BadRetry> {
    let bad = || BadRetry(part.to_owned());
    let code = |text: &str| text.parse().ok().filter(|code| (100..600).contains(code)).ok_or_else(bad);
    match part {
        "5xx" => Ok(500..=599),
        "gateway-error" => Ok(502..=504),
        _ => match part.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (code(first)?, code(last)?);
                if first <= last { Ok(first..=last) } else { Err(bad()) }
            }
            None => code(part).map(|code| code..=code),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(text: &str) -> Vec<RangeInclusive<u16>> {
        Retry::parse(text, None, None).expect("a good value").statuses
    }

    #[test]
    fn codes_ranges_and_the_two_words_are_understood() {
        assert_eq!(statuses("5xx"), [500..=599]);
        assert_eq!(statuses("gateway-error, 429"), [502..=504, 429..=429]);
        assert_eq!(statuses("500-502,508"), [500..=502, 508..=508]);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for bad in ["", "4xx", "600", "504-502", "5xx;429", "99"] {
            assert!(Retry::parse(bad, None, None).is_err(), "{bad:?} was taken");
        }
        let error = Retry::parse("5xx,teapot", None, None).unwrap_err().to_string();
        assert!(error.contains("`teapot`"), "{error}");
    }

    #[test]
    fn a_limit_of_zero_counts_as_not_given() {
        assert_eq!(Retry::parse("5xx", Some(0), None).unwrap().limit, 1);
        assert_eq!(Retry::parse("5xx", None, None).unwrap().limit, 1);
        assert_eq!(Retry::parse("5xx", Some(3), None).unwrap().limit, 3);
    }
}
