//! `meshy traffic`: requests at a fixed rate, from this machine or from pods, and what the client got for them.

mod destination;
mod senders;
mod targets;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use tokio::sync::watch;

pub(super) use destination::ingress;

use super::experiment::Ends;
use super::gate::{self, Gate};
use super::predict::positive;
use crate::context::Context;
use crate::measure;
use crate::original_demo::cases;
use crate::recording::Recording;
use crate::runs;
use crate::steps::Step;
use crate::summary;
use meshy_base::duration;
use meshy_base::error::{Advise, Exit};
use meshy_experiment::event::{ConditionResult, RunStatus};
use meshy_lab::cluster;
use meshy_load::Plan;
use meshy_senders::Sent;

/// How requests reach a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// From pods in the cluster, so that the policies of clients apply.
    Senders,
    /// From this machine, past the proxies of clients.
    PortForward,
}

/// How long a load lasts without `--duration`.
const LENGTH: Duration = Duration::from_secs(30);

/// How much traffic, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy traffic 30s --rate 10\n  meshy traffic --case ingress --expect 'success>=99%,p99<200ms'\n  \
                  meshy traffic --url http://cart.shop:8080/ --senders 4 --rate 2000\n  \
                  meshy traffic --url http://cart.shop:8080/ --from deploy/web -n shop\n  \
                  meshy traffic --url grpc://cart.shop:8080/shop.Cart/Get --senders 1\n  \
                  meshy traffic --url http://web.shop/ --outcomes price -n shop"
)]
pub struct Args {
    /// Through the ingress to minimal-service, which calls bounced-service (`service`), or to bounced-service (`ingress`)
    #[arg(long, value_parser = PossibleValuesParser::new(cases::names()), default_value = cases::DEFAULT,
          conflicts_with_all = ["url", "targets"])]
    case: String,
    /// Any URL instead, such as `http://NAME.NAMESPACE:PORT/` of a Service, or `grpc://…/SERVICE/METHOD`
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Several targets with weights and bodies, from a YAML file (docs/load.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "method", "data"])]
    targets: Option<PathBuf>,
    /// The method for --url
    #[arg(long, short = 'X', requires = "url", value_name = "METHOD")]
    method: Option<http::Method>,
    /// A header, `Name: value`; may be repeated
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    headers: Vec<String>,
    /// The body for --url, or @FILE
    #[arg(long, short = 'd', requires = "url", value_name = "TEXT")]
    data: Option<String>,
    /// Send HTTP/2; without TLS the connection begins with it, without an upgrade from HTTP/1.1
    #[arg(long)]
    http2: bool,
    /// Trust the certificate authorities in this PEM file for https URLs
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Send from this many pods in the cluster
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=64))]
    senders: Option<u32>,
    /// Send from pods with the identity of a workload: deploy/NAME
    #[arg(long, value_name = "WORKLOAD")]
    from: Option<String>,
    /// The namespace of the senders, of the workload of --from, and of the service of --outcomes [default: that of the Service in --url, else default]
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Show the outcomes at this service, which the target calls [default: the target, or the service that a bounce calls]
    #[arg(long, value_name = "SERVICE")]
    outcomes: Option<String>,
    /// The image of the senders on a cluster without a lab
    #[arg(long, value_name = "IMAGE")]
    sender_image: Option<String>,
    /// How requests of --url and --targets reach a Service [default: senders on clusters that meshy created, else port-forward]
    #[arg(long, value_enum)]
    via: Option<Via>,
    /// Name the run, so that `report before after` finds it; may be repeated
    #[arg(long = "tag", value_name = "NAME", value_parser = runs::tag)]
    tags: Vec<String>,
    /// Only delete senders that a killed run left behind
    #[arg(long)]
    cleanup: bool,
    /// How long the load lasts, as --duration
    #[arg(value_name = "DURATION", value_parser = duration::more_than_zero, conflicts_with = "duration")]
    time: Option<Duration>,
    /// Requests per second
    #[arg(long, visible_alias = "rps", short = 'q', value_parser = positive, default_value = "2", value_name = "NUMBER")]
    rate: f64,
    /// How long the load lasts [default: 30s]
    #[arg(long, short = 'z', value_parser = duration::more_than_zero, value_name = "DURATION")]
    duration: Option<Duration>,
    /// The largest number of open requests of the load generator, or of each sender; with HTTP/1.1 each has its own connection
    #[arg(long, short = 'c', default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// How long the load generator waits for a response; the request timeout of the mesh is a policy
    #[arg(long, value_parser = duration::more_than_zero, default_value = "10s", value_name = "DURATION")]
    client_timeout: Duration,
    #[command(flatten)]
    gate: Gate,
}

