//! Whether a service recovers from a disturbance on its own: goodput by second of arrival → class.
//!
//! Goodput: requests answered with success within their deadline. Recovered: goodput of at least 90 % of the offered load in five
//! consecutive seconds. Metastable: not recovered 45 seconds after the end of the trigger. `meshy-predict` classifies simulated runs by
//! the same rules; a test compares both.

mod outcome;

use serde::{Deserialize, Serialize};

pub use outcome::{Hop, StormOutcome, outcome};

use crate::event::ArrivalSecond;

/// What became of a service after a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(tag = "class", rename_all = "kebab-case")]
pub enum Class {
    /// Goodput is restored.
    Recovered {
        /// Seconds from the end of the trigger to the first of the five good ones.
        after_seconds: u64,
    },
    /// The overload continues although its cause is gone.
    Metastable,
    /// Not observed long enough.
    Undecided {
        /// Why.
        reason: String,
    },
}

/// When a service counts as recovered or metastable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Five consecutive good seconds within 45 s after the trigger, else metastable.
    Full,
    /// For `--fast`: metastable if seconds 5 to 10 after the trigger are all bad, else recovered.
    Short,
}

impl Rule {
    /// Returns the rule for a planned step: the full one if it is observed for at least 45 s after its trigger.
    pub(crate) fn for_step(duration_ms: u64, trigger_end_ms: u64) -> Self {
        if duration_ms.saturating_sub(trigger_end_ms) >= 45_000 { Self::Full } else { Self::Short }
    }
}

/// So many consecutive good seconds are a recovery.
const GOOD_SECONDS: usize = 5;
/// After so many seconds without recovery the state counts as stable.
const OBSERVED: usize = 45;
/// The seconds that the short rule reads.
const SHORT: std::ops::Range<usize> = 5..10;

/// Whether goodput in a second is at least 90 % of offered; a second without offered requests is neither good nor bad.
fn is_good(second: &ArrivalSecond) -> Option<bool> {
    (second.offered > 0).then(|| second.in_time.saturating_mul(10) >= second.offered.saturating_mul(9))
}

/// Returns the class of a step. `arrivals` start with the step; the trigger ends `trigger_end_ms` after its start.
pub fn classify(arrivals: &[ArrivalSecond], trigger_end_ms: u64, rule: Rule) -> Class {
    // Requests that arrive in the second in which the trigger ends meet both states.
    let start = usize::try_from(trigger_end_ms.div_ceil(1000)).unwrap_or(usize::MAX);
    let after = arrivals.get(start..).unwrap_or_default();
    let (needed, found) = match rule {
        Rule::Full => (OBSERVED, recovery(&after[..after.len().min(OBSERVED)])),
        Rule::Short => {
            let decide = after.get(SHORT.start..SHORT.end.min(after.len())).unwrap_or_default();
            let first = decide.iter().position(|second| is_good(second) == Some(true));
            (SHORT.end, first.map(|first| first + SHORT.start))
        }
    };
    match found.and_then(|seconds| u64::try_from(seconds).ok()) {
        Some(after_seconds) => Class::Recovered { after_seconds },
        None if after.len() >= needed => Class::Metastable,
        None => {
            let observed = after.len();
            Class::Undecided {
                reason: format!("observed for {observed} s after the trigger, {needed} s are needed"),
            }
        }
    }
}

/// Returns the first of five consecutive good seconds, by its position. Seconds without offered requests are skipped.
pub fn recovery(arrivals: &[ArrivalSecond]) -> Option<usize> {
    let (mut start, mut good) = (0, 0);
    for (position, second) in arrivals.iter().enumerate() {
        match is_good(second) {
            Some(true) => {
                if good == 0 {
                    start = position;
                }
                good += 1;
                if good == GOOD_SECONDS {
                    return Some(start);
                }
            }
            Some(false) => good = 0,
            None => {}
        }
    }
    None
}

/// A part of the relief after a metastable state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReliefPhase {
    /// The name of its step.
    pub step: String,
    /// Its goodput; empty or without offered requests where no load was sent.
    pub arrivals: Vec<ArrivalSecond>,
}

