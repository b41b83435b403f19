//! `meshy traffic`: requests at a fixed rate, and what the user got for them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use serde::Serialize;
use tokio::sync::watch;

use super::predict::positive;
use crate::cli::duration;
use crate::context::Context;
use crate::error::{Advise, Exit};
use crate::expect::{self, Expectations, Judged};
use crate::live::Live;
use crate::measure::{self, Step};
use crate::metrics::routes::Service;
use crate::runs::Run;
use crate::services;
use crate::summary;
use crate::traffic::{Plan, Target};

/// The seed's two use cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// POST /bounce: minimal-service asks bounced-service.
    #[default]
    Service,
    /// GET through the ingress to bounced-service.
    Ingress,
}

/// How much traffic, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy traffic --duration 30s --rps 10\n  meshy traffic --case ingress --expect 'success>=99%,p99<200ms'"
)]
pub struct Args {
    /// Which of the seed's cases
    #[arg(long, value_enum, default_value_t, conflicts_with = "url")]
    case: Case,
    /// Any URL of plain HTTP instead
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The method for --url
    #[arg(long, short = 'X', requires = "url", value_name = "METHOD")]
    method: Option<http::Method>,
    /// A header, `Name: value`; can be given again
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    headers: Vec<String>,
    /// The body for --url
    #[arg(long, short = 'd', requires = "url", value_name = "TEXT")]
    data: Option<String>,
    /// Requests per second
    #[arg(long, value_parser = positive, default_value = "2", value_name = "NUMBER")]
    rps: f64,
    /// For how long
    #[arg(long, value_parser = duration, default_value = "30s", value_name = "DURATION")]
    duration: Duration,
    /// Connections at most, and so requests under way at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// How long a request may take
    #[arg(long, value_parser = duration, default_value = "10s", value_name = "DURATION")]
    request_timeout: Duration,
    /// Conditions that must hold, or exit with 5
    #[arg(long, value_name = "CONDITIONS")]
    expect: Option<Expectations>,
    /// Write the judgement of --expect as Markdown
    #[arg(long, requires = "expect", value_name = "FILE")]
    summary: Option<PathBuf>,
}

#[derive(Serialize)]
struct Document<'a> {
    run: &'a str,
    interrupted: bool,
    #[serde(flatten)]
    step: &'a Step,
    expectations: &'a [Judged],
}

/// Sends the traffic, prints and records what came of it.
///
/// # Errors
/// The target cannot be found, or the cluster cannot be read.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let (mut target, case) = match &args.url {
        Some(url) => {
            let mut target = Target::of_url(url).await.hint("a URL is http://HOST[:PORT]/PATH")?;
            target.method = args.method.clone().unwrap_or(target.method);
            target.body = args.data.clone().unwrap_or_default().into();
            (target, url.clone())
        }
        None => {
            let ingress = ingress(context)?;
            match args.case {
                Case::Service => (Target::service_case(ingress), "service".to_owned()),
                Case::Ingress => (Target::ingress_case(ingress), "ingress".to_owned()),
            }
        }
    };
    args.headers.iter().try_for_each(|header| target.header(header))?;
    let plan = Plan {
        rate: args.rps,
        length: args.duration.min(context.remaining()),
        connections: args.connections.into(),
        patience: args.request_timeout,
    };
    if context.global.dry_run {
        let (method, path, address) = (&target.method, &target.path, target.address);
        context.report.say(format!("would send {method} {path} to {address}, {} times a second", plan.rate));
        return Ok(Exit::Done);
    }
    // Any URL may lead anywhere: only the seed's cases are known to end at the seed's service.
    let client = if args.url.is_none() { Some(context.client().await?) } else { None };
    let service = Service { namespace: "default".to_owned(), name: services::BOUNCED.to_owned() };
    let lab = context.lab()?;
    let provider = lab.as_ref().map_or("-".to_owned(), |lab| format!("{:?}", lab.provider).to_lowercase());
    let mut record = Run::begin("traffic", &context.global.name, &provider);
    let stop = stop_by_ctrl_c();
    let live = Live::new(&context.report, plan.rate);
    let mesh = client.as_ref().map(|client| (client, &service));
    let step = measure::step("traffic", &case, mesh, (target, plan), stop, |tick| live.tick(tick)).await?;
    live.end();
    record.steps.push(step);
    if let Err(error) = record.save() {
        context.report.warn(format!("the run is not recorded: {error:#}"));
    }
    let step = &record.steps[0];
    let judged = args.expect.map(|expect| expect.judge(step)).unwrap_or_default();
    if let Some(file) = &args.summary {
        std::fs::write(file, expect::markdown(&judged))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let interrupted = step.traffic.interrupted;
    let document = Document { run: &record.id, interrupted, step, expectations: &judged };
    context.data(&document, |_| {
        let mut text = summary::of_step(step);
        judged.iter().for_each(|one| text.push_str(&format!("\n{}", summary::of_judged(one))));
        text
    })?;
    Ok(match interrupted {
        true => Exit::Interrupted,
        false if judged.iter().any(|one| !one.holds) => Exit::Expectation,
        false => Exit::Done,
    })
}

/// Where the lab's ingress listens.
///
/// # Errors
/// There is no lab, or it has no ingress.
pub(super) fn ingress(context: &Context) -> anyhow::Result<SocketAddr> {
    let lab = context.lab()?;
    let Some(lab) = lab else {
        return Err(anyhow!("there is no lab `{}`, and so no ingress", context.global.name))
            .hint("`meshy up` makes one; `--url URL` needs none")
            .exit(Exit::Prerequisite);
    };
    let port = lab.http_port.ok_or_else(|| anyhow!("lab `{}` has no ingress", lab.name));
    let port = port
        .hint("`meshy up --ingress nginx` installs one; `--url URL` needs none")
        .exit(Exit::Prerequisite)?;
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

/// Turns true at ctrl-C, so that what was counted is still printed and recorded.
pub(super) fn stop_by_ctrl_c() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
        }
        // Kept: without a sender the traffic could not be told any more.
        stop.closed().await;
    });
    stopped
}