impl Args {
    pub(crate) fn planned(&self) -> Duration {
        if self.cleanup { Duration::ZERO } else { self.time.or(self.duration).unwrap_or(LENGTH) }
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
    run: &'a str,
    interrupted: bool,
    #[serde(flatten)]
    step: &'a Step,
    #[serde(skip_serializing_if = "Option::is_none")]
    senders: Option<Senders<'a>>,
    expectations: &'a [ConditionResult],
}

/// The senders of a load.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Senders<'a> {
    /// Requests that they had to send.
    scheduled_count: u64,
    /// Between the first and the last start.
    start_skew_ms: Option<f64>,
    /// By how much the start skew may be wrong.
    clock_error_ms: f64,
    /// Whether a sender died or did not report everything.
    incomplete: bool,
    each: &'a [meshy_senders::Sender],
}

impl<'a> Senders<'a> {
    fn of(sent: &'a Sent) -> Self {
        Self {
            scheduled_count: sent.scheduled(),
            start_skew_ms: sent.start_skew.map(|skew| skew.as_secs_f64() * 1000.0),
            clock_error_ms: sent.clock_error.as_secs_f64() * 1000.0,
            incomplete: sent.is_incomplete(),
            each: &sent.senders,
        }
    }
}

/// Sends the load, prints and records the result.
///
/// # Errors
/// The target cannot be found, the cluster cannot be read, or the result is not complete.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.cleanup {
        return senders::clean(context, args.namespace.as_deref()).await;
    }
    destination::check_observed(context, &args).await?;
    if args.url.is_none() && args.targets.is_none() {
        if args.senders.is_some() || args.from.is_some() || args.via.is_some() {
            return Err(anyhow!("the cases of the original demo are sent to the ingress from this machine"))
                .hint("`--url http://NAME.NAMESPACE:PORT/` with `--senders` sends from pods")
                .exit(Exit::Usage);
        }
        let destination = destination::case(context, &args).await?;
        return local(context, &args, destination).await;
    }
    let specs = targets::read(&args)?;
    let service = destination::named_in(context, &specs[0].url).await?;
    if !senders::chosen(context, &args, service.is_some())? {
        let destination = destination::urls(context, &args, &specs, service.as_ref()).await?;
        return local(context, &args, destination).await;
    }
    destination::check(context, &args, &specs).await?;
    let (count, case) = (args.senders.unwrap_or(1), destination::described(&specs));
    if context.dry_run {
        context.report.say(format!("would send to {case} from {count} pods, {} times a second", args.rate));
        return Ok(Exit::Done);
    }
    let seen = destination::observed(&args)
        .or_else(|| service.map(|named| destination::measured(&specs, &named.service)));
    let length = args.planned().min(context.remaining());
    let load = senders::Wanted { specs, case: &case, length };
    let ends = Ends::listen(context)?;
    let sent = senders::step(context, &args, load, seen.as_ref(), &ends).await?;
    let Some((recording, step, sent)) = sent else { return ends.exit("traffic") };
    conclude(context, &args, (&recording, &step), (&case, length, Some(&sent)))
}

