//! `--measure`: traffic before and after one change of policy.

use std::time::Duration;

use anyhow::bail;
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use tokio::sync::watch;

use super::predict::positive;
use super::traffic::{ingress, stop_by_ctrl_c};
use crate::compare::{self, Difference};
use crate::context::Context;
use crate::measure;
use crate::original_demo::cases;
use crate::recording::Recording;
use crate::steps::Step;
use crate::summary;
use meshy_base::error::Exit;
use meshy_experiment::event::RunStatus;
use meshy_load::{Plan, Target};
use meshy_metrics::routes::Service;
use meshy_policy::policy::Client;

/// The services of the original demo, to which `--measure` sends a load through the ingress.
const ORIGINAL: [&str; 2] = ["bounced-service", "minimal-service"];

/// The traffic of `--measure`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Load {
    /// Where --measure sends its load, as --case of `meshy traffic`
    #[arg(long, value_parser = PossibleValuesParser::new(cases::names()), default_value = cases::DEFAULT,
          requires = "measure")]
    case: String,
    /// Requests per second of --measure
    #[arg(long, alias = "rps", value_parser = positive, default_value = "4", requires = "measure", value_name = "NUMBER")]
    rate: f64,
}

/// Where the measured requests come from.
enum Source {
    /// A load through the ingress, for the services of the original demo.
    Load { target: Box<Target>, plan: Plan, case: String },
    /// The requests that the clients of the service send by themselves, counted by their proxies for so long.
    Clients(Duration),
}

/// A change of policy that is measured: the first half is done.
pub(super) struct Toggle {
    recording: Recording,
    steps: Vec<Step>,
    source: Source,
    service: Service,
    stop: watch::Receiver<bool>,
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
            Source::Load {
                target: Box::new(cases::target(&load.case, ingress(context)?)?),
                plan: Plan { rate: load.rate, length, ..Plan::default() },
                case: load.case.clone(),
            }
        } else {
            Source::Clients(length)
        };
        let provider = context.lab()?.map_or("-", |lab| meshy_lab::cluster::word(lab.provider()));
        let mut toggle = Self {
            recording: Recording::begin(
                &context.report,
                (command, &context.name, provider),
                &[],
                Some(client),
            )
            .await?,
            steps: Vec::new(),
            source,
            service: service.clone(),
            stop: stop_by_ctrl_c(),
        };
        toggle.measure(context, client, "before").await?;
        Ok(toggle)
    }

    /// Whether ctrl-C came before the change.
    pub(super) fn interrupted(&self) -> bool {
        *self.stop.borrow()
    }

    async fn measure(&mut self, context: &Context, client: &kube::Client, name: &str) -> anyhow::Result<()> {
        context.report.say(format!("\n{name}"));
        let step = match &self.source {
            Source::Load { target, plan, case } => {
                let (mesh, load) = (Some((client, &self.service)), ((**target).clone(), *plan));
                measure::step(&self.recording, (name, case), mesh, load, self.stop.clone()).await?
            }
            Source::Clients(length) => {
                let watching =
                    context.report.step("Watching", format!("the clients of `{}`", self.service.name));
                let of = (name, &self.service);
                let observed = measure::observed(&self.recording, client, of, context.window(*length)).await;
                watching.ended(observed, |step| format!("{} requests", step.traffic.requests_count))?
            }
        };
        self.steps.push(step);
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
        self.recording.end(RunStatus::of(*self.stop.borrow()));
        let [before, after] = &self.steps[..] else { bail!("the second half was not measured") };
        let difference = compare::steps(before, after);
        let document = Document {
            run: &self.recording.id,
            service: &self.service.name,
            namespace: &self.service.namespace,
            clients,
            before,
            after,
            difference: &difference,
        };
        context.report.say("");
        context.data(&document, |_| {
            let mut text = summary::of_steps(&self.steps);
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
        if after.traffic.interrupted {
            return Ok(Exit::Interrupted);
        }
        self.recording.written()?;
        Ok(Exit::Done)
    }
}
