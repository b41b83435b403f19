//! `meshy sweep`: one value over a range, as a table and a curve.

pub(super) mod graph;
mod range;
mod scenario;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use serde::Serialize;

use super::experiment::{self, Ends};
use super::predict::ScenarioArgs;
use crate::context::Context;
use crate::original_demo;
use crate::recording::Recording;
use crate::report::curve::{self, CurvePoint};
use crate::run_cluster::RunCluster;
use crate::sweep::{Bench, Measured};
use crate::ui::Table;
use meshy_base::activity;
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::event::RunStatus;
use meshy_policy::policy::{Session, Stopped};
use meshy_predict::edge::{EdgeLoad, EdgePrediction, Policy, predict_edge};
use range::Range;

/// What is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Value {
    /// Requests per second.
    #[value(alias = "rps")]
    Rate,
    /// The chance that an attempt fails, in percent.
    Fail,
    /// The budget's retryRatio.
    Ratio,
    /// The budget's minRetriesPerSecond.
    Min,
    /// The budget's ttl in seconds.
    Ttl,
    /// Retries per request.
    Limit,
    /// With --topology: the time of all attempts of a request together.
    RequestTimeout,
    /// With --topology: the time of one attempt.
    ResponseTimeout,
    /// With --topology: the time after which an attempt is retried.
    RetryTimeout,
}

impl Value {
    /// Returns the name in commands.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn is_timeout(self) -> bool {
        matches!(self, Self::RequestTimeout | Self::ResponseTimeout | Self::RetryTimeout)
    }

    /// Checks that the values have a unit where they need one.
    fn check(self, range: &Range) -> anyhow::Result<()> {
        match range {
            Range::Numbers(_) if self.is_timeout() => {
                Err(anyhow!("the values of `{}` need a unit", self.name()))
                    .hint("write for example 100ms,200ms,1s")
                    .exit(Exit::Usage)
            }
            Range::Times(_) if !self.is_timeout() && self != Self::Ttl => {
                Err(anyhow!("the values of `{}` have no unit", self.name()))
                    .hint("write for example 5,10,20 or 0..5")
                    .exit(Exit::Usage)
            }
            _ => Ok(()),
        }
    }
}

/// The range.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy sweep rate 5,10,20,40 --fail 70%\n  meshy sweep limit 0..5 --svg limit.svg\n  meshy sweep rate 5,10,20,40 --measured --duration 20s --svg rate.svg\n  \
                  meshy sweep request-timeout 50ms,100ms,200ms --topology chain-4 --rate 30 --limit 2"
)]
pub struct Args {
    /// What to vary
    value: Value,
    /// Values such as 5,10,20 or 0..5; of timeouts 100ms,200ms,1s
    #[arg(value_parser = range::range, value_name = "VALUES")]
    values: Range,
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Measure each point, too: on the lab that is up, else on a new embedded cluster
    #[arg(long, conflicts_with = "clients")]
    measured: bool,
    /// With --measured: take over policy fields that other tools own, and give them back at the end
    #[arg(long, requires = "measured")]
    force: bool,
    /// Write the curve as an SVG picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    graph: graph::GraphArgs,
}

/// How long a point takes next to its load: clients follow the new value, and old counts leave the window.
const BETWEEN_POINTS: Duration = Duration::from_secs(60);

