//! Whether and when goodput comes back after a trigger, and what brings it back if it does not.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::outcome::Second;

/// A second is good if at least this share of its requests is goodput.
pub(crate) const GOOD_SHARE: f64 = 0.9;
/// So many consecutive good seconds are a recovery.
pub const GOOD_SECONDS: usize = 5;

/// How a run is classified. Seconds count from the start of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Without a trigger: does goodput collapse?
    NoTrigger,
    /// Recovered if [`GOOD_SECONDS`] consecutive good seconds lie in these seconds, which begin where the trigger ends.
    Recovery(Range<usize>),
    /// The short form: metastable if none of the seconds `observed` is good. The trigger ends at `trigger_end`.
    Short {
        /// Where the trigger ends.
        trigger_end: usize,
        /// The seconds that decide.
        observed: Range<usize>,
    },
}

/// How goodput developed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Class {
    /// Goodput came back.
    Recovered {
        /// Seconds from the end of the trigger to the first good one.
        after_seconds: u32,
    },
    /// Goodput did not come back while it was observed.
    Metastable,
    /// Without a trigger, goodput did not collapse.
    Stable,
    /// Without a trigger, goodput collapsed: none of the last five seconds is good.
    Collapsed,
}

/// What restored the goodput of a metastable run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Relief {
    /// A lower load.
    ReducedLoad,
    /// A time without load.
    Pause,
    /// Neither.
    Nothing,
}

/// The seconds of the two relief phases in which goodput may come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReliefPhases {
    /// At reduced load.
    pub reduced: Range<usize>,
    /// At full load, after the time without load.
    pub after_pause: Range<usize>,
}

/// Classifies a run by its seconds, simulated or measured.
pub fn classify(seconds: &[Second], observation: &Observation) -> Class {
    let recovered = |after: usize| Class::Recovered { after_seconds: after as u32 };
    match observation {
        Observation::NoTrigger => {
            let last = &seconds[seconds.len().saturating_sub(GOOD_SECONDS)..];
            let collapsed = !last.is_empty() && last.iter().all(|second| is_good(second) == Some(false));
            if collapsed { Class::Collapsed } else { Class::Stable }
        }
        Observation::Recovery(observed) => {
            first_recovery(seconds, observed).map_or(Class::Metastable, recovered)
        }
        Observation::Short { trigger_end, observed } => {
            let first = part(seconds, observed).iter().position(|second| is_good(second) == Some(true));
            first.map_or(Class::Metastable, |first| recovered(observed.start + first - trigger_end))
        }
    }
}

/// Returns what restored goodput, by the seconds of the whole run.
pub fn relief(seconds: &[Second], phases: &ReliefPhases) -> Relief {
    if first_recovery(seconds, &phases.reduced).is_some() {
        Relief::ReducedLoad
    } else if first_recovery(seconds, &phases.after_pause).is_some() {
        Relief::Pause
    } else {
        Relief::Nothing
    }
}

/// Returns the offset in `range` where the first [`GOOD_SECONDS`] consecutive good seconds begin. Seconds without requests
/// are skipped.
fn first_recovery(seconds: &[Second], range: &Range<usize>) -> Option<usize> {
    let (mut begin, mut good) = (0, 0);
    for (offset, second) in part(seconds, range).iter().enumerate() {
        match is_good(second) {
            Some(true) => {
                if good == 0 {
                    begin = offset;
                }
                good += 1;
                if good == GOOD_SECONDS {
                    return Some(begin);
                }
            }
            Some(false) => good = 0,
            None => {}
        }
    }
    None
}

fn part<'s>(seconds: &'s [Second], range: &Range<usize>) -> &'s [Second] {
    let end = range.end.min(seconds.len());
    &seconds[range.start.min(end)..end]
}

/// `None` for a second without requests.
fn is_good(second: &Second) -> Option<bool> {
    (second.offered > 0).then(|| f64::from(second.good) >= GOOD_SHARE * f64::from(second.offered))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of 10 requests with this goodput.
    fn run(good: &[u32]) -> Vec<Second> {
        good.iter().map(|good| Second { offered: 10, succeeded: *good, good: *good }).collect()
    }

    #[test]
    fn recovered_is_five_consecutive_seconds_at_nine_tenths() {
        let class = |good: &[u32]| classify(&run(good), &Observation::Recovery(2..good.len()));
        assert_eq!(class(&[10, 0, 9, 9, 9, 9, 9]), Class::Recovered { after_seconds: 0 });
        assert_eq!(class(&[10, 0, 9, 9, 9, 9, 8, 9, 10, 9, 10, 9]), Class::Recovered { after_seconds: 5 });
        assert_eq!(class(&[10, 0, 9, 9, 9, 9, 8, 9, 9, 9, 9]), Class::Metastable);
    }

    #[test]
    fn the_short_form_is_metastable_without_any_good_second() {
        let class =
            |good: &[u32]| classify(&run(good), &Observation::Short { trigger_end: 1, observed: 3..5 });
        assert_eq!(class(&[0, 10, 10, 8, 8, 10]), Class::Metastable);
        assert_eq!(class(&[0, 0, 0, 8, 9, 0]), Class::Recovered { after_seconds: 3 });
    }

    #[test]
    fn without_a_trigger_five_bad_seconds_at_the_end_are_a_collapse() {
        let class = |good: &[u32]| classify(&run(good), &Observation::NoTrigger);
        assert_eq!(class(&[10, 0, 0, 0, 0, 0]), Class::Collapsed);
        assert_eq!(class(&[0, 0, 0, 0, 0, 9]), Class::Stable);
    }

    #[test]
    fn relief_is_the_first_phase_that_recovers() {
        let phases = ReliefPhases { reduced: 0..6, after_pause: 6..12 };
        let of = |good: [u32; 12]| relief(&run(&good), &phases);
        assert_eq!(of([0, 9, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0]), Relief::ReducedLoad);
        assert_eq!(of([0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 0]), Relief::Pause);
        assert_eq!(of([9, 9, 9, 9, 0, 9, 9, 9, 9, 9, 0, 9]), Relief::Nothing);
    }
}
