//! `meshy graph`: which services call each other, measured by the proxies of a cluster or as a topology declares it.

mod measured;
pub(super) mod names;
mod part;

use std::time::Duration;

use anyhow::anyhow;
use meshy_base::error::{Advise, Exit};
use meshy_graph::CallGraph;
use meshy_lab::deploy::topology;
use meshy_metrics::Window;

use super::window::{self, PrometheusArgs, Reader, Time};
use crate::args::Output;
use crate::context::Context;

/// What to show.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy graph\n  meshy graph cart --watch\n  meshy graph -A --window 30s -o svg > graph.svg\n  meshy graph --topology shop -o mermaid"
)]
pub struct Args {
    /// Only this service, its clients and what it calls, directly or through others
    service: Option<String>,
    /// The namespace
    #[arg(long, short, default_value = "default", conflicts_with = "all_namespaces")]
    namespace: String,
    /// All namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Show what a topology declares: a shipped name, or a file; no cluster is used
    #[arg(long, value_name = "TOPOLOGY", conflicts_with_all = ["namespace", "all_namespaces", "window", "watch", "prometheus"])]
    topology: Option<String>,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    history: PrometheusArgs,
    /// The form of the graph: a table, all numbers, Graphviz, Mermaid for Markdown pages, or a picture
    // The global flag, which has only two forms elsewhere: clap takes the one of the command, and gives its value to both.
    #[arg(
        long,
        short,
        alias = "format",
        short_alias = 'f',
        value_parser = Output::of_graphs(),
        default_value = "text",
        value_name = "FORM"
    )]
    output: Output,
}

impl Args {
    pub(crate) fn planned(&self) -> Duration {
        if self.topology.is_some() { Duration::ZERO } else { self.history.planned(&self.time) }
    }

    pub(crate) fn without_cluster(&self) -> bool {
        self.topology.is_some()
    }

    fn scope(&self) -> Option<&str> {
        (!self.all_namespaces).then_some(self.namespace.as_str())
    }

    fn title(&self) -> String {
        match (&self.topology, self.scope()) {
            (Some(topology), _) => format!("Calls of topology {topology}"),
            (None, Some(namespace)) => format!("Calls in namespace {namespace}"),
            (None, None) => "Calls in all namespaces".to_owned(),
        }
    }
}

/// Shows the graph.
///
/// # Errors
/// The topology is not valid, nothing is meshed, there is no such service, the Prometheus is not usable, or the API fails.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if let Some(name) = &args.topology {
        let loaded = topology::load(name)?;
        topology::warnings(name, &loaded).iter().for_each(|warning| context.report.warn(warning));
        show(context, &args, CallGraph::from(&loaded))?;
        return Ok(Exit::Done);
    }
    let client = context.client().await?;
    let mut reader = Reader::new(&args.time, &args.history);
    loop {
        let all = measured::pods(&client, args.scope()).await?;
        let counted = |window: &Window| measured::counted(window, args.scope());
        let (window, source) = reader.next(context, &client, &all, counted).await?;
        let empty = !counted(&window);
        let graph = measured::graph(context, &client, args.scope(), &all, &window).await?;
        window::clear(context, args.time.watch);
        context.report.say(source.words(empty));
        show(context, &args, graph)?;
        if !window::goes_on(context, args.time.watch) {
            return Ok(Exit::Done);
        }
    }
}

fn show(context: &Context, args: &Args, mut graph: CallGraph) -> anyhow::Result<()> {
    if let Some(service) = &args.service {
        graph = part::around(graph, service)
            .map_err(|nearest| {
                let near = nearest.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                anyhow!("unknown service `{service}`{near}")
            })
            .hint("`meshy graph` shows all; services of other namespaces need `-n NAMESPACE` or `-A`")
            .exit(Exit::Usage)?;
    }
    context.data(&graph, |graph| match args.output {
        Output::Text | Output::Json | Output::Github => graph.to_text(crate::ui::table::width()),
        Output::Dot => graph.to_dot(),
        Output::Mermaid => graph.to_mermaid(),
        Output::Svg => graph.to_svg(&args.title()),
    })
}
