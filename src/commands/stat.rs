//! `meshy stat`: a row for each workload, as its proxies count what arrives.

use std::time::Duration;

use anyhow::anyhow;

use crate::context::Context;
use crate::ui::table::{Table, UNKNOWN, millis, percent, rate};
use meshy_base::duration;
use meshy_base::error::{Advise, Exit};
use meshy_base::limit;
use meshy_metrics::stat::{By, Row, table};
use meshy_metrics::{self, Pod, Window, scrape::POD_DEADLINE, sight};
use meshy_policy::services;

/// What to show.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy stat\n  meshy stat deploy/bounced-service --window 30s --watch")]
pub struct Args {
    /// deploy, sts, ds, job, pod, ns or svc, or one of them: deploy/NAME
    #[arg(default_value = "deploy", value_name = "KIND[/NAME]")]
    target: String,
    #[command(flatten)]
    look: Look,
    /// Show it again and again until ctrl-C
    #[arg(long, short)]
    watch: bool,
    /// Count kubelet's probes too
    #[arg(long)]
    with_probes: bool,
}

/// Where and how long to look; shared by the tables.
#[derive(Clone, Debug, clap::Args)]
pub struct Look {
    /// The namespace
    #[arg(long, short, default_value = "default", conflicts_with = "all_namespaces")]
    pub(super) namespace: String,
    /// All namespaces
    #[arg(long, short = 'A')]
    pub(super) all_namespaces: bool,
    /// How long to watch the counters; 0s shows them since each proxy's start
    #[arg(long, value_parser = duration::parse, default_value = "10s", value_name = "DURATION")]
    pub(super) window: Duration,
}

impl Args {
    pub(crate) fn planned(&self) -> Duration {
        self.look.window
    }
}

impl Look {
    fn namespace(&self) -> Option<&str> {
        (!self.all_namespaces).then_some(self.namespace.as_str())
    }

    /// Watches the proxies of these pods for the window. A window of zero is the whole life of each proxy.
    pub(super) async fn watch(&self, context: &Context, client: &kube::Client, pods: &[Pod]) -> Window {
        if self.window.is_zero() {
            let now = sight(client, pods.to_vec(), POD_DEADLINE).await;
            let nothing = meshy_metrics::Sight { at: now.at, pods: Vec::new() };
            return Window::between(&nothing, &now);
        }
        let step =
            context.report.step("Watching", format!("the proxies for {:.0} s", self.window.as_secs_f64()));
        let before = sight(client, pods.to_vec(), POD_DEADLINE).await;
        tokio::time::sleep(context.window(self.window)).await;
        let after = sight(client, pods.to_vec(), POD_DEADLINE).await;
        step.done(format!("{} proxies", after.pods.len()));
        Window::between(&before, &after)
    }
}

/// Shows the table.
///
/// # Errors
/// The target is unknown, nothing is meshed, or the API fails.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let (kind, name) = match args.target.split_once('/') {
        Some((kind, name)) => (kind, Some(name)),
        None => (args.target.as_str(), None),
    };
    let by = By::parse(kind).ok_or_else(|| anyhow!("`{kind}` is not a kind that stat knows"));
    let by = by.hint("known are deploy, sts, ds, rs, job, pod, ns and svc").exit(Exit::Usage)?;
    let client = context.client().await?;
    loop {
        // Services are counted by their clients, which can live anywhere; namespaces are all of them.
        let namespace = match by {
            By::Service | By::Namespace => None,
            By::Workload(_) | By::Pod => args.look.namespace(),
        };
        let pods = meshy_metrics::pods::list(&client, namespace).await?;
        let window = args.look.watch(context, &client, &pods).await;
        let shown = |row: &Row| {
            let here =
                args.look.all_namespaces || by == By::Namespace || row.namespace == args.look.namespace;
            here && name.is_none_or(|name| row.name == name)
        };
        let rows: Vec<Row> = table(&window, &pods, by, args.with_probes).into_iter().filter(shown).collect();
        if let (Some(name), true) = (name, rows.is_empty()) {
            return Err(anyhow!("there is no {kind} `{name}` in namespace `{}`", args.look.namespace)).hint(
                format!("`meshy stat {kind}` shows what there is; services appear when they are asked"),
            );
        }
        if rows.is_empty() && !args.look.all_namespaces && by != By::Namespace {
            services::namespace(&client, &args.look.namespace).await?;
            context.report.say(format!("namespace `{}` has no {kind}", args.look.namespace));
        }
        if !rows.is_empty() && rows.iter().all(|row| row.meshed_count == Some(0)) {
            context.report.warn("none of these pods has a proxy; `meshy inject` gives them one");
        }
        window.gaps.iter().for_each(|gap| context.report.warn(format!("not counted: {gap}")));
        context.data(&rows, |rows| words(rows, args.look.all_namespaces))?;
        if !args.watch || context.remaining().is_zero() {
            return Ok(Exit::Done);
        }
        limit::lift();
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
