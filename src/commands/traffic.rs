//! `meshy traffic`: requests at a fixed rate, and what the user got for them.

use meshy_kube::failure;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum;
use serde::Serialize;
use tokio::sync::watch;

use super::gate::{self, Gate};
use super::port_forward::Way;
use super::predict::positive;
use crate::context::Context;
use crate::demo;
use crate::expect::Judged;
use crate::live::Live;
use crate::measure::{self, Step};
use crate::runs::Run;
use crate::summary;
use meshy_base::duration;
use meshy_base::error::{Advise, Exit};
use meshy_lab::{cluster, lab};
use meshy_load::{Plan, Target};
use meshy_metrics::routes::Service;
use meshy_policy::services;

/// The original demo's two use cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// POST /bounce: minimal-service asks bounced-service.
    #[default]
    Service,
    /// GET through the ingress to bounced-service.
    Ingress,
}

impl Case {
    /// What it sends to a lab's ingress, and its name in a record.
    pub(super) fn target(self, ingress: SocketAddr) -> (Target, &'static str) {
        match self {
            Self::Service => (Target::service_case(ingress), "service"),
            Self::Ingress => (Target::ingress_case(ingress), "ingress"),
        }
    }
}

/// How long a load lasts without `--duration`.
const LENGTH: Duration = Duration::from_secs(30);

/// How much traffic, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy traffic 30s --rate 10\n  meshy traffic --case ingress --expect 'success>=99%,p99<200ms'\n  \
                  meshy traffic --url http://bounced-service.default.svc.cluster.local:9090/"
)]
pub struct Args {
    /// Which of the original demo's cases
    #[arg(long, value_enum, default_value_t, conflicts_with = "url")]
    case: Case,
    /// Any URL of plain HTTP instead; a Service's name in the cluster (NAME.NAMESPACE.svc) is reached by a port-forward
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
    /// How long the load lasts, as `--duration`
    #[arg(value_name = "DURATION", value_parser = duration::more_than_zero, conflicts_with = "duration")]
    time: Option<Duration>,
    /// Requests per second
    #[arg(long = "rate", visible_alias = "rps", short = 'q', value_parser = positive, default_value = "2", value_name = "NUMBER")]
    rps: f64,
    /// How long the load lasts [default: 30s]
    #[arg(long, short = 'z', value_parser = duration::more_than_zero, value_name = "DURATION")]
    duration: Option<Duration>,
    /// The largest number of connections, and so of open requests
    #[arg(long, short = 'c', default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// How long a request may take
    #[arg(long, value_parser = duration::parse, default_value = "10s", value_name = "DURATION")]
    request_timeout: Duration,
    #[command(flatten)]
    gate: Gate,
}

