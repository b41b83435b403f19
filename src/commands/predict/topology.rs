//! `meshy predict --topology`: what load, retries, timeouts and a fault do to a call graph.

pub(in crate::commands) mod text;

use std::time::Duration;

use anyhow::anyhow;
use meshy_base::duration;
use meshy_base::error::{Advise, Exit};
use meshy_lab::deploy::topology;
use meshy_predict::model::{EdgePolicy, Fault, FaultKind, Load, Policies, Retry};
use meshy_predict::recovery::Observation;
use meshy_predict::storm::{Trigger, TriggerKind};
use meshy_predict::{Model, Options, Prediction, predict};
use meshy_topology::{Topology, capacity_limit, nearest};
use serde::Serialize;

use super::ScenarioArgs;
use crate::context::Context;

/// Whole seconds before the trigger.
const WARM_UP: u64 = 10;
/// Whole seconds that are observed after it, unless a duration is requested.
const OBSERVED: u64 = 45;
/// The fewest of these: a recovery is five good seconds.
const LEAST_OBSERVED: u64 = 5;

/// The flags of a prediction of a call graph.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Call graph")]
pub(crate) struct GraphArgs {
    /// Predict a topology (a shipped name, or a file) with --rate at its entry point. Each edge has the policy of --limit or of --ratio, or none. Default duration: 60s; with a trigger, until 45s after its end
    #[arg(long, value_name = "TOPOLOGY", requires = "rate",
          conflicts_with_all = ["fail", "from_cluster", "service", "namespace"])]
    topology: Option<String>,
    #[command(flatten)]
    timeouts: EdgeTimeouts,
    /// A disturbance that starts after 10s: down=8s, slow=3x:30s or load=2x:20s; the result is whether goodput recovers
    #[arg(long, value_name = "TRIGGER", requires = "topology")]
    trigger: Option<Trigger>,
    /// The service of the trigger [default: the first to have no free worker as the load grows; without `capacity`, the last in the file]
    #[arg(long, value_name = "SERVICE", requires = "trigger")]
    at: Option<String>,
    /// How often the graph is simulated
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
}

/// The timeouts of each edge.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::commands) struct EdgeTimeouts {
    /// The request timeout on each edge: of all attempts together (timeout.linkerd.io/request)
    #[arg(long, value_name = "DURATION", value_parser = duration::more_than_zero, requires = "topology")]
    request_timeout: Option<Duration>,
    /// The response timeout on each edge: of one attempt, which is not retried after it (timeout.linkerd.io/response)
    #[arg(long, value_name = "DURATION", value_parser = duration::more_than_zero, requires = "topology")]
    response_timeout: Option<Duration>,
    /// The retry timeout on each edge: after it an attempt is retried, except for the last one (retry.linkerd.io/timeout)
    #[arg(long, value_name = "DURATION", value_parser = duration::more_than_zero, requires = "topology")]
    retry_timeout: Option<Duration>,
}

impl EdgeTimeouts {
    /// Returns the policy of each edge, with the retries of these flags. `retried` says that a retry timeout comes later.
    ///
    /// # Errors
    /// There is a retry timeout and no limit of retries.
    pub(in crate::commands) fn policy(
        &self,
        flags: &ScenarioArgs,
        retried: bool,
    ) -> anyhow::Result<EdgePolicy> {
        let limit = flags.limit.filter(|limit| *limit > 0);
        if limit.is_none() && (retried || self.retry_timeout.is_some()) {
            return Err(anyhow!("a retry timeout needs `--limit`, the number of retries"))
                .hint("only retry annotations have a retry timeout; `--limit 2` for example")
                .exit(Exit::Usage);
        }
        let budget = flags.ratio.map(|_| flags.budget()).filter(|_| flags.limit != Some(0));
        let retry = match (limit, budget) {
            (None, None) => None,
            (Some(limit), budget) => {
                Some(Retry { budget, retry_timeout: self.retry_timeout, ..Retry::limit(limit) })
            }
            (None, Some(budget)) => Some(Retry::budget(budget)),
        };
        let (timeout, response_timeout) = (self.request_timeout, self.response_timeout);
        Ok(EdgePolicy { retry, timeout, response_timeout, breaker: None })
    }
}

/// What `--topology` gives.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Document {
    /// The topology.
    topology: String,
    /// Requests per second at the entry point.
    requests_per_second: f64,
    /// How long they are sent.
    over_seconds: f64,
    /// The policy of each edge, one line.
    policy: String,
    /// The fault, and the service that it is about.
    trigger: Option<String>,
    /// A prediction for each entry point, which then gets the whole load.
    entries: Vec<Entry>,
}

/// The prediction of one entry point.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Entry {
    /// The entry point.
    entry: String,
    /// The load at which a service has no free worker; none without limits.
    capacity_requests_per_second: Option<f64>,
    /// The service that limits the capacity.
    capacity_limited_by: Option<String>,
    /// What the simulations have in common.
    prediction: Prediction,
}

impl GraphArgs {
    pub(super) fn is_requested(&self) -> bool {
        self.topology.is_some()
    }

