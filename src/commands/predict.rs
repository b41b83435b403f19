//! `meshy predict`: what a policy will do, before it is tried.

pub(super) mod topology;

use meshy_kube::failure;
use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;

use crate::context::Context;
use crate::measure;
use crate::original_demo;
use crate::summary::{WIDTH, wrapped};
use crate::ui::table::percent;
use meshy_base::duration;
use meshy_base::error::{Advise as _, AdviseError as _, Exit};
use meshy_metrics::RouteCounts;
use meshy_metrics::routes::Service;
use meshy_policy::{policy, services, test_service};
use meshy_predict::Interval;
use meshy_predict::edge::{EdgeLoad, EdgePrediction, Policy, predict_edge};
use meshy_predict::model::RetryBudget;

/// What to predict.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy predict --fail 70% --rate 10\n  meshy predict --fail 70% --rate 10 --limit 3 --duration 1m\n  meshy predict --topology chain-4 --rate 30 --limit 2 --trigger down=8s"
)]
pub struct Args {
    #[command(flatten)]
    pub(super) scenario: ScenarioArgs,
    /// Read rate, failures and policy from the cluster, and compare the prediction with the requests during --duration
    #[arg(long)]
    from_cluster: bool,
    /// The service that --from-cluster reads
    #[arg(long, default_value = original_demo::CALLED)]
    service: String,
    /// The service's namespace
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// The random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    graph: topology::GraphArgs,
}

impl Args {
    pub(crate) fn planned(&self) -> Duration {
        if self.from_cluster { self.scenario.duration() } else { Duration::ZERO }
    }
}

/// The scenario's flags, shared with `sweep`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ScenarioArgs {
    /// The chance that one attempt fails
    #[arg(long, value_parser = ratio, default_value = "70%", value_name = "PERCENT")]
    pub(super) fail: f64,
    /// Requests per second, of all clients together
    #[arg(long, alias = "rps", value_parser = rate, default_value = "10", value_name = "NUMBER")]
    pub(super) rate: f64,
    /// How long the load lasts [default: 30s]
    #[arg(long, alias = "over", value_parser = duration::more_than_zero, value_name = "DURATION")]
    pub(super) duration: Option<Duration>,
    /// Client proxies; each has a separate budget
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) clients: u32,
    /// The budget's retryRatio [default: 0.2]
    #[arg(long, alias = "budget", value_name = "RATIO")]
    pub(super) ratio: Option<f64>,
    /// The budget's minRetriesPerSecond [default: 10]
    #[arg(long, value_name = "COUNT")]
    pub(super) min: Option<u32>,
    /// The budget's ttl [default: 10s]
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    pub(super) ttl: Option<Duration>,
    /// The retry limit: retries per request by annotations, instead of a budget
    #[arg(long, alias = "retries", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=65_535))]
    pub(super) limit: Option<u32>,
}

/// The budget for values that no flag gives: retryRatio, minRetriesPerSecond and ttl in seconds.
const DEFAULT: (f64, u32, f64) = match Policy::DEFAULT_BUDGET {
    Policy::Budget { retry_ratio, min_retries_per_second, ttl_seconds } => {
        (retry_ratio, min_retries_per_second, ttl_seconds)
    }
    _ => panic!("the default is a budget"),
};

impl ScenarioArgs {
    /// Returns the load of one edge with its policy.
    ///
    /// # Errors
    /// A limit is given together with a budget.
    pub(super) fn scenario(&self) -> anyhow::Result<EdgeLoad> {
        let policy = match self.limit {
            Some(_) if self.ratio.is_some() || self.min.is_some() || self.ttl.is_some() => {
                return Err(anyhow!("`--limit` cannot be used with `--ratio`, `--min` or `--ttl`"))
                    .hint("a service has a retry limit (annotations) or a retry budget (ServiceProfile)")
                    .exit(Exit::Usage);
            }
            Some(0) => Policy::None,
            Some(limit) => Policy::Limit { limit },
            None => Policy::Budget {
                retry_ratio: self.ratio.unwrap_or(DEFAULT.0),
                min_retries_per_second: self.min(),
                ttl_seconds: self.ttl().as_secs_f64(),
            },
        };
        Ok(EdgeLoad {
            fail_ratio: self.fail,
            requests_per_second: self.rate,
            over_seconds: self.duration().as_secs_f64(),
            clients: self.clients,
            policy,
            blocks: false,
            within_block: false,
        })
    }

