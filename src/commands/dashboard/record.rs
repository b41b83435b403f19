//! The run that the page records while no scenario runs: what its load counts, and every change.

use std::sync::Arc;
use std::time::Duration;

use meshy_base::Report;
use meshy_experiment::event::{
    Change, Kind, RunEnded, RunStarted, RunStatus, StepEnded, StepStarted, Tick, Totals,
};
use meshy_metrics::routes::Service;
use meshy_page::Hub;
use tokio::time::Instant;

use super::counts::Counting;
use super::sent::Sent;
use crate::measure::Watched;
use crate::recording::Recording;
use crate::runs;

/// The command that the page's runs are recorded under.
const COMMAND: &str = "dashboard";

/// The step that the page records.
const STEP: &str = "live";

/// The lab as runs name it.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// What is shown.
    pub(super) title: String,
    /// The lab, else the context.
    pub(super) lab: String,
    /// Where its cluster comes from.
    pub(super) provider: &'static str,
    /// The service that gets the load.
    pub(super) target: Option<String>,
    /// The service whose calls are measured.
    pub(super) watched: Option<Service>,
}

/// A run of the page.
pub(super) struct Live {
    shown: Shown,
    recording: Recording<Arc<Hub>>,
    pub(super) sent: Sent,
    watched: Option<Watched>,
    report: Report,
}

impl Live {
    /// Begins a run now, which replaces the one that the hub shows.
    ///
    /// # Errors
    /// No home folder is known.
    pub(super) async fn begin(
        hub: &Arc<Hub>,
        client: &kube::Client,
        shown: &Shown,
        report: &Report,
    ) -> anyhow::Result<Self> {
        let watched = match &shown.watched {
            // Without its own counts the calls are still shown.
            Some(service) => Watched::of(client, service).await.ok(),
            None => None,
        };
        let recording = Recording::on_page(report, hub)?;
        let (shown, sent, report) = (shown.clone(), Sent::new(Instant::now()), report.clone());
        let live = Self { shown, recording, sent, watched, report };
        live.record(Kind::RunStarted(RunStarted {
            run: live.recording.id.clone(),
            command: COMMAND.to_owned(),
            title: live.shown.title.clone(),
            lab: live.shown.lab.clone(),
            provider: live.shown.provider.to_owned(),
            versions: runs::own_version(),
            ..RunStarted::default()
        }));
        live.record(Kind::StepStarted(StepStarted {
            step: STEP.to_owned(),
            target: live.shown.target.clone(),
            watched: live.shown.watched.as_ref().map(|service| service.name.clone()),
            ..StepStarted::default()
        }));
        Ok(live)
    }

    pub(super) fn record(&self, kind: Kind) {
        self.recording.record(kind);
    }

    /// Checks that the file of the run has all events until now.
    ///
    /// # Errors
    /// The file could not be written.
    pub(super) fn written(&self) -> anyhow::Result<()> {
        self.recording.written()
    }

    /// Records a change of the load or of a fault.
    pub(super) fn change(&self, subject: &str, text: String, ends: bool) {
        self.record(Kind::FaultChanged(Change { subject: subject.to_owned(), text, ends, command: None }));
    }

    /// Records the counts of now.
    pub(super) fn tick(&mut self, counting: &Counting) {
        let tick = Tick { edges: counting.edges(), ..self.sent.tick(STEP) };
        self.record(Kind::Tick(tick));
    }

    /// Ends the load. What was counted until then is kept, so that `meshy outcomes` shows it.
    pub(super) async fn stop(&mut self, counting: &Counting) -> anyhow::Result<()> {
        self.sent.end().await?;
        self.counted(counting).await;
        Ok(())
    }

    async fn counted(&mut self, counting: &Counting) -> Totals {
        let (edges, start, now) = counting.settled().await;
        let mut totals = self.sent.totals();
        totals.edges = edges;
        if let Some(watched) = &self.watched {
            let (mesh, window) = watched.since((&start, &now), None).await;
            if mesh.outcomes.requests_count > 0 {
                self.recording.counted(&mesh, &window);
                self.recording.keep_last_load_of(&self.shown.lab, COMMAND);
            }
            totals.mesh = Some(Box::new(mesh));
        }
        totals
    }

    /// Ends the load and the run, and records the totals.
    pub(super) async fn end(&mut self, counting: &Counting) {
        let stopped = self.sent.end().await;
        let totals = self.counted(counting).await;
        let step = STEP.to_owned();
        self.record(Kind::StepEnded(StepEnded { step, totals, interrupted: false, why: None }));
        let (status, reason) = match stopped {
            Ok(()) => (RunStatus::Completed, None),
            Err(error) => {
                self.report.warn(format!("{error:#}"));
                (RunStatus::Failed, Some(format!("{error:#}")))
            }
        };
        self.record(Kind::RunEnded(RunEnded { status, reason }));
    }
}

/// How often counts are given to viewers: a change is on the page within a second.
pub(super) const TICK: Duration = Duration::from_millis(250);
