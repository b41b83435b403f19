//! Two measurements next to each other: the difference, its uncertainty, a verdict.

use serde::Serialize;

use crate::steps::Step;

/// The meaning of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Verdict {
    /// The second is better.
    Better,
    /// The second is worse.
    Worse,
    /// Chance explains the difference.
    Undecided,
}

impl Verdict {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Undecided => "undecided",
        }
    }
}

/// Success of two steps of the same name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Difference {
    /// The step.
    pub step: String,
    /// Success in the first run.
    pub first_success_ratio: Option<f64>,
    /// Success in the second run.
    pub second_success_ratio: Option<f64>,
    /// Second minus first, in percentage points.
    pub difference_points: Option<f64>,
    /// Three standard deviations of the difference, in percentage points.
    pub uncertainty_points: Option<f64>,
    /// Medians of both, in milliseconds: shown and not compared, since percentiles depend on the machine and its load.
    pub p50_ms: (f64, f64),
    /// The 99th percentiles of both, in milliseconds: shown and not compared.
    pub p99_ms: (f64, f64),
    /// Attempts beyond the first per request, of both.
    pub added_attempts_per_request: (Option<f64>, Option<f64>),
    /// The meaning of the difference in success.
    pub verdict: Verdict,
}

/// Compares.
pub(crate) fn steps(first: &Step, second: &Step) -> Difference {
    let (a, b) = (&first.traffic, &second.traffic);
    let difference = a.success_ratio.zip(b.success_ratio).map(|(a, b)| b - a);
    // Shares of none or all have a deviation of 0; one request more or less on each side gives them one.
    let variance = |good: u64, all: u64| {
        let (good, all) = (good as f64 + 1.0, all as f64 + 2.0);
        good / all * (1.0 - good / all) / all
    };
    let deviation = (variance(a.succeeded_count, a.requests_count)
        + variance(b.succeeded_count, b.requests_count))
    .sqrt();
    let verdict = match difference {
        Some(difference) if difference > 3.0 * deviation => Verdict::Better,
        Some(difference) if difference < -3.0 * deviation => Verdict::Worse,
        _ => Verdict::Undecided,
    };
    let added = |step: &Step| {
        let counted = step.mesh.as_ref().and_then(|mesh| mesh.outcomes.added_attempts_per_request);
        counted.or(step.traffic.added_attempts_per_request())
    };
    Difference {
        step: first.name.clone(),
        first_success_ratio: a.success_ratio,
        second_success_ratio: b.success_ratio,
        difference_points: difference.map(|d| d * 100.0),
        uncertainty_points: difference.map(|_| 300.0 * deviation),
        p50_ms: (a.latency.p50_ms, b.latency.p50_ms),
        p99_ms: (a.latency.p99_ms, b.latency.p99_ms),
        added_attempts_per_request: (added(first), added(second)),
        verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshy_load::Summary;

    fn step(succeeded_count: u64, requests_count: u64) -> Step {
        let success_ratio = (requests_count > 0).then(|| succeeded_count as f64 / requests_count as f64);
        let traffic = Summary { succeeded_count, requests_count, success_ratio, ..Summary::default() };
        Step { traffic, ..Step::default() }
    }

    #[test]
    fn only_a_difference_beyond_chance_is_a_verdict() {
        for (first, second, verdict) in [
            ((90, 300), (252, 300), Verdict::Better),
            ((252, 300), (90, 300), Verdict::Worse),
            ((90, 300), (99, 300), Verdict::Undecided),
            ((1, 3), (3, 3), Verdict::Undecided),
            ((0, 0), (3, 3), Verdict::Undecided),
            ((100, 100), (100, 100), Verdict::Undecided),
        ] {
            let found = steps(&step(first.0, first.1), &step(second.0, second.1));
            assert_eq!(found.verdict, verdict, "{first:?} {second:?}");
        }
    }
}
