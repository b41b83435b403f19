//! `meshy sweep --topology`: one value over a range, on each edge of a call graph.

use std::time::Duration;

use anyhow::anyhow;
use meshy_base::error::{Advise as _, Exit};
use meshy_experiment::event::StepResult;
use meshy_lab::deploy::topology;
use meshy_predict::model::{EdgePolicy, Load, Retry};
use meshy_predict::sweep::{Parameter, with};
use meshy_predict::{Interval, Model, Options, Prediction, predict};
use meshy_topology::{Topology, capacity_limit};
use serde::Serialize;

use super::super::experiment::Ends;
use super::super::predict::ScenarioArgs;
use super::super::predict::topology::{EdgeTimeouts, model, place, text};
use super::super::run;
use super::{Args, Ended, Range, Value, scenario};
use crate::context::Context;
use crate::recording::Recording;
use crate::report::curve::CurvePoint;
use crate::run_cluster::RunCluster;
use crate::runner::Limits;
use crate::ui::Table;

/// The flags of a sweep on a call graph.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Call graph")]
pub(super) struct GraphArgs {
    /// Sweep on each edge of a topology (a shipped name, or a file), with --rate at its entry point; --limit, --ratio and the timeouts are the policy of each edge
    #[arg(long, value_name = "TOPOLOGY", conflicts_with_all = ["fail", "clients"])]
    topology: Option<String>,
    #[command(flatten)]
    timeouts: EdgeTimeouts,
    /// The service whose attempts are shown [default: the first to have no free worker as the load grows; without `capacity`, the last in the file]
    #[arg(long, value_name = "SERVICE", requires = "topology")]
    at: Option<String>,
    /// How often each point is simulated
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// With --measured: allow retries on consecutive edges on a cluster that meshy did not create
    #[arg(long, requires = "measured")]
    allow_storm: bool,
}

/// What a sweep on a topology gives.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::commands) struct Document {
    /// The topology.
    topology: String,
    /// The service that receives the load.
    entry: String,
    /// The service whose attempts are counted.
    service: String,
    /// How long the load of each point is.
    over_seconds: f64,
    /// A point for each value.
    points: Vec<Point>,
}

/// A value, with what it leads to.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Point {
    /// The value; timeouts and ttl in seconds.
    value: f64,
    /// Requests per second at the entry point.
    requests_per_second: f64,
    /// The policy of each edge, one line.
    policy: String,
    /// The prediction.
    predicted: Predicted,
    /// The measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<Measured>,
}

/// What simulated runs of a point have in common.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Predicted {
    /// How often it was simulated.
    simulations_count: usize,
    /// Share of requests that succeed.
    success_ratio: Interval,
    /// The 99th percentile of the latency.
    p99_ms: Interval,
    /// Attempts at the service for each request of the load.
    attempts_per_request: Interval,
}

/// What was measured at a point.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Measured {
    /// Requests that ended.
    requests_count: u64,
    /// The measured share of requests that succeeded, with its interval of three standard deviations.
    success_ratio: Interval,
    /// The 99th percentile of the latency.
    p99_ms: Option<f64>,
    /// Attempts at the service for each request of the load, as the proxies of its clients count.
    attempts_per_request: Option<f64>,
    /// Whether the success lies in the predicted interval.
    within_prediction: bool,
}

impl GraphArgs {
    pub(super) fn topology(&self) -> Option<&str> {
        self.topology.as_deref()
    }

    /// Returns the policy of each edge, in which the swept value can be replaced.
    fn policy(&self, value: Value, flags: &ScenarioArgs) -> anyhow::Result<EdgePolicy> {
        // Refuses a limit together with a budget.
        flags.scenario()?;
        let mut policy = self.timeouts.policy(flags, value == Value::RetryTimeout)?;
        match value {
            Value::Limit => {
                let retry_timeout = policy.retry.as_ref().and_then(|retry| retry.retry_timeout);
                policy.retry = Some(Retry { retry_timeout, ..Retry::limit(1) });
            }
            Value::Ratio | Value::Min | Value::Ttl => policy.retry = Some(Retry::budget(flags.budget())),
            _ => {}
        }
        Ok(policy)
    }
}

