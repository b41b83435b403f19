//! `--expect 'success>=99%,p99<200ms,added-load<300%'`: a run as a gate of a pipeline.

use std::fmt;
use std::str::FromStr;

use crate::steps::Step;

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    what: What,
    comparison: Comparison,
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Success,
    Actual,
    P50,
    P95,
    P99,
    AddedLoad,
    Rate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    AtLeast,
    Above,
    AtMost,
    Below,
}

/// All conditions of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectations(Vec<Condition>);

/// A condition and what came of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evaluated {
    /// As it was written.
    pub condition: String,
    /// What was measured, in words; `-` where it is not known, which does not hold.
    pub measured: String,
    /// Whether it holds.
    pub holds: bool,
}

impl FromStr for Expectations {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write for example success>=99%, p99<200ms, added-load<300%, rate>=1.9";
        let wrong = |why: &str| format!("`{text}`: {why}; {FORM}");
        let at = text.find(['<', '>']).ok_or_else(|| wrong("there is no comparison"))?;
        let (name, rest) = text.split_at(at);
        let (comparison, bound) = match rest.as_bytes() {
            [b'>', b'=', ..] => (Comparison::AtLeast, &rest[2..]),
            [b'<', b'=', ..] => (Comparison::AtMost, &rest[2..]),
            [b'>', ..] => (Comparison::Above, &rest[1..]),
            _ => (Comparison::Below, &rest[1..]),
        };
        let what = match name.trim() {
            "success" => What::Success,
            "actual-success" => What::Actual,
            "p50" => What::P50,
            "p95" => What::P95,
            "p99" => What::P99,
            "added-load" => What::AddedLoad,
            "rate" | "rps" => What::Rate,
            _ => return Err(wrong("known are success, actual-success, p50, p95, p99, added-load, rate")),
        };
        let bound = bound.trim();
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong("the bound is not a number"));
        let bound = match what {
            What::Success | What::Actual | What::AddedLoad => {
                number(bound.strip_suffix('%').ok_or_else(|| wrong("the bound is a percentage"))?)? / 100.0
            }
            What::Rate => number(bound)?,
            What::P50 | What::P95 | What::P99 => {
                let bound =
                    meshy_base::duration::parse(bound).map_err(|_| wrong("the bound is a duration"))?;
                bound.as_secs_f64() * 1000.0
            }
        };
        Ok(Self { text: text.to_owned(), what, comparison, bound })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Expectations {
    /// Evaluates a measurement.
    pub fn evaluate(&self, step: &Step) -> Vec<Evaluated> {
        self.0.iter().map(|condition| condition.evaluate(step)).collect()
    }
}

impl Condition {
    fn evaluate(&self, step: &Step) -> Evaluated {
        let traffic = &step.traffic;
        let any = traffic.requests_count > 0;
        let (value, shown) = match self.what {
            What::Success => (traffic.success_ratio, Unit::Percent),
            What::Actual => {
                (step.mesh.as_ref().and_then(|mesh| mesh.clients.actual_success()), Unit::Percent)
            }
            What::P50 => (any.then_some(traffic.latency.p50_ms), Unit::Millis),
            What::P95 => (any.then_some(traffic.latency.p95_ms), Unit::Millis),
            What::P99 => (any.then_some(traffic.latency.p99_ms), Unit::Millis),
            What::AddedLoad => {
                let counted = step.mesh.as_ref().and_then(|mesh| mesh.outcomes.added_attempts_per_request);
                (counted.or(traffic.added_attempts_per_request()), Unit::Percent)
            }
            What::Rate => (Some(traffic.requests_per_second), Unit::Plain),
        };
        let holds = value.is_some_and(|value| match self.comparison {
            Comparison::AtLeast => value >= self.bound,
            Comparison::Above => value > self.bound,
            Comparison::AtMost => value <= self.bound,
            Comparison::Below => value < self.bound,
        });
        let measured = value.map_or("-".to_owned(), |value| match shown {
            Unit::Percent => format!("{:.2} %", value * 100.0),
            Unit::Millis => format!("{value:.1} ms"),
            Unit::Plain => format!("{value:.2}"),
        });
        Evaluated { condition: self.text.clone(), measured, holds }
    }
}

enum Unit {
    Percent,
    Millis,
    Plain,
}

/// What failed, in one line with what was measured; none where every condition holds.
pub fn failure(evaluated: &[Evaluated]) -> Option<String> {
    let failed: Vec<String> = evaluated
        .iter()
        .filter(|one| !one.holds)
        .map(|one| match one.measured.as_str() {
            "-" => format!("{} (not measured)", one.condition),
            measured => format!("{} (measured {measured})", one.condition),
        })
        .collect();
    let noun = if evaluated.len() == 1 { "expectation" } else { "expectations" };
    let all = evaluated.len();
    (!failed.is_empty()).then(|| format!("{} of {all} {noun} failed: {}", failed.len(), failed.join(", ")))
}

/// The results as Markdown, for a pipeline's summary.
pub fn markdown(evaluated: &[Evaluated]) -> String {
    let mut text = "| expected | measured | |\n| --- | --- | --- |\n".to_owned();
    for one in evaluated {
        let holds = if one.holds { "holds" } else { "**does not hold**" };
        text.push_str(&format!("| `{}` | {} | {holds} |\n", one.condition, one.measured));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshy_load::{Latency, Summary};

    fn step() -> Step {
        let latency = Latency { p50_ms: 5.0, p95_ms: 50.0, p99_ms: 199.0, max_ms: 300.0 };
        let attempts_count = [(1, 50), (3, 50)].into();
        let traffic = Summary {
            requests_count: 100,
            succeeded_count: 99,
            success_ratio: Some(0.99),
            latency,
            attempts_count,
            ..Summary::default()
        };
        Step { traffic, ..Step::default() }
    }

    #[test]
    fn conditions_hold_or_not_at_their_bounds() {
        for (condition, holds) in [
            ("success>=99%", true),
            ("success > 99%", false),
            ("p99<200ms", true),
            ("p99<=0.198s", false),
            ("added-load<=100%", true),
            ("actual-success>1%", false),
        ] {
            let evaluated = condition.parse::<Expectations>().unwrap().evaluate(&step());
            assert_eq!(evaluated[0].holds, holds, "{evaluated:?}");
        }
    }

    #[test]
    fn a_wrong_condition_says_how_to_write_it() {
        for wrong in ["", "success", "success>=99", "p99<200", "luck>1%", "success>=many%"] {
            assert!(wrong.parse::<Expectations>().unwrap_err().contains("write for example"), "{wrong}");
        }
    }

    #[test]
    fn a_failure_names_the_conditions_and_what_was_measured() {
        let evaluate = |text: &str| failure(&text.parse::<Expectations>().unwrap().evaluate(&step()));
        assert_eq!(evaluate("success>=99%,p99<200ms"), None);
        assert_eq!(
            evaluate("success>=100%").unwrap(),
            "1 of 1 expectation failed: success>=100% (measured 99.00 %)"
        );
        let failed = evaluate("success>=99%,p95<50ms,actual-success>1%").unwrap();
        let wanted =
            "2 of 3 expectations failed: p95<50ms (measured 50.0 ms), actual-success>1% (not measured)";
        assert_eq!(failed, wanted);
    }

    #[test]
    fn what_was_not_measured_does_not_hold() {
        let evaluated = "success>=0%".parse::<Expectations>().unwrap().evaluate(&Step::default());
        assert_eq!((evaluated[0].holds, evaluated[0].measured.as_str()), (false, "-"));
        assert!(markdown(&evaluated).contains("does not hold"));
    }
}