/// Returns the name of the phase that restored goodput: the first with five consecutive good seconds, or the pause without
/// load right before it.
pub fn restored_by(phases: &[ReliefPhase]) -> Option<&str> {
    let found = phases.iter().position(|phase| recovery(&phase.arrivals).is_some())?;
    let idle = |phase: &&ReliefPhase| phase.arrivals.iter().all(|second| second.offered == 0);
    let before = found.checked_sub(1).and_then(|before| phases.get(before)).filter(idle);
    Some(&before.unwrap_or(&phases[found]).step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter for each second: `+` good, `-` bad, `.` without load.
    fn arrivals(text: &str) -> Vec<ArrivalSecond> {
        let second = |letter: char| match letter {
            '+' => ArrivalSecond { offered: 30, in_time: 27 },
            '-' => ArrivalSecond { offered: 30, in_time: 26 },
            _ => ArrivalSecond::default(),
        };
        text.chars().map(second).collect()
    }

    fn class(text: &str) -> Class {
        classify(&arrivals(text), 3000, Rule::Full)
    }

    #[test]
    fn five_consecutive_seconds_at_90_percent_are_a_recovery() {
        assert_eq!(class("+--+++++"), Class::Recovered { after_seconds: 0 });
        assert_eq!(class("+----++++-+++++"), Class::Recovered { after_seconds: 7 });
        assert_eq!(class("---++.+++"), Class::Recovered { after_seconds: 0 });
        let last = format!("---{}+++++", "-".repeat(40));
        assert_eq!(class(&last), Class::Recovered { after_seconds: 40 });
    }

    #[test]
    fn no_recovery_within_45_seconds_is_metastable() {
        let all_bad = format!("---{}", "-".repeat(45));
        assert_eq!(class(&all_bad), Class::Metastable);
        assert_eq!(class(&format!("---{}+++++", "-".repeat(41))), Class::Metastable);
        assert!(matches!(class(&all_bad[1..]), Class::Undecided { .. }));
    }

    #[test]
    fn the_second_in_which_the_trigger_ends_does_not_count() {
        let early = classify(&arrivals("+++++++++"), 3500, Rule::Full);
        assert_eq!(early, Class::Recovered { after_seconds: 0 });
        assert!(matches!(classify(&arrivals("++++++++"), 3500, Rule::Full), Class::Undecided { .. }));
    }

    #[test]
    fn the_short_rule_reads_seconds_5_to_10() {
        let short = |text: &str| classify(&arrivals(text), 3000, Rule::Short);
        assert_eq!(short("---+++-------+"), Class::Metastable);
        assert_eq!(short("---++++++++++"), Class::Recovered { after_seconds: 5 });
        assert_eq!(short("------------+"), Class::Recovered { after_seconds: 9 });
        assert!(matches!(short("---+++++----"), Class::Undecided { .. }));
        assert_eq!((Rule::for_step(18_000, 6000), Rule::for_step(56_000, 11_000)), (Rule::Short, Rule::Full));
    }

    #[test]
    fn simulated_and_measured_runs_are_classified_by_the_same_rules() {
        use meshy_predict::recovery::{self, Observation};
        use rand::{RngExt as _, SeedableRng as _};
        let mut random = rand::rngs::StdRng::seed_from_u64(3);
        let mut seen = [0; 2];
        for _ in 0..2000 {
            let share = random.random_range(0.0..1.0);
            let text: String = (0..60)
                .map(|_| match random.random_bool(share) {
                    true => '+',
                    false if random.random_bool(0.1) => '.',
                    false => '-',
                })
                .collect();
            let measured = arrivals(&text);
            let small = |count: u64| u32::try_from(count).unwrap();
            let second = |second: &ArrivalSecond| meshy_predict::Second {
                offered: small(second.offered),
                succeeded: small(second.in_time),
                good: small(second.in_time),
            };
            let simulated: Vec<meshy_predict::Second> = measured.iter().map(second).collect();
            let forms = [
                (Rule::Full, Observation::Recovery(3..48)),
                (Rule::Short, Observation::Short { trigger_end: 3, observed: 8..13 }),
            ];
            for (rule, observation) in forms {
                let expected = match recovery::classify(&simulated, &observation) {
                    recovery::Class::Recovered { after_seconds } => {
                        Class::Recovered { after_seconds: u64::from(after_seconds) }
                    }
                    _ => Class::Metastable,
                };
                seen[usize::from(expected == Class::Metastable)] += 1;
                assert_eq!(classify(&measured, 3000, rule), expected, "{rule:?} {text}");
            }
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    }

    #[test]
    fn a_pause_that_precedes_the_recovery_restored_it() {
        let phase = |step: &str, text: &str| ReliefPhase { step: step.to_owned(), arrivals: arrivals(text) };
        let less = |text| phase("less-load", text);
        let (pause, full) = (phase("no-load", "....."), phase("full-load", "+++++"));
        assert_eq!(restored_by(&[less("-----"), pause.clone(), full.clone()]), Some("no-load"));
        assert_eq!(restored_by(&[less("+++++"), pause, full.clone()]), Some("less-load"));
        assert_eq!(restored_by(&[less("-----"), full]), Some("full-load"));
        assert_eq!(restored_by(&[less("-----")]), None);
    }
}
