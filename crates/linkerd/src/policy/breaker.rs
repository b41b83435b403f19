//! The circuit breaker of a Service: `consecutive` or `unified`.

use std::time::Duration;

use super::{Annotations, Consecutive, PolicyError, duration_of, invalid};
use crate::names;

/// The circuit breaker that the annotations of a Service configure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Breaker {
    /// Counts consecutive failures.
    Consecutive(Consecutive),
    /// Also measures the success rate.
    Unified(Unified),
}

/// The circuit breaker `unified` (Linkerd 2.20): opens after consecutive failures, or when the success rate is low.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unified {
    /// The part that `unified` shares with `consecutive`; `max_failures` 0 turns it off.
    pub consecutive: Consecutive,
    /// The success rate below which the circuit breaker opens; 0.8 where absent, 0 turns this part off.
    pub threshold: f64,
    /// The window of the success rate; 10 s where absent.
    pub window: Duration,
    /// The number of responses in the window that are needed to open the circuit breaker; 5 where absent.
    pub min_requests: u32,
}

impl Breaker {
    /// Parses `balancer.linkerd.io/failure-accrual` and the parameters of its mode. Returns `None` without a mode. Defaults and
    /// bounds are those of Linkerd's `parse_accrual_config`.
    ///
    /// # Errors
    /// Returns the first annotation with an invalid value; the controller then uses no circuit breaker.
    pub fn from_annotations(annotations: &Annotations) -> Result<Option<Self>, PolicyError> {
        if annotations.get(names::FAILURE_ACCRUAL).map(String::as_str) != Some("unified") {
            return Ok(Consecutive::from_annotations(annotations)?.map(Self::Consecutive));
        }
        let key = |end: &str| format!("balancer.alpha.linkerd.io/failure-accrual-success-rate-{end}");
        let threshold = number(annotations, &key("threshold"))?.unwrap_or(0.8);
        if !(0.0..=1.0).contains(&threshold) {
            return Err(invalid(&key("threshold"), format!("invalid value `{threshold}`, expected 0 to 1")));
        }
        let window = duration_of(annotations, &key("window"))?.unwrap_or(Duration::from_secs(10));
        if window.is_zero() || threshold > 0.0 && window < Duration::from_millis(10) {
            return Err(invalid(
                &key("window"),
                format!("invalid window {window:?}, expected at least 10ms"),
            ));
        }
        let min_requests = number(annotations, &key("min-requests"))?.unwrap_or(5);
        if threshold > 0.0 && min_requests > 1_000_000 {
            let what = format!("invalid value `{min_requests}`, expected at most 1000000");
            return Err(invalid(&key("min-requests"), what));
        }
        let consecutive = Consecutive::parameters(annotations)?;
        Ok(Some(Self::Unified(Unified { consecutive, threshold, window, min_requests })))
    }
}

fn number<T: std::str::FromStr>(annotations: &Annotations, key: &str) -> Result<Option<T>, PolicyError> {
    let parse = |value: &String| {
        value.trim().parse().map_err(|_| invalid(key, format!("invalid value `{value}`, expected a number")))
    };
    annotations.get(key).map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(pairs: &[(&str, &str)]) -> Result<Option<Breaker>, PolicyError> {
        let annotations = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Breaker::from_annotations(&annotations)
    }

    const UNIFIED: (&str, &str) = (names::FAILURE_ACCRUAL, "unified");
    const THRESHOLD: &str = "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold";

    #[test]
    fn unified_has_the_defaults_of_linkerd() {
        let Ok(Some(Breaker::Unified(unified))) = breaker(&[UNIFIED]) else { panic!("not unified") };
        assert_eq!((unified.threshold, unified.min_requests), (0.8, 5));
        assert_eq!((unified.window, unified.consecutive.max_failures), (Duration::from_secs(10), 7));
    }

    #[test]
    fn an_invalid_parameter_is_named() {
        assert_eq!(breaker(&[UNIFIED, (THRESHOLD, "1.5")]).unwrap_err().key, THRESHOLD);
        assert_eq!(breaker(&[(names::FAILURE_ACCRUAL, "always")]).unwrap_err().key, names::FAILURE_ACCRUAL);
        assert_eq!(breaker(&[(THRESHOLD, "0.5")]), Ok(None));
    }
}