impl Args {
    pub(crate) fn planned(&self) -> Duration {
        let points = self.values.len().try_into().unwrap_or(u32::MAX);
        let point = self.scenario.duration().saturating_add(BETWEEN_POINTS);
        if self.measured { point.saturating_mul(points) } else { Duration::ZERO }
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Point {
    value: f64,
    prediction: EdgePrediction,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<Measured>,
}

/// Predicts each point.
///
/// # Errors
/// The picture cannot be written.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    args.value.check(&args.values)?;
    if let Some(topology) = args.graph.topology() {
        return on_topology(context, &args, topology).await;
    }
    if args.value.is_timeout() {
        return Err(anyhow!("`{}` needs `--topology`", args.value.name()))
            .hint("the calls of a topology take time, those of the one edge do not: `--topology chain-4` for example")
            .exit(Exit::Usage);
    }
    let base = args.scenario.scenario()?;
    let point = |value: &f64| {
        let prediction = predict_edge(vary(base, args.value, *value), 1);
        Point { value: *value, prediction, measured: None }
    };
    let mut points: Vec<Point> = args.values.values().iter().map(point).collect();
    let name = args.value.name().to_uppercase();
    let ended = match args.measured {
        true => Some(measure(context, &name.to_lowercase(), args.force, &mut points).await?),
        false => None,
    };
    if let Some(file) = &args.svg {
        let points: Vec<CurvePoint> = points
            .iter()
            .map(|point| {
                let measured = point.measured.as_ref().map(|measured| measured.success_ratio);
                (point.value, point.prediction.success_ratio, measured)
            })
            .collect();
        write(file, &curve::curve(&scenario(base, args.value), &args.value.name(), &points))?;
    }
    context.data(&points, |points| {
        let heading = [name.as_str(), "SUCCESS", "INTERVAL", "ATTEMPTS/REQUEST", "ADDED_LOAD", "CLOSED_FORM"];
        let with = ["MEASURED", "ATTEMPTS", ""];
        let heading = heading.into_iter().chain(args.measured.then_some(with).into_iter().flatten());
        let mut table = Table::new(0, &heading.collect::<Vec<_>>());
        for Point { value, prediction, measured } in points {
            let success = &prediction.success_ratio;
            let next_to = measured.as_ref().map(|measured| {
                [
                    format!("{:.1}%", measured.success_ratio.mean * 100.0),
                    measured.attempts_per_request.map_or("-".to_owned(), |attempts| format!("{attempts:.2}")),
                    if measured.within_prediction { "within" } else { "OUTSIDE" }.to_owned(),
                ]
            });
            let cells = [
                value.to_string(),
                format!("{:.1}%", success.mean * 100.0),
                format!("{:.1}-{:.1}%", success.low * 100.0, success.high * 100.0),
                format!("{:.2}", prediction.attempts_per_request.mean),
                format!("{:.0}%", prediction.added_attempts_per_request.mean * 100.0),
                format!("{:.1}%", prediction.closed_form_success_ratio * 100.0),
            ];
            table.row(cells.into_iter().chain(next_to.into_iter().flatten()));
        }
        table.render()
    })?;
    ended.map_or(Ok(Exit::Done), Ended::exit)
}

/// Predicts each point on a topology, and measures it if that is requested.
async fn on_topology(context: &Context, args: &Args, topology: &str) -> anyhow::Result<Exit> {
    let (document, points, ended) = graph::run(context, args, topology).await?;
    if let Some(file) = &args.svg {
        let unit = if args.value.is_timeout() || args.value == Value::Ttl { " in seconds" } else { "" };
        let axis = format!("{}{unit}", args.value.name());
        write(file, &curve::curve(&graph::picture(&document), &axis, &points))?;
    }
    context.data(&document, |document| graph::words(document, args))?;
    ended.map_or(Ok(Exit::Done), Ended::exit)
}

fn write(file: &Path, svg: &str) -> anyhow::Result<()> {
    let _writing = activity::writing(file);
    std::fs::write(file, svg).with_context(|| format!("cannot write {}", file.display()))
}

/// How the measurements ended.
struct Ended {
    ends: Ends,
    /// Whether the file of the run has all events.
    written: anyhow::Result<()>,
}

impl Ended {
    /// How the command ends.
    ///
    /// # Errors
    /// Time ran out, or the file of the run could not be written.
    fn exit(self) -> anyhow::Result<Exit> {
        if self.ends.ended() {
            return self.ends.exit("sweep");
        }
        self.written.map(|()| Exit::Done)
    }
}

/// Measures the points in their order; those that ctrl-C leaves out stay predictions. The run is recorded, and the lab's
/// policies and faults are restored.
async fn measure(context: &Context, name: &str, force: bool, points: &mut [Point]) -> anyhow::Result<Ended> {
    let run_cluster = original_demo::open(context, false).await?;
    let names = ("sweep", run_cluster.lab.as_str(), run_cluster.provider);
    let recording = Recording::begin(&context.report, names, &[], Some(&run_cluster.client)).await?;
    let ends = Ends::listen(context)?;
    let measured = async |run_cluster: &RunCluster, session: &mut Session| {
        let measured = measure_on(context, name, (run_cluster, session), &ends, points, &recording).await;
        if ends.ended() && measured.as_ref().is_err_and(|error| error.is::<Stopped>()) {
            return Ok(());
        }
        measured
    };
    experiment::on(context, run_cluster, ("sweep", force), &ends, measured).await?;
    recording.end(RunStatus::of(ends.ended()));
    context.report.say("");
    Ok(Ended { ends, written: recording.written() })
}

async fn measure_on(
    context: &Context,
    name: &str,
    (run_cluster, session): (&RunCluster, &mut Session),
    ends: &Ends,
    points: &mut [Point],
    recording: &Recording,
) -> anyhow::Result<()> {
    let scenarios: Vec<EdgeLoad> = points.iter().map(|point| point.prediction.scenario).collect();
    let mut bench = Bench::enter(run_cluster, session, &scenarios, context.deadline).await?;
    for (point, scenario) in points.iter_mut().zip(scenarios) {
        let title = format!("{name} {}", point.value);
        context.report.say(format!("\n{title}"));
        bench.set(&scenario).await?;
        if ends.ended() {
            break;
        }
        let step = bench.measure(recording, &title, &scenario, ends.stop()).await?;
        point.measured = Some(Measured::of(&step));
    }
    Ok(())
}

/// The title of the picture: what is the same at each point.
fn scenario(base: EdgeLoad, value: Value) -> String {
    let fail = format!("{:.0} % of the attempts fail", base.fail_ratio * 100.0);
    let rate = format!("{} requests/s", base.requests_per_second);
    let policy = match value {
        Value::Rate | Value::Fail => base.policy.words(),
        Value::Limit => "a limit of retries per request".to_owned(),
        Value::Ratio | Value::Min | Value::Ttl => "a retry budget".to_owned(),
        Value::RequestTimeout | Value::ResponseTimeout | Value::RetryTimeout => String::new(),
    };
    let parts = [(Value::Fail, fail), (Value::Rate, rate)].into_iter().filter(|(of, _)| *of != value);
    parts.map(|(_, text)| text).chain([policy]).collect::<Vec<_>>().join(", ")
}

fn vary(base: EdgeLoad, what: Value, value: f64) -> EdgeLoad {
    let mut scenario = base;
    let budget = match base.policy {
        budget @ Policy::Budget { .. } => budget,
        _ => Policy::DEFAULT_BUDGET,
    };
    let Policy::Budget { mut retry_ratio, mut min_retries_per_second, mut ttl_seconds } = budget else {
        return scenario;
    };
    match what {
        Value::Rate => scenario.requests_per_second = value.max(1e-3),
        Value::Fail => scenario.fail_ratio = (value / 100.0).min(1.0),
        Value::Limit => {
            let limit = value as u32;
            scenario.policy = if limit == 0 { Policy::None } else { Policy::Limit { limit } };
        }
        Value::Ratio => retry_ratio = value,
        Value::Min => min_retries_per_second = value as u32,
        Value::Ttl => ttl_seconds = value,
        Value::RequestTimeout | Value::ResponseTimeout | Value::RetryTimeout => {}
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
    fn the_title_of_the_picture_names_what_does_not_vary() {
        let (policy, fail_ratio, requests_per_second) = (Policy::None, 0.7, 10.0);
        let base = EdgeLoad {
            fail_ratio,
            requests_per_second,
            over_seconds: 1.0,
            clients: 1,
            policy,
            blocks: false,
            within_block: false,
        };
        assert_eq!(scenario(base, Value::Fail), "10 requests/s, no retries");
        assert_eq!(scenario(base, Value::Rate), "70 % of the attempts fail, no retries");
        assert_eq!(
            scenario(base, Value::Limit),
            "70 % of the attempts fail, 10 requests/s, a limit of retries per request"
        );
    }
}
