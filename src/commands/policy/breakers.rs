//! `meshy policy breakers`: the state of each endpoint in each client's circuit breaker.

use std::time::Duration;

use meshy_base::error::Exit;
use meshy_base::{duration, limit};
use meshy_kube::Kinds;
use meshy_linkerd::policy::Breaker;
use meshy_metrics::callers;
use meshy_metrics::endpoints::{Endpoint, endpoints};
use meshy_metrics::routes::Service;
use meshy_metrics::{Pod, Scrapes};
use meshy_policy::policy::About;
use meshy_policy::services;

use crate::context::Context;
use crate::ui::table::Table;

/// The flags of `meshy policy breakers`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The service's namespace
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
    /// How long to watch the counters
    #[arg(long, value_parser = duration::parse, default_value = "2s", value_name = "DURATION")]
    pub(super) window: Duration,
    /// Show it again after each window until ctrl-C
    #[arg(long, short)]
    watch: bool,
}

/// Shows the state of the endpoints.
pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let client = context.client().await?;
    let kinds = Kinds::new(client.clone());
    let service = Service { namespace: args.namespace, name: args.service };
    let servers = services::pods(&client, &service.namespace, &service.name).await?;
    let about = About::read(&kinds, &service, None).await?;
    match Breaker::from_annotations(&about.annotations) {
        Ok(Some(_)) if about.profile.as_ref().is_some_and(|profile| profile.replaces_policy()) => context
            .report
            .warn(format!("`{}` has a ServiceProfile, which switches its circuit breaker off", service.name)),
        Ok(Some(_)) => {}
        Ok(None) => context.report.warn(format!("`{}` has no circuit breaker", service.name)),
        Err(error) => context.report.warn(format!("`{}` has no circuit breaker: {error}", service.name)),
    }
    let mut before = callers::candidates(&client).await?;
    loop {
        let (rows, after) = measure(context, (&client, &service, &servers), &before, args.window).await?;
        if rows.is_empty() {
            context.report.say(format!("no client has sent a request to `{}`", service.name));
        }
        context.data(&rows, |rows| words(rows))?;
        if !args.watch || context.remaining().is_zero() {
            return Ok(Exit::Done);
        }
        before = after;
        limit::lift();
    }
}

/// Returns the endpoints as clients see them after a window that began with the scrape `before`, and the scrape at its end.
pub(super) async fn measure(
    context: &Context,
    (client, service, servers): (&kube::Client, &Service, &[Pod]),
    before: &Scrapes,
    window: Duration,
) -> anyhow::Result<(Vec<Endpoint>, Scrapes)> {
    tokio::time::sleep(context.window(window)).await;
    let after = callers::again(client, before, service).await?;
    let window = callers::between(before, &after, service);
    window.gaps.iter().for_each(|gap| context.report.warn(format!("not counted: {gap}")));
    Ok((endpoints(&window, service, servers), after))
}

fn words(rows: &[Endpoint]) -> String {
    let mut table = Table::new(3, &["CLIENT", "ENDPOINT", "STATE", "RESPONSES", "FAILED"]);
    for row in rows {
        table.row([
            format!("{}/{}", row.client_namespace, row.client),
            row.endpoint.clone(),
            row.state.words().to_owned(),
            row.responses_count.to_string(),
            row.failed_count.to_string(),
        ]);
    }
    table.render()
}
