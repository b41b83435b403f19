//! `meshy outcomes`: where every request to a service went, and what it cost.

use std::time::Duration;

use crate::context::Context;
use crate::measure;
use crate::original_demo;
use crate::summary;
use meshy_base::duration;
use meshy_base::error::Exit;
use meshy_metrics::routes::Service;

/// What to watch.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  meshy outcomes\n  meshy outcomes bounced-service --window 30s -o json")]
pub struct Args {
    /// The service
    #[arg(default_value = original_demo::CALLED)]
    service: String,
    /// Its namespace
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// How long to watch
    #[arg(long, value_parser = duration::parse, default_value = "10s", value_name = "DURATION")]
    window: Duration,
}

impl Args {
    pub(crate) fn planned(&self) -> Duration {
        self.window
    }
}

/// Watches and shows.
///
/// # Errors
/// The service is unknown, or the API fails.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let client = context.client().await?;
    let service = Service { namespace: args.namespace, name: args.service };
    let before = measure::before(&client, &service).await?;
    if !before.meshed() {
        context.report.warn("no pod has a proxy, so nothing is counted; `meshy inject` gives them one");
    }
    let step =
        context.report.step("Watching", format!("`{}` for {:.0} s", service.name, args.window.as_secs_f64()));
    tokio::time::sleep(context.window(args.window)).await;
    let mesh = before.after(None).await?;
    step.done(format!("{} requests", mesh.outcomes.requests_count));
    mesh.gaps.iter().for_each(|gap| context.report.warn(format!("not counted: {gap}")));
    context.data(&mesh.outcomes, summary::of_outcomes)?;
    Ok(Exit::Done)
}