    /// How long the load of one edge is.
    pub(super) fn duration(&self) -> Duration {
        self.duration.unwrap_or(Duration::from_secs(30))
    }

    /// The budget of these flags.
    pub(super) fn budget(&self) -> RetryBudget {
        let ratio = self.ratio.unwrap_or(DEFAULT.0);
        RetryBudget { ratio, min_per_second: self.min(), ttl: self.ttl() }
    }

    fn min(&self) -> u32 {
        self.min.unwrap_or(DEFAULT.1)
    }

    fn ttl(&self) -> Duration {
        self.ttl.unwrap_or(Duration::from_secs_f64(DEFAULT.2))
    }
}

/// Reads `70%`, `70` or `0.7` as a share; `1` is one percent, as a bare number above it would be.
pub(super) fn ratio(text: &str) -> Result<f64, String> {
    let wrong = || format!("invalid share `{text}`, expected for example 70% or 0.7");
    let (number, percent) = match text.strip_suffix('%') {
        Some(number) => (number, true),
        None => (text, false),
    };
    let value: f64 = number.trim().parse().map_err(|_| wrong())?;
    let value = if percent || value >= 1.0 { value / 100.0 } else { value };
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(wrong()) }
}

/// Reads a rate; a simulation or an open loop of more than a million a second is a mistype.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("invalid number `{text}`"))?;
    if value > 0.0 && value <= 1e6 {
        Ok(value)
    } else {
        Err(format!("`{text}` is out of range; expected more than 0 and at most 1000000"))
    }
}

/// Reads `30` or `30/s`.
fn rate(text: &str) -> Result<f64, String> {
    positive(text.strip_suffix("/s").unwrap_or(text))
}

/// What `--from-cluster` gives; without it, the prediction alone.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
    prediction: &'a EdgePrediction,
    measured: &'a RouteCounts,
    measured_success_ratio: Option<f64>,
    /// Whether the measured success lies in the predicted interval; none without traffic.
    within_prediction: Option<bool>,
}

/// Predicts.
///
/// # Errors
/// With `--from-cluster`, what cannot be read there.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.graph.is_requested() {
        return topology::run(context, &args.graph, &args.scenario, args.seed);
    }
    let mut scenario = args.scenario.scenario()?;
    if !args.from_cluster {
        let prediction = predict_edge(scenario, args.seed);
        context.data(&prediction, words)?;
        return Ok(Exit::Done);
    }
    let client = context.client().await?;
    let service = Service { namespace: args.namespace, name: args.service };
    let pods = services::pods(&client, &service.namespace, &service.name).await?;
    scenario.policy = policy::of(&client, &service).await?;
    let before = measure::snapshot(&client, &service).await?;
    let watched = context.report.step("Watching", format!("`{}`", service.name));
    let window = context.window(args.scenario.duration());
    scenario.over_seconds = window.as_secs_f64();
    tokio::time::sleep(window).await;
    let (mesh, _) = before.until(&before.again().await?, None);
    watched.done(format!("{} requests", mesh.clients.requests_count));
    // Another application does not say how it fails: its attempts do.
    let text = match test_service::fault(&client, &pods).await {
        Ok(fault) => {
            scenario.blocks = fault.blocks && pods.len() == 1;
            scenario.within_block = scenario.blocks;
            Some(test_service::fail_ratio(&fault))
        }
        Err(error) => {
            context
                .report
                .warn(format!("the share of failures is the measured one: {}", failure::plain(&error)));
            None
        }
    };
    let seen = mesh.clients.actual_success().map(|good| 1.0 - good);
    scenario.fail_ratio = match text.or(seen) {
        Some(ratio) => ratio,
        None => return Err(unknown_failures(&service.name, window)),
    };
    if mesh.clients.requests_count > 0 {
        scenario.requests_per_second = mesh.clients.requests_count as f64 / scenario.over_seconds;
    }
    let prediction = predict_edge(scenario, args.seed);
    let measured = mesh.clients.effective_success();
    let document = Document {
        prediction: &prediction,
        measured: &mesh.clients,
        measured_success_ratio: measured,
        within_prediction: measured.map(|measured| prediction.success_ratio.holds(measured)),
    };
    context.data(&document, |_| {
        let place = match measured {
            None => "no requests were counted".to_owned(),
            Some(ratio) if prediction.success_ratio.holds(ratio) => {
                format!("{}, inside the predicted interval", percent(Some(ratio)))
            }
            Some(ratio) => format!("{}, OUTSIDE the predicted interval", percent(Some(ratio))),
        };
        format!("{}\n  measured         {place}", words(&prediction))
    })?;
    Ok(Exit::Done)
}