/// Sends the load from this machine.
async fn local(
    context: &Context,
    args: &Args,
    destination: destination::Destination,
) -> anyhow::Result<Exit> {
    let length = args.planned().min(context.remaining());
    let plan = Plan {
        rate: args.rate,
        length,
        connections: args.connections.into(),
        patience: args.client_timeout,
        ..Plan::default()
    };
    let first = &destination.targets.list()[0];
    let server = first.server.to_string();
    if context.dry_run {
        let (method, path) = (&first.method, &first.path);
        context.report.say(format!("would send {method} {path} to {server}, {} times a second", plan.rate));
        return Ok(Exit::Done);
    }
    let recording = begin(context, &args.tags, destination.seen.as_ref().map(|(client, _)| client)).await?;
    let stop = stop_by_ctrl_c();
    let mesh = destination.seen.as_ref().map(|(client, service)| (client, service));
    let load = (destination.targets.clone(), plan);
    let step = measure::step(&recording, ("traffic", &destination.case), mesh, load, stop).await?;
    conclude(context, args, (&recording, &step), (&server, length, None))
}

/// Begins a run; with a client, the versions of the cluster are recorded.
async fn begin(
    context: &Context,
    tags: &[String],
    client: Option<&kube::Client>,
) -> anyhow::Result<Recording> {
    let provider = context.lab()?.map_or("-", |lab| cluster::word(lab.provider()));
    Recording::begin(&context.report, ("traffic", &context.name, provider), tags, client).await
}

/// Records and prints the result; returns how the command ends.
fn conclude(
    context: &Context,
    args: &Args,
    (recording, step): (&Recording, &Step),
    (server, length, sent): (&str, Duration, Option<&Sent>),
) -> anyhow::Result<Exit> {
    recording.end(RunStatus::of(step.traffic.interrupted));
    if step.traffic.success_ratio.is_some() && step.traffic.unreached() {
        context.report.warn(format!("nothing responded at {server}: is it up?"));
    }
    let evaluated = args.gate.evaluate(&recording.view.run().results());
    let mut measured = summary::of_step(step);
    if let Some(sent) = sent {
        measured.push_str(&format!("{}\n", sent.lines()[0]));
    }
    args.gate.write(
        &format!("meshy traffic, {}", recording.id),
        &format!("```text\n{measured}```"),
        &evaluated,
    )?;
    let (interrupted, senders) = (step.traffic.interrupted, sent.map(Senders::of));
    let document = Document { run: &recording.id, interrupted, step, senders, expectations: &evaluated };
    context.data(&document, |_| {
        let mut text = measured;
        evaluated.iter().for_each(|one| text.push_str(&format!("\n{one}")));
        text
    })?;
    check(args, step, length)?;
    if interrupted {
        return Ok(Exit::Interrupted);
    }
    let exit = gate::exit(&evaluated)?;
    recording.written()?;
    Ok(exit)
}

/// Checks that the load was sent as it was planned.
fn check(args: &Args, step: &Step, length: Duration) -> anyhow::Result<()> {
    let traffic = &step.traffic;
    if !traffic.incomplete.is_empty() {
        return Err(anyhow!("the result is incomplete: {} of the senders died", traffic.incomplete.len()))
            .hint("`kubectl get events` may show why; what they reported until then is counted");
    }
    if length < args.planned() && !traffic.interrupted {
        return Err(anyhow!(
            "the time limit ended the load early: {length:.1?} of {:.1?} were sent",
            args.planned()
        ))
        .hint("`--timeout` sets how long a command may take; without it a load has the time that it needs")
        .id("timed-out")
        .exit(Exit::Timeout);
    }
    let unsent = traffic.client_errors();
    if unsent > 0 {
        return Err(anyhow!(
            "{unsent} of {} requests were not sent: the sender has no free file descriptor or port",
            traffic.requests_count
        ))
        .hint("use fewer `--connections`, or allow more open files with `ulimit -n`");
    }
    Ok(())
}

/// Turns true at ctrl-C, so that what was counted is still printed and recorded.
pub(super) fn stop_by_ctrl_c() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
        }
        // Kept: without a sender the traffic could not be known any more.
        stop.closed().await;
    });
    stopped
}
