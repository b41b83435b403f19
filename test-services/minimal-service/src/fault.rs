//! Decides which requests fail, and how.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::random::Random;

/// The faults of a service: the body of `GET /fault` on the admin port.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Fault {
    /// Percent of requests that are discarded, 0 to 100.
    pub quota: u8,
    /// Whether discarded requests get 500; otherwise they get an empty 200.
    pub reject: bool,
    /// Statuses returned in turn, repeated; 200 serves the request. If it is not empty, `quota` is not used.
    pub sequence: Vec<u16>,
    /// The random seed that selects the discarded requests; without it, each start differs.
    pub seed: Option<u64>,
    /// Each response is delayed by a uniformly distributed time from 0 to this many seconds.
    pub delay_max: f64,
}

/// A change of [`Fault`]: the body of `PUT /fault`. Absent keys stay unchanged.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultChange {
    /// As [`Fault::quota`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u8>,
    /// As [`Fault::reject`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<bool>,
    /// As [`Fault::sequence`]; starts at its first status, `[]` removes the sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Vec<u16>>,
    /// As [`Fault::seed`]; restarts the random numbers. `Some(None)`, which is `null`, removes it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub seed: Option<Option<u64>>,
    /// As [`Fault::delay_max`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_max: Option<f64>,
}

/// Distinguishes `null` from an absent key.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A setting that is out of range.
#[derive(Debug)]
pub(crate) struct Invalid {
    /// The environment variable.
    pub(crate) variable: &'static str,
    /// The key in the JSON of the admin port.
    pub(crate) key: &'static str,
    pub(crate) value: String,
    pub(crate) reason: &'static str,
}

/// The largest `DELAY_MAX`, in seconds: longer than any client timeout.
const MAX_DELAY: f64 = 3600.0;

/// The most statuses in a sequence. It bounds memory, because the admin port accepts a sequence from any client.
const MAX_SEQUENCE: usize = 1000;

impl Fault {
    /// Checks that each setting is in its range.
    ///
    /// # Errors
    /// Returns the first setting that is out of range.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let invalid = |variable, key, value: &dyn ToString, reason| {
            Err(Invalid { variable, key, value: value.to_string(), reason })
        };
        if self.quota > 100 {
            return invalid("DISCARD_QUOTA", "quota", &self.quota, "expected a percentage from 0 to 100");
        }
        if let Some(status) = self.sequence.iter().find(|status| !(200..=599).contains(*status)) {
            return invalid("SEQUENCE", "sequence", status, "expected a status from 200 to 599");
        }
        if self.sequence.len() > MAX_SEQUENCE {
            return invalid(
                "SEQUENCE",
                "sequence",
                &format!("{} statuses", self.sequence.len()),
                "expected at most 1000",
            );
        }
        if !(0.0..=MAX_DELAY).contains(&self.delay_max) {
            return invalid(
                "DELAY_MAX",
                "delay_max",
                &self.delay_max,
                "expected a delay from 0 to 3600 seconds",
            );
        }
        Ok(())
    }
}

/// What the service does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Serves the request after this delay.
    Serve(Duration),
    /// Returns an empty 200.
    Discard,
    /// Returns this error status.
    Reject(StatusCode),
}

/// Decides the action for each request.
#[derive(Debug)]
pub(crate) struct Faults {
    fault: Fault,
    /// How many statuses of the sequence were used.
    step: usize,
    random: Random,
    /// Separate from `random`, so that a seed selects the same failures with and without delays.
    delays: Random,
}