/// The error for an application that does not report its faults, without a request from which its share of failures is known.
fn unknown_failures(service: &str, window: Duration) -> anyhow::Error {
    let error = anyhow!(
        "the share of failures of service `{service}` is not known: no proxy counted a request to it in {} s",
        window.as_secs_f64()
    );
    let hint = "send requests meanwhile, for example with `meshy traffic --url`; `meshy predict --fail 30%` predicts without a cluster";
    error.hint(hint)
}

pub(super) fn policy_words(policy: &Policy) -> String {
    match policy {
        Policy::None => "no retries".to_owned(),
        Policy::Limit { limit } => format!("at most {limit} retries a request, no budget"),
        Policy::Budget { retry_ratio, min_retries_per_second, ttl_seconds } => {
            format!(
                "a budget of ratio {retry_ratio}, {min_retries_per_second} retries/s, ttl {ttl_seconds} s"
            )
        }
    }
}

/// A number with at most two decimals: a measured rate has many more.
fn short(number: f64) -> String {
    format!("{number:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn words(prediction: &EdgePrediction) -> String {
    let scenario = &prediction.scenario;
    let share = |interval: &Interval| {
        format!(
            "{:5.1} %   {:.1} to {:.1} %",
            interval.mean * 100.0,
            interval.low * 100.0,
            interval.high * 100.0
        )
    };
    let clients =
        if scenario.clients == 1 { String::new() } else { format!(" from {} clients", scenario.clients) };
    let asked = format!(
        "{:.0} % of attempts fail, {} requests/s{clients} for {} s ({} requests), {}",
        scenario.fail_ratio * 100.0,
        short(scenario.requests_per_second),
        scenario.over_seconds,
        prediction.requests_count,
        policy_words(&scenario.policy),
    );
    let mut text = format!(
        "{}\n\n\
         \x20 success        {}\n\
         \x20 attempts/request  {:5.2}     {:.2} to {:.2}\n\
         \x20 added load     {}\n\
         \x20 retries/s      {:5.1} needed, {:.1} made\n\
         \x20 closed form    {:5.1} %   success in the long run",
        wrapped(&asked, WIDTH).join("\n"),
        share(&prediction.success_ratio),
        prediction.attempts_per_request.mean,
        prediction.attempts_per_request.low,
        prediction.attempts_per_request.high,
        share(&prediction.added_attempts_per_request),
        prediction.retries_wanted_per_second,
        prediction.retries_made_per_second,
        prediction.closed_form_success_ratio * 100.0,
    );
    text.push_str(match prediction.simulations_count {
        0 => "\n\nExact; the range holds 99.7 % of such runs.",
        _ if scenario.blocks => {
            "\n\nSimulated with failures in blocks of 10; the range holds 99.7 % of such runs."
        }
        _ => "\n\nSimulated with tower's budget; the range holds 99.7 % of such runs.",
    });
    if let Some(remark) = &prediction.remark {
        text.push_str(&format!("\nNo retries at all: {remark}."));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_at_most_two_decimals() {
        assert_eq!([1.933_333_333, 10.0, 0.5, 100.0].map(short), ["1.93", "10", "0.5", "100"]);
    }

    #[test]
    fn a_share_is_read_in_three_spellings() {
        assert_eq!((ratio("70%"), ratio("70"), ratio("0.7")), (Ok(0.7), Ok(0.7), Ok(0.7)));
        assert_eq!(ratio("100%"), Ok(1.0));
        for wrong in ["170%", "-1", "x", "%"] {
            assert!(ratio(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "-1", "NaN", "inf", "1e9", "x"] {
            assert!(positive(wrong).is_err(), "{wrong}");
        }
    }
}
