//! `meshy stat`: a row for each workload, as its proxies count what arrives.

use std::time::Duration;

use anyhow::anyhow;

use super::window::{self, Reader, WindowArgs};
use crate::context::Context;
use crate::ui::table::{Table, UNKNOWN, millis, percent, rate};
use meshy_base::error::{Advise, Exit};
use meshy_metrics::stat::{By, Row, table};
use meshy_metrics::{self, Window};
use meshy_policy::services;

/// What to show.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy stat\n  meshy stat deploy/bounced-service --watch\n  meshy stat svc -A --window 0s"
)]
pub struct Args {
    /// A kind (deploy, sts, ds, rs, job, pod, ns, svc), or one object: deploy/NAME
    #[arg(default_value = "deploy", value_name = "KIND[/NAME]")]
    target: String,
    #[command(flatten)]
    requests: WindowArgs,
    /// Count the kubelet's probes, too
    #[arg(long)]
    with_probes: bool,
}

impl Args {
    pub(crate) fn planned(&self) -> Duration {
        self.requests.planned()
    }
}

/// Shows the table, with `--watch` again each second.
///
/// # Errors
/// The target is unknown, nothing is meshed, the Prometheus is not usable, or the API fails.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let (kind, name) = match args.target.split_once('/') {
        Some((kind, name)) => (kind, Some(name)),
        None => (args.target.as_str(), None),
    };
    let by = By::parse(kind).ok_or_else(|| anyhow!("`{kind}` is not a kind that `stat` supports"));
    let by = by.hint("expected deploy, sts, ds, rs, job, pod, ns or svc").exit(Exit::Usage)?;
    let client = context.client().await?;
    let mut reader = Reader::new(&args.requests.time, &args.requests.history);
    loop {
        // Services are counted by their clients, which can live anywhere; namespaces are all of them.
        let namespace = match by {
            By::Service | By::Namespace => None,
            By::Workload(_) | By::Pod => {
                (!args.requests.all_namespaces).then_some(args.requests.namespace.as_str())
            }
        };
        let mut pods = meshy_metrics::pods::list(&client, namespace).await?;
        if by == By::Service {
            pods.retain(|pod| !pod.is_control_plane());
        }
        // A proxy keeps the counters of a deleted service for ten minutes.
        let own = (!args.requests.all_namespaces).then_some(args.requests.namespace.as_str());
        let there = match by {
            By::Service => Some(meshy_policy::service_names(&client, own).await?),
            _ => None,
        };
        let shown = |row: &Row| {
            let here = args.requests.all_namespaces
                || by == By::Namespace
                || row.namespace == args.requests.namespace;
            let is_there =
                there.as_ref().is_none_or(|there| there.contains(&(row.namespace.clone(), row.name.clone())));
            here && is_there && name.is_none_or(|name| row.name == name)
        };
        let rows = |window: &Window| -> Vec<Row> {
            table(window, &pods, by, args.with_probes).into_iter().filter(shown).collect()
        };
        let counted = |window: &Window| rows(window).iter().any(|row| row.responses_count > 0);
        let (window, source) = reader.next(context, &client, &pods, counted).await?;
        let rows = rows(&window);
        if rows.is_empty() {
            nothing(context, &client, &args, (kind, name), by).await?;
        } else if rows.iter().all(|row| row.meshed_count == Some(0)) {
            context.report.warn("none of these pods has a proxy; `meshy inject` adds proxies to workloads");
        }
        window.gaps.iter().for_each(|gap| context.report.warn(format!("not counted: {gap}")));
        window::clear(context, args.requests.time.watch);
        let empty = !counted(&window);
        context.data(&window::Table { source, rows }, |document| {
            format!(
                "{}\n{}",
                document.source.words(empty),
                words(&document.rows, args.requests.all_namespaces)
            )
        })?;
        if !window::goes_on(context, args.requests.time.watch) {
            return Ok(Exit::Done);
        }
    }
}

/// Reports why a table has no row.
async fn nothing(
    context: &Context,
    client: &kube::Client,
    args: &Args,
    (kind, name): (&str, Option<&str>),
    by: By,
) -> anyhow::Result<()> {
    let namespace = &args.requests.namespace;
    let is_all = args.requests.all_namespaces || by == By::Namespace;
    if !is_all {
        services::namespace(client, namespace).await?;
    }
    match name {
        Some(name) => Err(anyhow!("there is no {kind} `{name}` in namespace `{namespace}`")).hint(format!(
            "`meshy stat {kind}` shows what there is; services appear when they receive requests"
        )),
        None if is_all => Ok(()),
        None => {
            context.report.say(format!("namespace `{namespace}` has no {kind}"));
            Ok(())
        }
    }
}

fn words(rows: &[Row], namespaces: bool) -> String {
    const HEADING: [&str; 9] = [
        "NAMESPACE",
        "NAME",
        "MESHED",
        "SUCCESS",
        "RPS",
        "LATENCY_P50",
        "LATENCY_P95",
        "LATENCY_P99",
        "TCP_CONN",
    ];
    let skipped = usize::from(!namespaces);
    let mut table = Table::new(2 - skipped, &HEADING[skipped..]);
    let count = |count: Option<u64>| count.map_or(UNKNOWN.to_owned(), |count| count.to_string());
    for row in rows {
        let meshed = row.meshed_count.zip(row.pods_count);
        let cells = [
            row.namespace.clone(),
            row.name.clone(),
            meshed.map_or(UNKNOWN.to_owned(), |(meshed, pods)| format!("{meshed}/{pods}")),
            percent(row.success_ratio),
            rate(row.requests_per_second),
            millis(row.latency.p50_ms),
            millis(row.latency.p95_ms),
            millis(row.latency.p99_ms),
            count(row.open_connections_count),
        ];
        table.row(cells.into_iter().skip(skipped));
    }
    table.render()
}
