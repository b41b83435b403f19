//! The load biaser of a Service: failures make an endpoint look slow.

use std::time::Duration;

use super::{Annotations, PolicyError, duration_of, invalid};

const ENABLED: &str = "balancer.alpha.linkerd.io/penalize-failures";
const PENALTY: &str = "balancer.alpha.linkerd.io/load-biaser-penalty";
const MAX_RETRY_AFTER: &str = "balancer.alpha.linkerd.io/load-biaser-max-retry-after";

/// How failures add to the load of an endpoint (Linkerd 2.20, an alpha feature).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadBiaser {
    /// The latency that a failure counts as; 5 s where absent.
    pub penalty: Duration,
    /// The longest `Retry-After` that takes the place of a shorter penalty; 300 s where absent.
    pub max_retry_after: Duration,
}

impl LoadBiaser {
    /// Parses `balancer.alpha.linkerd.io/penalize-failures` and its parameters. Returns `None` if it is absent or false. Defaults
    /// and bounds are those of Linkerd's `parse_load_biaser_config`.
    ///
    /// # Errors
    /// Returns the first annotation with an invalid value; the controller then enables nothing.
    pub fn from_annotations(annotations: &Annotations) -> Result<Option<Self>, PolicyError> {
        // The words of Go's `strconv.ParseBool`.
        match annotations.get(ENABLED).map(|text| text.trim()) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => return Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => {}
            Some(other) => {
                return Err(invalid(ENABLED, format!("invalid value `{other}`, expected true or false")));
            }
        }
        let penalty = duration_of(annotations, PENALTY)?.unwrap_or(Duration::from_secs(5));
        if penalty.as_millis() > u128::from(u32::MAX) {
            return Err(invalid(PENALTY, format!("invalid penalty {penalty:?}, expected at most 49 days")));
        }
        let max_retry_after = duration_of(annotations, MAX_RETRY_AFTER)?.unwrap_or(Duration::from_secs(300));
        Ok(Some(Self { penalty, max_retry_after }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pairs: &[(&str, &str)]) -> Result<Option<LoadBiaser>, PolicyError> {
        let annotations = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        LoadBiaser::from_annotations(&annotations)
    }

    #[test]
    fn the_load_biaser_is_opt_in_with_linkerds_defaults() {
        assert_eq!((parsed(&[]), parsed(&[(ENABLED, "false")])), (Ok(None), Ok(None)));
        let found = parsed(&[(ENABLED, "true")]).unwrap().unwrap();
        assert_eq!(
            (found.penalty, found.max_retry_after),
            (Duration::from_secs(5), Duration::from_secs(300))
        );
        let own = parsed(&[(ENABLED, "1"), (PENALTY, "2s"), (MAX_RETRY_AFTER, "10s")]).unwrap().unwrap();
        assert_eq!((own.penalty, own.max_retry_after), (Duration::from_secs(2), Duration::from_secs(10)));
        assert_eq!(parsed(&[(ENABLED, "yes")]).unwrap_err().key, ENABLED);
        assert_eq!(parsed(&[(ENABLED, "t"), (PENALTY, "soon")]).unwrap_err().key, PENALTY);
    }
}
