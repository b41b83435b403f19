//! Which requests fail, and how.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::random::Random;

/// How a service fails: the body of `GET /fault` on the admin port.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Fault {
    /// Percent of requests that are discarded, 0 to 100.
    pub quota: u8,
    /// Discarded requests are answered 500; otherwise an empty 200.
    pub reject: bool,
    /// Statuses given in turn, over and over; 200 means an honest answer. While there are any, `quota` is not asked.
    pub sequence: Vec<u16>,
    /// What the discarding's chance starts from; without it, each start differs.
    pub seed: Option<u64>,
    /// Each answer waits for a time drawn evenly from 0 to this many seconds.
    pub delay_max: f64,
}

/// A change of [`Fault`]: the body of `PUT /fault`. What is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultChange {
    /// As [`Fault::quota`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u8>,
    /// As [`Fault::reject`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<bool>,
    /// As [`Fault::sequence`]; starts from its first status, `[]` ends the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Vec<u16>>,
    /// As [`Fault::seed`]; chance starts again from it. `Some(None)`, which is `null`, removes the seed.
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

/// A setting out of its range.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// The variable of the environment.
    pub(crate) variable: &'static str,
    /// The key of the admin port's JSON.
    pub(crate) key: &'static str,
    pub(crate) value: String,
    pub(crate) reason: &'static str,
}

/// The longest `DELAY_MAX`, in seconds: far beyond it nothing is a delay any more, and a pod could not drain.
const LONGEST_DELAY: f64 = 3600.0;

/// The longest script: bounded, since the admin port takes one from anybody who reaches it.
const LONGEST_SEQUENCE: usize = 1000;

impl Fault {
    /// Finds the first setting out of its range.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        let wrong = |variable, key, value: &dyn ToString, reason| {
            Err(Wrong { variable, key, value: value.to_string(), reason })
        };
        if self.quota > 100 {
            return wrong("DISCARD_QUOTA", "quota", &self.quota, "a percentage lies in 0 to 100");
        }
        if let Some(status) = self.sequence.iter().find(|status| !(200..=599).contains(*status)) {
            return wrong("SEQUENCE", "sequence", status, "a status lies in 200 to 599");
        }
        if self.sequence.len() > LONGEST_SEQUENCE {
            return wrong("SEQUENCE", "sequence", &self.sequence.len(), "a script has at most 1000 statuses");
        }
        if !(0.0..=LONGEST_DELAY).contains(&self.delay_max) {
            return wrong("DELAY_MAX", "delay_max", &self.delay_max, "a delay lies in 0 to 3600 seconds");
        }
        Ok(())
    }
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// An honest answer, after this wait.
    Serve(Duration),
    /// An empty 200.
    Discard,
    /// This failing status.
    Reject(StatusCode),
}

/// Decides request after request.
#[derive(Debug)]
pub(crate) struct Faults {
    fault: Fault,
    /// How many statuses of the script were given.
    step: usize,
    chance: Random,
    /// Apart from `chance`, so that a seed's failures are the same with and without delays.
    delays: Random,
}

