//! `--measure`: traffic before and after one change of policy.

use std::time::Duration;

use anyhow::bail;
use serde::Serialize;
use tokio::sync::watch;

use super::predict::positive;
use super::traffic::{Case, ingress, stop_by_ctrl_c};
use crate::compare::{self, Difference};
use crate::context::Context;
use crate::live::Live;
use crate::measure::{self, Step};
use crate::runs::Run;
use crate::summary;
use meshy_base::error::Exit;
use meshy_load::{Plan, Summary, Target};
use meshy_metrics::routes::Service;
use meshy_policy::policy::Client;

/// The services of the original demo, to which `--measure` sends a load through the ingress.
const ORIGINAL: [&str; 2] = ["bounced-service", "minimal-service"];

/// The traffic of `--measure`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Load {
    /// Which of the original demo's cases --measure sends
    #[arg(long, value_enum, default_value_t, requires = "measure")]
    case: Case,
    /// Requests per second of --measure
    #[arg(long, value_parser = positive, default_value = "4", requires = "measure", value_name = "NUMBER")]
    rps: f64,
}

/// Where the measured requests come from.
enum Source {
    /// A load through the ingress, for the services of the original demo.
    Load { target: Box<Target>, plan: Plan, case: &'static str },
    /// The requests that the clients of the service send by themselves, counted by their proxies for so long.
    Clients(Duration),
}

/// A change of policy that is measured: the first half is done.
pub(super) struct Toggle {
    record: Run,
    source: Source,
    service: Service,
    stop: watch::Receiver<bool>,
    begun: std::time::Instant,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Document<'a> {
    run: &'a str,
    service: &'a str,
    namespace: &'a str,
    clients: &'a [Client],
    before: &'a Step,
    after: &'a Step,
    difference: &'a Difference,
}

impl Toggle {
    /// Measures before the change.
    pub(super) async fn begin(
        context: &Context,
        client: &kube::Client,
        (command, service): (&str, &Service),
        length: Duration,
        load: &Load,
    ) -> anyhow::Result<Self> {
        let source = if ORIGINAL.contains(&service.name.as_str()) && service.namespace == "default" {
            let (target, case) = load.case.target(ingress(context)?);
            Source::Load {
                target: Box::new(target),
                plan: Plan { rate: load.rps, length, ..Plan::default() },
                case,
            }
        } else {
            Source::Clients(length)
        };
        let provider = context.lab()?.map_or("-", |lab| meshy_lab::cluster::word(lab.provider));
        let mut toggle = Self {
            record: Run::begin(command, &context.name, provider),
            source,
            service: service.clone(),
            stop: stop_by_ctrl_c(),
            begun: std::time::Instant::now(),
        };
        toggle.record.note_versions(client).await?;
        toggle.measure(context, client, "before").await?;
        Ok(toggle)
    }

    /// Whether ctrl-C came before the change.
    pub(super) fn interrupted(&self) -> bool {
        *self.stop.borrow()
    }

    async fn measure(&mut self, context: &Context, client: &kube::Client, name: &str) -> anyhow::Result<()> {
        context.report.say(format!("\n{name}"));
        let at = self.begun.elapsed().as_secs_f64();
        let step = match &self.source {
            Source::Load { target, plan, case } => {
                let live = Live::new(&context.report, plan.rate);
                let (mesh, load) = (Some((client, &self.service)), ((**target).clone(), *plan));
                let step = measure::step(name, case, mesh, load, self.stop.clone(), &live).await?;
                live.end();
                step
            }
            Source::Clients(length) => observed(context, client, (name, &self.service), *length).await?,
        };
        self.record.steps.push(Step { begun_seconds: at, ..step });
        Ok(())
    }

    /// Measures after it, shows both and records them.
    pub(super) async fn end(
        mut self,
        context: &Context,
        client: &kube::Client,
        clients: &[Client],
    ) -> anyhow::Result<Exit> {
        self.measure(context, client, "after").await?;
        self.record.save_or_warn(&context.report);
        let [before, after] = &self.record.steps[..] else { bail!("the second half was not measured") };
        let difference = compare::steps(before, after);
        let document = Document {
            run: &self.record.id,
            service: &self.service.name,
            namespace: &self.service.namespace,
            clients,
            before,
            after,
            difference: &difference,
        };
        context.report.say("");
        context.data(&document, |_| {
            let mut text = summary::of_steps(&self.record.steps);
            if let Some(mesh) = &after.mesh {
                text.push_str(&format!("\n\nAfter:\n{}", summary::of_counted_outcomes(&mesh.outcomes)));
            }
            let points = difference.difference_points.zip(difference.uncertainty_points);
            if let Some((points, uncertainty)) = points {
                let word = difference.verdict.words();
                text.push_str(&format!(
                    "\n\n{word}: {points:+.1} ±{uncertainty:.1} percentage points of success"
                ));
            }
            text
        })?;
        Ok(if after.traffic.interrupted { Exit::Interrupted } else { Exit::Done })
    }
}

/// Counts what the clients of a service send by themselves.
async fn observed(
    context: &Context,
    client: &kube::Client,
    (name, service): (&str, &Service),
    length: Duration,
) -> anyhow::Result<Step> {
    let step = context.report.step("Watching", format!("the clients of `{}`", service.name));
    let before = measure::snapshot(client, service).await?;
    tokio::time::sleep(context.window(length)).await;
    let (mesh, _) = before.until(&before.again().await?, None);
    let counts = &mesh.clients;
    step.done(format!("{} requests", counts.requests_count));
    let seconds = length.as_secs_f64();
    let traffic = Summary {
        length_seconds: seconds,
        requests_per_second: counts.requests_count as f64 / seconds.max(1e-9),
        requests_count: counts.requests_count,
        succeeded_count: counts.succeeded_count,
        success_ratio: counts.effective_success(),
        ..Summary::default()
    };
    let (name, case) = (name.to_owned(), "clients".to_owned());
    Ok(Step { name, case, traffic, mesh: Some(mesh), ..Step::default() })
}