/// Predicts each point and measures it if that is requested.
///
/// # Errors
/// The topology or a value is not valid; a point cannot be measured.
pub(super) async fn run(
    context: &Context,
    args: &Args,
    name: &str,
) -> anyhow::Result<(Document, Vec<CurvePoint>, Option<Ended>)> {
    let parameter = parameter(args.value)?;
    let loaded = topology::load(name)?;
    topology::warnings(name, &loaded).iter().for_each(|warning| context.report.warn(warning));
    let duration = args.scenario.duration();
    let policy = args.graph.policy(args.value, &args.scenario)?;
    let base = model(&loaded, &policy, Load::even(args.scenario.rate, duration))?;
    check(&loaded, &base)?;
    let at = place(args.graph.at.as_deref(), &loaded)?.unwrap_or(&base.services[base.entry].name);
    let models = args.values.values().into_iter().map(|value| with(&base, parameter, value));
    let models: Vec<Model> = models.collect::<Result<_, _>>().exit(Exit::Usage)?;
    warn_of_overload(context, &loaded, &models);
    let titles = args.values.values().into_iter().map(|value| title(args.value, &args.values, value));
    let points: Vec<(String, Model)> = titles.zip(models).collect();
    // What cannot be measured is found before the work of the simulations.
    let limits = Limits { allow_storm: args.graph.allow_storm, ..Limits::default() };
    let plan = args.measured.then(|| scenario::plan(&loaded, &points, limits)).transpose()?;
    let options = Options { runs: args.graph.runs as usize, ..Options::default() };
    let predicted = points.iter().zip(args.values.values()).map(|((_, model), value)| {
        let prediction = predict(model, &options).exit(Exit::Usage)?;
        Ok(point(value, model, &prediction, at))
    });
    let mut document = Document {
        topology: loaded.name.clone(),
        entry: base.services[base.entry].name.clone(),
        service: at.to_owned(),
        over_seconds: duration.as_secs_f64(),
        points: predicted.collect::<anyhow::Result<_>>()?,
    };
    let ended = match plan {
        None => None,
        Some(plan) => Some(measure(context, args.force, &plan, &mut document).await?),
    };
    let curve = document.points.iter().map(|point| {
        (point.value, point.predicted.success_ratio, point.measured.as_ref().map(|one| one.success_ratio))
    });
    let curve = curve.collect();
    Ok((document, curve, ended))
}

/// Returns the parameter of the simulation that a value is.
fn parameter(value: Value) -> anyhow::Result<Parameter> {
    Ok(match value {
        Value::Rate => Parameter::Rate,
        Value::Ratio => Parameter::Ratio,
        Value::Min => Parameter::MinPerSecond,
        Value::Ttl => Parameter::Ttl,
        Value::Limit => Parameter::Limit,
        Value::RequestTimeout => Parameter::Timeout,
        Value::ResponseTimeout => Parameter::ResponseTimeout,
        Value::RetryTimeout => Parameter::RetryTimeout,
        Value::Fail => {
            return Err(anyhow!("`fail` cannot be swept on a topology"))
                .hint("a topology has the errors of each service in its file (`errors: 2%`)")
                .exit(Exit::Usage);
        }
    })
}

/// Checks that there are edges, and one way in.
fn check(topology: &Topology, model: &Model) -> anyhow::Result<()> {
    let entries: Vec<&str> = topology.entrypoints().map(|entry| entry.name.as_str()).collect();
    if entries.len() > 1 {
        let names = entries.join("`, `");
        return Err(anyhow!("topology `{}` has several entry points: `{names}`", topology.name))
            .hint("a sweep sends its load to one; mark only that one with `entrypoint: true`")
            .exit(Exit::Usage);
    }
    if model.edges.is_empty() {
        return Err(anyhow!("no service of topology `{}` calls another one", topology.name))
            .hint("a sweep changes the policies of calls")
            .exit(Exit::Usage);
    }
    Ok(())
}

fn warn_of_overload(context: &Context, topology: &Topology, models: &[Model]) {
    let most = models.iter().map(|model| model.load.rate).fold(0.0, f64::max);
    if let Some(limit) = capacity_limit(topology).filter(|limit| limit.requests_per_second < most) {
        context.report.warn(format!("a load of {most}/s is above {limit}"));
    }
}

/// Returns the value with its name.
fn title(value: Value, range: &Range, number: f64) -> String {
    format!("{} {}", value.name(), written(range, number))
}

/// Returns a value as the user wrote it.
fn written(range: &Range, number: f64) -> String {
    match range {
        Range::Numbers(_) => number.to_string(),
        Range::Times(_) => format!("{:?}", Duration::from_secs_f64(number)),
    }
}

fn point(value: f64, model: &Model, prediction: &Prediction, at: &str) -> Point {
    // At most one edge leads to most services; of several, the bounds are added, which is too wide.
    let attempts = prediction.edges.iter().filter(|edge| edge.to == at).map(|edge| edge.amplification);
    let attempts = attempts.fold(Interval { mean: 0.0, low: 0.0, high: 0.0 }, |all, one| Interval {
        mean: all.mean + one.mean,
        low: all.low + one.low,
        high: all.high + one.high,
    });
    Point {
        value,
        requests_per_second: model.load.rate,
        policy: model.edges.first().map(|edge| text::policy(&edge.policy)).unwrap_or_default(),
        predicted: Predicted {
            simulations_count: prediction.simulations_count,
            success_ratio: prediction.success_ratio,
            p99_ms: prediction.latency.p99_ms,
            attempts_per_request: attempts,
        },
        measured: None,
    }
}

