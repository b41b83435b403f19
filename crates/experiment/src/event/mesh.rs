//! What the mesh counted at the watched service of a step, with the prediction for it.

use std::collections::BTreeMap;

use meshy_metrics::Outcomes;
use meshy_metrics::routes::{RouteCounts, Service};
use meshy_predict::edge::{EdgePrediction, Policy};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

/// What the proxies and the service counted during a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct Mesh {
    /// The service.
    pub service: Service,
    /// The policy in force.
    pub policy: Policy,
    /// The share of requests that fail by its faults; absent for an application that is not meshy's test service.
    pub fail_ratio: Option<f64>,
    /// All its routes together, as its clients count them.
    pub clients: RouteCounts,
    /// All its routes together, as its own proxies count them: attempts.
    pub servers: RouteCounts,
    /// The outcomes of the requests.
    pub outcomes: Outcomes,
    /// The prediction for the same number of requests.
    pub prediction: Option<EdgePrediction>,
    /// Why nothing was predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpredicted: Option<String>,
    /// Pods whose counts are missing, and why.
    pub gaps: Vec<String>,
}

/// Requests with one number of attempts, where the service reports it to the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
pub struct AttemptCounts {
    /// Requests.
    pub requests: u64,
    /// Of these, successful ones.
    pub succeeded: u64,
    /// Their median latency, in milliseconds.
    pub p50_ms: f64,
}

/// Requests by their number of attempts.
pub type ByAttempts = BTreeMap<u32, AttemptCounts>;

/// Reads numbers as keys, which are texts in JSON: within a tagged enum serde does not convert them itself.
pub(super) fn by_attempts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByAttempts, D::Error> {
    let texts = BTreeMap::<String, AttemptCounts>::deserialize(deserializer)?;
    let numbers =
        texts.into_iter().map(|(key, counts)| Ok((key.parse().map_err(de::Error::custom)?, counts)));
    numbers.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{Event, Kind, StepEnded, Totals};

    #[test]
    fn counts_by_attempts_are_read_as_they_were_written() {
        let outcomes = Outcomes { after_retries_by_attempt_count: [(2, 5)].into(), ..Outcomes::default() };
        let (clients, servers) = Default::default();
        let mesh = Mesh {
            service: Service { namespace: "default".to_owned(), name: "a".to_owned() },
            policy: Policy::DEFAULT_BUDGET,
            fail_ratio: Some(0.7),
            clients,
            servers,
            outcomes,
            prediction: None,
            unpredicted: None,
            gaps: Vec::new(),
        };
        let attempts = [(3, AttemptCounts { requests: 4, succeeded: 4, p50_ms: 1.5 })].into();
        let totals = Totals { attempts, mesh: Some(Box::new(mesh)), ..Totals::default() };
        let ended = Kind::StepEnded(StepEnded { totals, ..StepEnded::default() });
        let event = Event::new(jiff::Timestamp::UNIX_EPOCH, Duration::ZERO, None, ended);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
