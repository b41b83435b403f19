//! `meshy sweep`: one value over a range, as a table and a curve.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use super::predict::ScenarioArgs;
use crate::context::Context;
use crate::error::Exit;
use crate::predict::{self, Policy, Prediction, Scenario};
use crate::report::chart;
use crate::ui::Table;

/// What is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Value {
    /// Requests per second.
    Rps,
    /// The chance that a try fails, in percent.
    Fail,
    /// The budget's retryRatio.
    Ratio,
    /// The budget's minRetriesPerSecond.
    Min,
    /// The budget's ttl in seconds.
    Ttl,
    /// Retries per request.
    Limit,
}

/// The range.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy sweep rps 5,10,20,40 --fail 70%\n  meshy sweep limit 0..5 --svg limit.svg"
)]
pub struct Args {
    /// What to vary
    value: Value,
    /// Values such as 5,10,20 or 0..5
    #[arg(value_parser = range, value_name = "VALUES")]
    values: Range,
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Write the curve as an SVG picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Values in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Range(Vec<f64>);

/// Each point costs a simulation of up to a second in a debug build.
const MOST_POINTS: usize = 200;

fn range(text: &str) -> Result<Range, String> {
    let wrong = || format!("`{text}` is no range; write for example 5,10,20 or 0..5");
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(wrong);
    let values: Vec<f64> = match text.split_once("..") {
        Some((from, to)) => {
            let (from, to) = (number(from)?, number(to)?);
            let steps = (to - from).floor();
            if !(0.0..MOST_POINTS as f64).contains(&steps) {
                return Err(wrong());
            }
            (0..=steps as usize).map(|step| from + step as f64).collect()
        }
        None => text.split(',').map(number).collect::<Result<_, _>>()?,
    };
    if values.is_empty() || values.len() > MOST_POINTS || values.iter().any(|value| *value < 0.0) {
        return Err(wrong());
    }
    Ok(Range(values))
}

#[derive(Serialize)]
struct Point {
    value: f64,
    prediction: Prediction,
}

/// Predicts each point.
///
/// # Errors
/// The picture cannot be written.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let base = args.scenario.scenario();
    let point = |value: &f64| {
        let prediction = predict::predict(vary(base, args.value, *value), 1);
        Point { value: *value, prediction }
    };
    let points: Vec<Point> = args.values.0.iter().map(point).collect();
    let name =
        args.value.to_possible_value().map(|value| value.get_name().to_uppercase()).unwrap_or_default();
    if let Some(file) = &args.svg {
        let curve =
            points.iter().map(|point| (point.value, point.prediction.success_ratio)).collect::<Vec<_>>();
        let svg = chart::curve(&name.to_lowercase(), &curve);
        std::fs::write(file, svg).with_context(|| format!("cannot write {}", file.display()))?;
    }
    context.data(&points, |points| {
        let heading = [name.as_str(), "SUCCESS", "RANGE", "TRIES/REQUEST", "ADDED_LOAD", "CLOSED_FORM"];
        let mut table = Table::new(0, &heading);
        for Point { value, prediction } in points {
            let success = &prediction.success_ratio;
            table.row([
                value.to_string(),
                format!("{:.1}%", success.mean * 100.0),
                format!("{:.1}-{:.1}%", success.low * 100.0, success.high * 100.0),
                format!("{:.2}", prediction.tries_per_request.mean),
                format!("{:.0}%", prediction.added_tries_per_request.mean * 100.0),
                format!("{:.1}%", prediction.closed_form_success_ratio * 100.0),
            ]);
        }
        table.render()
    })?;
    Ok(Exit::Done)
}

fn vary(base: Scenario, what: Value, value: f64) -> Scenario {
    let mut scenario = base;
    let budget = match base.policy {
        budget @ Policy::Budget { .. } => budget,
        _ => Policy::SEED,
    };
    let Policy::Budget { mut retry_ratio, mut min_retries_per_second, mut ttl_seconds } = budget else {
        return scenario;
    };
    match what {
        Value::Rps => scenario.requests_per_second = value.max(1e-3),
        Value::Fail => scenario.fail_ratio = (value / 100.0).min(1.0),
        Value::Limit => {
            let limit = value as u32;
            scenario.policy = if limit == 0 { Policy::None } else { Policy::Limit { limit } };
        }
        Value::Ratio => retry_ratio = value,
        Value::Min => min_retries_per_second = value as u32,
        Value::Ttl => ttl_seconds = value,
    }
    if matches!(what, Value::Ratio | Value::Min | Value::Ttl) {
        scenario.policy = Policy::Budget { retry_ratio, min_retries_per_second, ttl_seconds };
    }
    scenario
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_list_or_two_ends() {
        assert_eq!(range("5,10, 20"), Ok(Range(vec![5.0, 10.0, 20.0])));
        assert_eq!(range("0..3"), Ok(Range(vec![0.0, 1.0, 2.0, 3.0])));
        for wrong in ["", "a", "3..0", "0..1e9", "-1..2", "1,,2"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