impl Args {
    pub(crate) fn planned(&self) -> Duration {
        self.time.or(self.duration).unwrap_or(LENGTH)
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
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
    let Aim { mut target, case, seen, _way } = aim(context, &args).await?;
    args.headers.iter().try_for_each(|header| target.header(header))?;
    let length = args.planned().min(context.remaining());
    let plan =
        Plan { rate: args.rps, length, connections: args.connections.into(), patience: args.request_timeout };
    let target_name = target.server.to_string();
    if context.dry_run {
        let (method, path, address) = (&target.method, &target.path, &target.server);
        context.report.say(format!("would send {method} {path} to {address}, {} times a second", plan.rate));
        return Ok(Exit::Done);
    }
    let provider = context.lab()?.map_or("-", |lab| cluster::word(lab.provider));
    let mut record = Run::begin("traffic", &context.name, provider);
    if let Some((client, _)) = &seen {
        record.note_versions(client).await?;
    }
    let stop = stop_by_ctrl_c();
    let live = Live::new(&context.report, plan.rate);
    let mesh = seen.as_ref().map(|(client, service)| (client, service));
    let step = measure::step("traffic", &case, mesh, (target, plan), stop, &live).await?;
    live.end();
    record.steps.push(step);
    record.save_or_warn(&context.report);
    let step = &record.steps[0];
    if step.traffic.success_ratio.is_some() && step.traffic.unreached() {
        context.report.warn(format!("nothing answered at {}: is it up?", target_name));
    }
    let judged = args.gate.judge(Some(step));
    let measured = summary::of_step(step);
    args.gate.write(&format!("meshy traffic, {}", record.id), &format!("```text\n{measured}```"), &judged)?;
    let interrupted = step.traffic.interrupted;
    let document = Document { run: &record.id, interrupted, step, expectations: &judged };
    context.data(&document, |_| {
        let mut text = measured;
        judged.iter().for_each(|one| text.push_str(&format!("\n{}", summary::of_judged(one))));
        text
    })?;
    if length < args.planned() && !interrupted {
        return Err(anyhow!(
            "the time was over before the load was: {length:.1?} of {:.1?} were sent",
            args.planned()
        ))
        .hint("`--timeout` sets how long a command may take; without it a load has the time that it needs")
        .id("timed-out")
        .exit(Exit::Timeout);
    }
    let unsent = step.traffic.client_errors();
    if unsent > 0 {
        return Err(anyhow!(
            "{unsent} of {} requests were not sent: this machine has no free file descriptor or port",
            step.traffic.requests_count
        ))
        .hint("use fewer `--connections`, or allow more open files with `ulimit -n`");
    }
    Ok(match interrupted {
        true => Exit::Interrupted,
        false => gate::exit(&judged)?,
    })
}

/// Where the requests go and what is looked at meanwhile.
struct Aim {
    target: Target,
    case: String,
    seen: Option<(kube::Client, Service)>,
    /// A port-forward lives as long as this.
    _way: Option<tokio_util::task::AbortOnDropHandle<()>>,
}

async fn aim(context: &Context, args: &Args) -> anyhow::Result<Aim> {
    let Some(url) = &args.url else {
        let (target, case) = args.case.target(ingress(context)?);
        let seen = Some((context.client().await?, demo::bounced()));
        return Ok(Aim { target, case: case.to_owned(), seen, _way: None });
    };
    let (mut target, seen, way) = match in_cluster(url) {
        // Any other URL may lead anywhere: nothing is known of a mesh there.
        None => (Target::of_url(url).await.hint("a URL is http://HOST[:PORT]/PATH")?, None, None),
        Some((service, port)) => {
            let client = context.client().await?;
            services::pods(&client, &service.namespace, &service.name).await?;
            let way = Way {
                client: client.clone(),
                namespace: service.namespace.clone(),
                target: format!("svc/{}", service.name),
                remote: port,
            };
            let (address, carried) = way.open(context.report.clone()).await?;
            let report = context.report.clone();
            let task = tokio::spawn(async move {
                if let Err(error) = carried.await {
                    report.warn(format!("the port-forward ended: {}", failure::plain(&error)));
                }
            });
            // A bounce ends at another service, and that is the one whose retries count.
            let asked = args.data.as_deref().and_then(asked_by_bounce).unwrap_or(service);
            let way = tokio_util::task::AbortOnDropHandle::new(task);
            (Target::of_url_by(url, address)?, Some((client, asked)), Some(way))
        }
    };
    target.method = args.method.clone().unwrap_or(target.method);
    target.body = args.data.clone().unwrap_or_default().into();
    Ok(Aim { target, case: url.clone(), seen, _way: way })
}

/// The Service and port that a URL means when its host is a name of the cluster's own DNS:
/// `http://NAME.NAMESPACE.svc.cluster.local:PORT/`, with or without the domain.
fn in_cluster(url: &str) -> Option<(Service, u16)> {
    let parsed: http::Uri = url.parse().ok()?;
    let authority = parsed.authority().filter(|_| parsed.scheme_str() == Some("http"))?;
    let host = authority.host().strip_suffix(".cluster.local").unwrap_or(authority.host());
    let (name, namespace) = host.strip_suffix(".svc")?.split_once('.')?;
    let service = Service { namespace: namespace.to_owned(), name: name.to_owned() };
    (!namespace.contains('.')).then_some((service, authority.port_u16().unwrap_or(80)))
}

/// The service that the body of a `/bounce` asks.
fn asked_by_bounce(body: &str) -> Option<Service> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    in_cluster(body["endpoint"].as_str()?).map(|(service, _)| service)
}

/// Where the lab's ingress listens.
///
/// # Errors
/// There is no lab, or it has no ingress.
pub(super) fn ingress(context: &Context) -> anyhow::Result<SocketAddr> {
    let lab = context.lab()?;
    let Some(lab) = lab else {
        return Err(lab::absent(&context.name));
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
        // Kept: without a sender the traffic could not be known any more.
        stop.closed().await;
    });
    stopped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_cluster_is_a_service_and_a_port() {
        let found = |url| in_cluster(url).map(|(s, port)| (s.name, s.namespace, port));
        let wanted = |port| Some(("a".to_owned(), "b".to_owned(), port));
        assert_eq!(found("http://a.b.svc.cluster.local:9090/x"), wanted(9090));
        assert_eq!(found("http://a.b.svc/"), wanted(80));
        for other in
            ["http://a.b/", "http://127.0.0.1:80/", "https://a.b.svc/", "http://x.a.b.svc/", "a.b.svc"]
        {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn a_bounce_is_about_the_service_that_it_asks() {
        let order = r#"{"rebound":"true","endpoint":"http://far.there.svc.cluster.local:9090"}"#;
        assert_eq!(asked_by_bounce(order).unwrap().name, "far");
        assert_eq!(asked_by_bounce("not JSON").map(|s| s.name), None);
    }
}