impl Faults {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { step: 0, random: Random::new(fault.seed), delays: Random::new(None), fault }
    }

    pub(crate) fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Applies all of a change, or nothing if the result is not valid.
    ///
    /// # Errors
    /// Returns the first setting that is out of range.
    pub(crate) fn change(&mut self, change: FaultChange) -> Result<(), Invalid> {
        let mut fault = self.fault.clone();
        fault.quota = change.quota.unwrap_or(fault.quota);
        fault.reject = change.reject.unwrap_or(fault.reject);
        fault.delay_max = change.delay_max.unwrap_or(fault.delay_max);
        fault.seed = change.seed.unwrap_or(fault.seed);
        if let Some(sequence) = &change.sequence {
            fault.sequence.clone_from(sequence);
        }
        fault.check()?;
        if change.sequence.is_some() {
            self.step = 0;
        }
        if let Some(seed) = change.seed {
            self.random = Random::new(seed);
        }
        self.fault = fault;
        Ok(())
    }

    /// Returns the action for the next request.
    pub(crate) fn next(&mut self) -> Action {
        if !self.fault.sequence.is_empty() {
            let status = self.fault.sequence[self.step % self.fault.sequence.len()];
            self.step = (self.step + 1) % self.fault.sequence.len();
            return match StatusCode::from_u16(status) {
                Ok(StatusCode::OK) | Err(_) => self.serve(),
                Ok(status) => Action::Reject(status),
            };
        }
        // A number is drawn even if the quota is 0, so that the nth request of a seed does not depend on earlier quotas.
        if self.random.unit() * 100.0 >= f64::from(self.fault.quota) {
            return self.serve();
        }
        if self.fault.reject { Action::Reject(StatusCode::INTERNAL_SERVER_ERROR) } else { Action::Discard }
    }

    fn serve(&mut self) -> Action {
        if self.fault.delay_max == 0.0 {
            return Action::Serve(Duration::ZERO);
        }
        Action::Serve(Duration::from_secs_f64(self.delays.unit() * self.fault.delay_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejects(fault: Fault, requests: usize) -> usize {
        let mut faults = Faults::new(fault);
        (0..requests).filter(|_| matches!(faults.next(), Action::Reject(_))).count()
    }

    #[test]
    fn a_quota_of_70_rejects_70_percent_on_average_over_seeds() {
        // Three standard deviations of a million draws at 70 % are 1,375. A single seed is not enough: with 10,000 draws
        // the count of seed 1 differs by 3.01 standard deviations.
        let of_seed =
            |seed| rejects(Fault { quota: 70, reject: true, seed: Some(seed), ..Fault::default() }, 10_000);
        let rejected: usize = (0..100).map(of_seed).sum();
        assert!((698_625..=701_375).contains(&rejected), "{rejected}");
    }

    #[test]
    fn a_quota_of_0_rejects_no_request_and_100_rejects_all() {
        assert_eq!(rejects(Fault { quota: 0, reject: true, ..Fault::default() }, 1_000), 0);
        assert_eq!(rejects(Fault { quota: 100, reject: true, ..Fault::default() }, 1_000), 1_000);
    }

    #[test]
    fn a_seed_reproduces_its_failures_with_and_without_delays() {
        let actions = |delay_max| {
            let mut faults = Faults::new(Fault { quota: 50, seed: Some(7), delay_max, ..Fault::default() });
            (0..64).map(|_| faults.next() == Action::Discard).collect::<Vec<_>>()
        };
        assert_eq!(actions(0.0), actions(0.0));
        assert_eq!(actions(0.0), actions(0.5));
    }

    #[test]
    fn a_sequence_repeats_and_overrides_the_quota() {
        let mut faults = Faults::new(Fault { quota: 100, sequence: vec![500, 503, 200], ..Fault::default() });
        let actions: Vec<_> = (0..4).map(|_| faults.next()).collect();
        let (internal, unavailable) = (StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE);
        let reject = Action::Reject;
        assert_eq!(
            actions,
            [reject(internal), reject(unavailable), Action::Serve(Duration::ZERO), reject(internal)]
        );
    }

    #[test]
    fn a_change_keeps_absent_keys_and_an_invalid_change_keeps_all() {
        let mut faults = Faults::new(Fault { quota: 70, reject: true, ..Fault::default() });
        faults.change(FaultChange { quota: Some(20), ..FaultChange::default() }).unwrap();
        assert_eq!(faults.fault(), &Fault { quota: 20, reject: true, ..Fault::default() });
        let invalid = FaultChange { quota: Some(30), sequence: Some(vec![99]), ..FaultChange::default() };
        assert_eq!(faults.change(invalid).unwrap_err().key, "sequence");
        assert_eq!(faults.fault().quota, 20);
    }

    #[test]
    fn a_seed_is_removed_by_null_and_kept_if_the_key_is_absent() {
        let mut faults = Faults::new(Fault::default());
        for (change, seed) in
            [(r#"{"seed":7}"#, Some(7)), (r#"{"quota":1}"#, Some(7)), (r#"{"seed":null}"#, None)]
        {
            faults.change(serde_json::from_str(change).unwrap()).unwrap();
            assert_eq!(faults.fault().seed, seed, "{change}");
        }
    }

    #[test]
    fn delays_stay_below_the_maximum() {
        let mut faults = Faults::new(Fault { delay_max: 0.25, ..Fault::default() });
        for _ in 0..1_000 {
            let Action::Serve(delay) = faults.next() else { panic!("a request failed") };
            assert!(delay < Duration::from_millis(250));
        }
    }
}