/// Runs the scenario of the points on the lab that is up, else on an embedded cluster; points that ctrl-C leaves out stay
/// predictions.
async fn measure(
    context: &Context,
    force: bool,
    plan: &crate::runner::Plan,
    document: &mut Document,
) -> anyhow::Result<Ended> {
    let run_cluster = RunCluster::find(context, RunCluster::lab_else_own(context, false)?).await?;
    let recording = Recording::open(&context.report)?;
    let ends = Ends::listen(context)?;
    let args = run::Args { force, ..run::Args::default() };
    let heading = async |_: usize, step: &meshy_experiment::scenario::Step| {
        recording.view.show();
        context.report.say(format!("\n{}", step.title.as_deref().unwrap_or_default()));
        Ok(())
    };
    run::perform(context, (&args, plan), run_cluster, (&recording, &ends), heading).await?;
    let results = recording.view.run().results();
    for (number, point) in document.points.iter_mut().enumerate() {
        let result = results.step(None, &scenario::step(number)).filter(|result| result.ended);
        point.measured = result.map(|result| measured(result, &point.predicted, &document.service));
    }
    context.report.say("");
    Ok(Ended { ends, written: recording.written() })
}

fn measured(result: &StepResult, predicted: &Predicted, at: &str) -> Measured {
    let (totals, load) = (&result.totals, &result.totals.load);
    let mut attempts = totals.edges.iter().filter(|edge| edge.to == at).map(|edge| edge.attempts).peekable();
    let is_counted = attempts.peek().is_some() && load.requests > 0;
    let attempts: u64 = attempts.sum();
    let success_ratio = Interval::of_share(load.succeeded, load.requests);
    Measured {
        requests_count: load.requests,
        success_ratio,
        p99_ms: totals.latencies.quantiles().map(|all| all.p99_ms),
        attempts_per_request: is_counted.then(|| attempts as f64 / load.requests as f64),
        within_prediction: load.requests > 0 && predicted.success_ratio.holds(success_ratio.mean),
    }
}

/// Returns the document as a table.
pub(super) fn words(document: &Document, args: &Args) -> String {
    let attempts = format!("ATTEMPTS@{}", document.service);
    let name = args.value.name().to_uppercase();
    let heading = [name.as_str(), "SUCCESS", "INTERVAL", "P99", attempts.as_str()];
    let with = ["MEASURED", "P99", "ATTEMPTS", ""];
    let heading = heading.into_iter().chain(args.measured.then_some(with).into_iter().flatten());
    let mut table = Table::new(0, &heading.collect::<Vec<_>>());
    for point in &document.points {
        let (predicted, success) = (&point.predicted, &point.predicted.success_ratio);
        let next_to = point.measured.as_ref().map(|measured| {
            [
                format!("{:.1}%", measured.success_ratio.mean * 100.0),
                measured.p99_ms.map_or("-".to_owned(), |p99| format!("{p99:.0}ms")),
                measured.attempts_per_request.map_or("-".to_owned(), |attempts| format!("{attempts:.2}")),
                if measured.within_prediction { "within" } else { "OUTSIDE" }.to_owned(),
            ]
        });
        let cells = [
            written(&args.values, point.value),
            format!("{:.1}%", success.mean * 100.0),
            format!("{:.1}-{:.1}%", success.low * 100.0, success.high * 100.0),
            format!("{:.0}ms", predicted.p99_ms.mean),
            format!("{:.2}", predicted.attempts_per_request.mean),
        ];
        table.row(cells.into_iter().chain(next_to.into_iter().flatten()));
    }
    let runs = document.points.first().map_or(0, |point| point.predicted.simulations_count);
    format!(
        "{}\n\n{runs} simulations of each value; an interval holds 99.7 % of such runs.\n",
        table.render().trim_end()
    )
}

/// Returns the title of the picture: what is the same at each point.
pub(super) fn picture(document: &Document) -> String {
    let policies: Vec<&str> = document.points.iter().map(|point| point.policy.as_str()).collect();
    let rates: Vec<String> =
        document.points.iter().map(|point| format!("{} requests/s", point.requests_per_second)).collect();
    let rates: Vec<&str> = rates.iter().map(String::as_str).collect();
    let topology = format!("topology {}", document.topology);
    let parts = std::iter::once(topology.as_str()).chain(common(&rates)).chain(common(&policies));
    parts.collect::<Vec<_>>().join(", ")
}

/// Returns the parts of lists in words that are in all of them.
fn common<'a>(lists: &[&'a str]) -> Vec<&'a str> {
    let parts = |list: &'a str| list.split(", ").filter(|part| !part.is_empty());
    let Some((first, others)) = lists.split_first() else { return Vec::new() };
    parts(first).filter(|part| others.iter().all(|other| parts(other).any(|one| one == *part))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_has_the_parts_of_the_policy_that_all_points_have() {
        // Whatever words name the value that differs.
        let policies = ["never retried, request timeout 1 s", "retried twice, request timeout 1 s"];
        assert_eq!(common(&policies), ["request timeout 1 s"]);
        assert_eq!(common(&["a, b", "a, b"]), ["a", "b"]);
        assert_eq!(common(&["5 requests/s", "10 requests/s"]), Vec::<&str>::new());
        assert_eq!(common(&["", ""]), Vec::<&str>::new());
    }
}
