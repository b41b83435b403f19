//! Decides a condition: met, not met, or undecided, with the numbers in words.

use super::measure::{Measured, measure};
use super::not_measured::NotMeasured;
use super::{Condition, Operand, Operator, Right, Unit};
use crate::event::{ConditionResult, Results, Verdict};
use crate::interval::{Interval, float};
use crate::storm::Class;

/// By what a condition is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// 95 % confidence intervals: few requests can leave a condition undecided.
    Intervals,
    /// The measured values themselves.
    Values,
}

/// Evaluates a condition by confidence intervals: once, or for each variant if it names none and the run has some.
pub fn evaluate(condition: &Condition, results: &Results) -> Vec<ConditionResult> {
    evaluate_by(Basis::Intervals, condition, results)
}

/// As [`evaluate`], by intervals or by the measured values.
pub fn evaluate_by(basis: Basis, condition: &Condition, results: &Results) -> Vec<ConditionResult> {
    let variants = results.variants();
    let named = condition.operands().any(|operand| operand.variant.is_some());
    if named || variants.is_empty() {
        let variant = condition.operands().find_map(|operand| operand.variant.as_deref());
        let (verdict, measured) = decide(basis, condition, results, variant);
        // The condition itself names the variant.
        return vec![ConditionResult { condition: condition.to_string(), variant: None, verdict, measured }];
    }
    let one = |variant: Option<&str>| {
        let (verdict, measured) = decide(basis, condition, results, variant);
        ConditionResult {
            condition: condition.to_string(),
            variant: variant.map(str::to_owned),
            verdict,
            measured,
        }
    };
    variants.into_iter().map(one).collect()
}

fn decide(
    basis: Basis,
    condition: &Condition,
    results: &Results,
    variant: Option<&str>,
) -> (Verdict, String) {
    let measure = |operand: &Operand, unit: Option<Unit>| -> Result<Measured, NotMeasured> {
        let measured = measure(results, variant, operand, unit)?;
        Ok(match basis {
            Basis::Intervals => measured,
            Basis::Values => Measured { interval: Interval::exact(measured.interval.mean), ..measured },
        })
    };
    let unit = match &condition.right {
        Right::Value(_, unit) => Some(*unit),
        Right::Class(_) | Right::Operand(_) => None,
    };
    let left = match measure(&condition.left, unit) {
        Ok(left) => left,
        Err(why) => return unmeasured(&why),
    };
    match &condition.right {
        Right::Class(class) => by_class(&left, condition.operator, class),
        Right::Value(value, _) => by_value(&left, condition.operator, *value),
        Right::Operand(operand) => match measure(operand, Some(left.unit)) {
            Err(why) => unmeasured(&why),
            Ok(right) => {
                let verdict = compare(condition.operator, &left, &right);
                let relation = if verdict == Verdict::Undecided { "; the intervals overlap" } else { "" };
                (verdict, format!("{} compared with {}{relation}", words(&left), words(&right)))
            }
        },
    }
}

fn unmeasured(why: &NotMeasured) -> (Verdict, String) {
    (Verdict::Undecided, format!("not measured: {why}"))
}

fn by_class(left: &Measured, operator: Operator, class: &str) -> (Verdict, String) {
    let (found, text) = match &left.class {
        Some(Class::Recovered { after_seconds }) => {
            ("recovered", format!("recovered after {after_seconds} s"))
        }
        Some(Class::Metastable) => ("metastable", "metastable".to_owned()),
        Some(Class::Undecided { reason }) => return (Verdict::Undecided, reason.clone()),
        None => return (Verdict::Undecided, "not measured".to_owned()),
    };
    (met((found == class) == (operator == Operator::Equal)), text)
}

fn by_value(left: &Measured, operator: Operator, value: f64) -> (Verdict, String) {
    if operator == Operator::Near {
        let Some((_, count)) = left.share else { return (Verdict::Undecided, words(left)) };
        let predicted = Interval::chance(value, count);
        let is_near = (predicted.low..=predicted.high).contains(&left.interval.mean);
        let [mean, low, high] = [predicted.mean, predicted.low, predicted.high].map(|of| left.unit.words(of));
        return (met(is_near), format!("{}, predicted {mean} ({low} to {high})", words(left)));
    }
    let at_end = left.unit == Unit::Ratio
        && ((operator == Operator::AtLeast && value >= 1.0)
            || (operator == Operator::AtMost && value <= 0.0));
    if let (Some((hits, count)), true) =
        (left.share, at_end || matches!(operator, Operator::Equal | Operator::Unequal))
    {
        // No share exceeds 100 %, so only all of them can be meant; likewise none.
        let equal = (float(hits) - value * float(count)).abs() < 1e-6 * float(count.max(1));
        return (met(equal == (operator != Operator::Unequal)), words(left));
    }
    let right = Measured { interval: Interval::exact(value), ..left.clone() };
    let verdict = compare(operator, left, &right);
    let more = match verdict {
        Verdict::Undecided => format!("; the interval contains {}", left.unit.words(value)),
        Verdict::Met | Verdict::NotMet => String::new(),
    };
    (verdict, format!("{}{more}", words(left)))
}

fn compare(operator: Operator, left: &Measured, right: &Measured) -> Verdict {
    let (a, b) = (left.interval, right.interval);
    let (yes, no) = match operator {
        Operator::Above => (a.low > b.high, a.high <= b.low),
        Operator::AtLeast => (a.low >= b.high, a.high < b.low),
        Operator::Below => (a.high < b.low, a.low >= b.high),
        Operator::AtMost => (a.high <= b.low, a.low > b.high),
        // The parser allows these for counts only, which are exact.
        Operator::Equal => (a == b, a != b),
        Operator::Unequal => (a != b, a == b),
        // Decided by `by_value`; the parser allows it for no other side.
        Operator::Near => (false, false),
    };
    match (yes, no) {
        (true, _) => Verdict::Met,
        (false, true) => Verdict::NotMet,
        (false, false) => Verdict::Undecided,
    }
}

fn met(met: bool) -> Verdict {
    if met { Verdict::Met } else { Verdict::NotMet }
}

/// The value with its interval and its counts: `93.3 % (86.9 to 96.7 %, 98 of 105)`.
fn words(measured: &Measured) -> String {
    let (unit, interval) = (measured.unit, measured.interval);
    let value = unit.words(interval.mean);
    let range = (interval.low < interval.high).then(|| {
        let low = unit.words(interval.low);
        let high = unit.words(interval.high);
        match high.split_once(' ') {
            Some((_, end)) if low.ends_with(&format!(" {end}")) => {
                format!("{} to {high}", low.trim_end_matches(end).trim_end())
            }
            _ => format!("{low} to {high}"),
        }
    });
    let counts = measured.share.filter(|_| unit != Unit::Count).map(|(hits, count)| match unit {
        Unit::PerRequest => format!("{hits} attempts of {count} requests"),
        _ => format!("{hits} of {count}"),
    });
    let details: Vec<String> = range.into_iter().chain(counts).collect();
    if details.is_empty() { value } else { format!("{value} ({})", details.join(", ")) }
}