impl Faults {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { step: 0, chance: Random::new(fault.seed), delays: Random::new(None), fault }
    }

    pub(crate) fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Takes over a change, whole or not at all.
    pub(crate) fn change(&mut self, change: FaultChange) -> Result<(), Wrong> {
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
            self.chance = Random::new(seed);
        }
        self.fault = fault;
        Ok(())
    }

    /// The fate of the next request.
    pub(crate) fn next(&mut self) -> Fate {
        if !self.fault.sequence.is_empty() {
            let status = self.fault.sequence[self.step % self.fault.sequence.len()];
            self.step = (self.step + 1) % self.fault.sequence.len();
            return match StatusCode::from_u16(status) {
                Ok(StatusCode::OK) | Err(_) => self.serve(),
                Ok(status) => Fate::Reject(status),
            };
        }
        // Drawn even at a quota of 0, so that a seed's nth request has the same fate whatever the quota was before.
        if self.chance.unit() * 100.0 >= f64::from(self.fault.quota) {
            return self.serve();
        }
        if self.fault.reject { Fate::Reject(StatusCode::INTERNAL_SERVER_ERROR) } else { Fate::Discard }
    }

    fn serve(&mut self) -> Fate {
        if self.fault.delay_max == 0.0 {
            return Fate::Serve(Duration::ZERO);
        }
        Fate::Serve(Duration::from_secs_f64(self.delays.unit() * self.fault.delay_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejects(fault: Fault, requests: usize) -> usize {
        let mut faults = Faults::new(fault);
        (0..requests).filter(|_| matches!(faults.next(), Fate::Reject(_))).count()
    }

    #[test]
    fn a_quota_of_70_rejects_70_percent_whatever_the_seed() {
        // Three standard deviations of a million draws at 70 % are 1,375. One seed alone is no proof either way: with
        // 10,000 draws of seed 1 the count lies 3.01 deviations off.
        let of_seed =
            |seed| rejects(Fault { quota: 70, reject: true, seed: Some(seed), ..Fault::default() }, 10_000);
        let rejected: usize = (0..100).map(of_seed).sum();
        assert!((698_625..=701_375).contains(&rejected), "{rejected}");
    }

    #[test]
    fn the_quotas_ends_are_never_and_always() {
        assert_eq!(rejects(Fault { quota: 0, reject: true, ..Fault::default() }, 1_000), 0);
        assert_eq!(rejects(Fault { quota: 100, reject: true, ..Fault::default() }, 1_000), 1_000);
    }

    #[test]
    fn a_seed_repeats_its_failures_and_delays_do_not_move_them() {
        let fates = |delay_max| {
            let mut faults = Faults::new(Fault { quota: 50, seed: Some(7), delay_max, ..Fault::default() });
            (0..64).map(|_| faults.next() == Fate::Discard).collect::<Vec<_>>()
        };
        assert_eq!(fates(0.0), fates(0.0));
        assert_eq!(fates(0.0), fates(0.5));
    }

    #[test]
    fn a_script_goes_round_and_wins_over_the_quota() {
        let mut faults = Faults::new(Fault { quota: 100, sequence: vec![500, 503, 200], ..Fault::default() });
        let fates: Vec<_> = (0..4).map(|_| faults.next()).collect();
        let (internal, unavailable) = (StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE);
        let reject = Fate::Reject;
        assert_eq!(
            fates,
            [reject(internal), reject(unavailable), Fate::Serve(Duration::ZERO), reject(internal)]
        );
    }

    #[test]
    fn a_change_leaves_the_rest_and_a_wrong_one_leaves_all() {
        let mut faults = Faults::new(Fault { quota: 70, reject: true, ..Fault::default() });
        faults.change(FaultChange { quota: Some(20), ..FaultChange::default() }).unwrap();
        assert_eq!(faults.fault(), &Fault { quota: 20, reject: true, ..Fault::default() });
        let wrong = FaultChange { quota: Some(30), sequence: Some(vec![99]), ..FaultChange::default() };
        assert_eq!(faults.change(wrong).unwrap_err().key, "sequence");
        assert_eq!(faults.fault().quota, 20);
    }

    #[test]
    fn a_seed_is_removed_by_null_and_kept_without_a_key() {
        let mut faults = Faults::new(Fault::default());
        for (change, seed) in
            [(r#"{"seed":7}"#, Some(7)), (r#"{"quota":1}"#, Some(7)), (r#"{"seed":null}"#, None)]
        {
            faults.change(serde_json::from_str(change).unwrap()).unwrap();
            assert_eq!(faults.fault().seed, seed, "{change}");
        }
    }

    #[test]
    fn delays_stay_below_their_bound() {
        let mut faults = Faults::new(Fault { delay_max: 0.25, ..Fault::default() });
        for _ in 0..1_000 {
            let Fate::Serve(wait) = faults.next() else { panic!("nothing is to fail") };
            assert!(wait < Duration::from_millis(250));
        }
    }
}
