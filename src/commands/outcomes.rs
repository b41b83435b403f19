//! `meshy outcomes`: where every request to a service went, and what it cost.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::window::{self, Source, Time};
use crate::context::Context;
use crate::measure::{self, Mesh, Snapshot};
use crate::original_demo;
use crate::summary;
use meshy_base::error::Exit;
use meshy_metrics::routes::{Service, client_view};
use meshy_metrics::{Outcomes, Rolling, Window};

/// What to watch.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy outcomes\n  meshy outcomes bounced-service --watch\n  meshy outcomes --window 30s -o json"
)]
pub struct Args {
    /// The service
    #[arg(default_value = original_demo::CALLED)]
    service: String,
    /// The service's namespace
    #[arg(long, short, default_value = "default")]
    namespace: String,
    #[command(flatten)]
    time: Time,
}

impl Args {
    pub(crate) fn planned(&self) -> Duration {
        self.time.planned()
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
    source: Source,
    #[serde(flatten)]
    outcomes: &'a Outcomes,
}

/// Shows the outcomes, with `--watch` again each second.
///
/// # Errors
/// The service is unknown, or the API fails.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let client = context.client().await?;
    let service = Service { namespace: args.namespace.clone(), name: args.service.clone() };
    let before = measure::snapshot(&client, &service).await?;
    if !before.meshed() {
        context
            .report
            .warn("no pod has a proxy, so nothing is counted; `meshy inject` adds proxies to workloads");
    }
    if args.time.watch {
        return watch(context, before, &args.time).await;
    }
    let (mesh, source) = match args.time.window {
        Some(Duration::ZERO) => (before.at_start().until(&before, None).0, Source::Start),
        _ => of_window(context, &before, &args.time).await?,
    };
    show(context, &mesh, source, false)?;
    Ok(Exit::Done)
}

/// Watches requests; without `--window` and without requests, the last recorded load or all since the start.
async fn of_window(context: &Context, before: &Snapshot, time: &Time) -> anyhow::Result<(Mesh, Source)> {
    let step = context
        .report
        .step("Watching", format!("`{}` for {:.0} s", before.service().name, time.planned().as_secs_f64()));
    sleep(context.window(time.planned())).await;
    let now = before.again().await?;
    let (mesh, window) = before.until(&now, None);
    step.done(format!("{} requests", mesh.outcomes.requests_count));
    if time.window.is_some() || mesh.outcomes.requests_count > 0 {
        return Ok((mesh, Source::window(&window)));
    }
    let (all, _) = now.at_start().until(&now, None);
    if let Some((load, window)) = window::recorded(context, &now.pods()) {
        let outcomes = load.outcomes(before.service()).cloned();
        let outcomes = outcomes.unwrap_or_else(|| of_clients(&window, before.service()));
        if outcomes.requests_count > 0 {
            let source = Source::run(&load, &window);
            return Ok((Mesh { outcomes, gaps: window.gaps, ..all }, source));
        }
    }
    Ok((all, Source::Start))
}

/// The outcomes as far as clients count them: a run about another service has no counts of this one.
fn of_clients(window: &Window, service: &Service) -> Outcomes {
    Outcomes::of(&client_view(window.pods.iter().map(|pod| &pod.change), service), None)
}

async fn watch(context: &Context, before: Snapshot, time: &Time) -> anyhow::Result<Exit> {
    let mut snapshots = Rolling::new(time.planned());
    let mut next = Some(Instant::now() + Rolling::<Snapshot>::STEP);
    let from_start = time.window == Some(Duration::ZERO);
    if !from_start {
        snapshots.push(before.clone());
    }
    loop {
        window::second(&mut next).await;
        let now = before.again().await?;
        let (mesh, source) = if from_start {
            (now.at_start().until(&now, None).0, Source::Start)
        } else {
            snapshots.push(now);
            let Some((first, last)) = snapshots.ends() else { continue };
            let (mesh, window) = first.until(last, None);
            (mesh, Source::window(&window))
        };
        show(context, &mesh, source, true)?;
        if !window::goes_on(context, true) {
            return Ok(Exit::Done);
        }
    }
}

fn show(context: &Context, mesh: &Mesh, source: Source, again: bool) -> anyhow::Result<()> {
    mesh.gaps.iter().for_each(|gap| context.report.warn(format!("not counted: {gap}")));
    window::clear(context, again);
    context.data(&Document { source, outcomes: &mesh.outcomes }, |document| {
        let empty = document.outcomes.requests_count == 0;
        format!("{}\n{}", document.source.words(empty), summary::of_outcomes(document.outcomes))
    })
}