    /// Returns when the trigger ends, in whole seconds, and how long the load is.
    fn times(&self, flags: &ScenarioArgs) -> anyhow::Result<(Option<u64>, Duration)> {
        let Some(trigger) = &self.trigger else {
            return Ok((None, flags.duration.unwrap_or(Duration::from_secs(60))));
        };
        let end = WARM_UP + trigger.lasts.as_secs_f64().ceil() as u64;
        let duration = flags.duration.unwrap_or(Duration::from_secs(end + OBSERVED));
        let least = end + LEAST_OBSERVED;
        if duration.as_secs() < least {
            let error =
                anyhow!("--duration {} s is too short for trigger `{trigger}`", duration.as_secs_f64());
            return Err(error)
                .hint(format!(
                    "it begins after {WARM_UP} s and is observed for at least {LEAST_OBSERVED} s: {least}s"
                ))
                .exit(Exit::Usage);
        }
        Ok((Some(end), duration))
    }
}

/// Predicts a topology.
///
/// # Errors
/// The topology, the service of the trigger or a number is not valid.
pub(super) fn run(
    context: &Context,
    args: &GraphArgs,
    flags: &ScenarioArgs,
    seed: u64,
) -> anyhow::Result<Exit> {
    let name = args.topology.as_deref().unwrap_or_default();
    let rate = flags.rate;
    let loaded = topology::load(name)?;
    topology::warnings(name, &loaded).iter().for_each(|warning| context.report.warn(warning));
    let (end, duration) = args.times(flags)?;
    let policy = args.timeouts.policy(flags, false)?;
    let at = place(args.at.as_deref(), &loaded)?;
    let observation = end.map(|end| Observation::Recovery(end as usize..duration.as_secs() as usize));
    let options = Options { seed, runs: args.runs as usize, observation, ..Options::default() };
    let mut entries = Vec::new();
    for topology in by_entry(&loaded) {
        let mut model = model(&topology, &policy, Load::even(rate, duration))?;
        model.clients = flags.clients as usize;
        if let (Some(trigger), Some(service)) = (&args.trigger, at.and_then(|at| model.service(at))) {
            model.faults = vec![fault(trigger, service)];
        }
        let entry = model.services[model.entry].name.clone();
        let limit = capacity_limit(&topology);
        if let Some(limit) = limit.as_ref().filter(|limit| limit.requests_per_second < rate) {
            context.report.warn(format!("a load of {rate}/s at `{entry}` is above {limit}"));
        }
        entries.push(Entry {
            entry,
            capacity_requests_per_second: limit.as_ref().map(|limit| limit.requests_per_second),
            capacity_limited_by: limit.map(|limit| limit.service),
            prediction: predict(&model, &options).exit(Exit::Usage)?,
        });
    }
    let document = Document {
        topology: loaded.name.clone(),
        requests_per_second: rate,
        over_seconds: duration.as_secs_f64(),
        policy: text::policy(&policy),
        trigger: args.trigger.map(|trigger| text::trigger(&trigger, at)),
        entries,
    };
    context.data(&document, text::of)?;
    Ok(Exit::Done)
}

/// Returns the topology once for each entry point, as its only one. One without services remains as it is, for the error.
fn by_entry(topology: &Topology) -> Vec<Topology> {
    let only = |entry: &str| {
        let mut only = topology.clone();
        only.services.iter_mut().for_each(|service| service.entrypoint = service.name == entry);
        only
    };
    let all: Vec<Topology> = topology.entrypoints().map(|entry| only(&entry.name)).collect();
    if all.is_empty() { vec![topology.clone()] } else { all }
}

/// Returns the model of a topology with one policy on each edge.
///
/// # Errors
/// The topology consists of overlays, or has no entry point.
pub(in crate::commands) fn model(
    topology: &Topology,
    policy: &EdgePolicy,
    load: Load,
) -> anyhow::Result<Model> {
    let services = topology.services.iter().map(|service| (service.name.clone(), policy.clone())).collect();
    let policies = Policies { services, ..Policies::default() };
    let model = Model::from_topology(topology, &policies)
        .hint("a topology with `services` can be predicted, one with `overlays` cannot")
        .exit(Exit::Usage)?;
    Ok(Model { load, ..model })
}

/// Returns the service of that name, else the one that limits the capacity, else the last.
///
/// # Errors
/// There is no such service.
pub(in crate::commands) fn place<'a>(
    at: Option<&str>,
    topology: &'a Topology,
) -> anyhow::Result<Option<&'a str>> {
    let names = || topology.services.iter().map(|service| service.name.as_str());
    if let Some(at) = at {
        if let Some(found) = names().find(|name| *name == at) {
            return Ok(Some(found));
        }
        let near = nearest(at, names()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(anyhow!("unknown service `{at}` in topology `{}`{near}", topology.name))
            .exit(Exit::Usage);
    }
    let limiting = capacity_limit(topology).map(|limit| limit.service);
    Ok(limiting.and_then(|limiting| names().find(|name| *name == limiting)).or_else(|| names().next_back()))
}

fn fault(trigger: &Trigger, service: usize) -> Fault {
    let kind = match trigger.kind {
        TriggerKind::Down => FaultKind::Down { service },
        TriggerKind::Slow(factor) => FaultKind::Slow { service, factor },
        TriggerKind::Load(factor) => FaultKind::Load { factor },
    };
    Fault { kind, at: Duration::from_secs(WARM_UP), lasts: trigger.lasts }
}
