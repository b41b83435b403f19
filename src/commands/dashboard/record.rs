//! The run that the page records while no scenario runs: what its load counts, and every change.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use meshy_base::{Report, private};
use meshy_experiment::event::{
    Change, Kind, Recorder, RunEnded, RunStarted, RunStatus, StepEnded, StepStarted, Tick,
};
use meshy_lab::lab::LabName;
use meshy_metrics::routes::Service;
use meshy_page::Hub;
use tokio::time::Instant;

use super::counts::Counting;
use super::sent::Sent;
use crate::last_load::LastLoad;
use crate::measure::Watched;
use crate::runs;

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
    id: String,
    shown: Shown,
    hub: Arc<Hub>,
    recorder: Recorder<BufWriter<File>>,
    begun: Instant,
    pub(super) sent: Sent,
    watched: Option<Watched>,
    report: Report,
}

impl Live {
    /// Begins a run now, which replaces the one that the hub shows.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) async fn begin(
        hub: &Arc<Hub>,
        client: &kube::Client,
        shown: &Shown,
        report: &Report,
    ) -> anyhow::Result<Self> {
        let (id, recorder) = recorder()?;
        runs::drop_oldest(report);
        let watched = match &shown.watched {
            // Without its own counts the calls are still shown.
            Some(service) => Watched::of(client, service).await.ok(),
            None => None,
        };
        let begun = Instant::now();
        let (hub, report) = (hub.clone(), report.clone());
        let live =
            Self { id, shown: shown.clone(), hub, recorder, begun, sent: Sent::new(begun), watched, report };
        live.record(Kind::RunStarted(RunStarted {
            run: live.id.clone(),
            command: "dashboard".to_owned(),
            title: shown.title.clone(),
            lab: shown.lab.clone(),
            provider: shown.provider.to_owned(),
            versions: BTreeMap::from([("meshy".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
            ..RunStarted::default()
        }))?;
        live.record(Kind::StepStarted(StepStarted {
            step: STEP.to_owned(),
            target: shown.target.clone(),
            watched: shown.watched.as_ref().map(|service| service.name.clone()),
            ..StepStarted::default()
        }))?;
        Ok(live)
    }

    pub(super) fn record(&self, kind: Kind) -> anyhow::Result<()> {
        let event = self.recorder.record(self.begun.elapsed(), None, kind)?;
        self.hub.push(&event);
        Ok(())
    }

    /// Records a change of the load or of a fault.
    pub(super) fn change(&self, subject: &str, text: String, ends: bool) -> anyhow::Result<()> {
        self.record(Kind::FaultChanged(Change { subject: subject.to_owned(), text, ends, command: None }))
    }

    /// Records the counts of now.
    pub(super) fn tick(&mut self, counting: &Counting) -> anyhow::Result<()> {
        let tick = Tick { edges: counting.edges(), ..self.sent.tick(STEP) };
        self.record(Kind::Tick(tick))
    }

    /// Ends the load. What was counted until then is kept, so that `meshy outcomes` shows it.
    pub(super) async fn stop(&mut self, counting: &Counting) -> anyhow::Result<()> {
        self.sent.end().await?;
        self.counted(counting).await.map(drop)
    }

    async fn counted(&mut self, counting: &Counting) -> anyhow::Result<meshy_experiment::event::Totals> {
        let (edges, start, now) = counting.settled().await;
        let mut totals = self.sent.totals();
        totals.edges = edges;
        if let Some(watched) = &self.watched {
            let (mesh, window) = watched.since((&start, &now), None).await;
            let load = LastLoad::new(&window, Some((mesh.service.clone(), mesh.outcomes.clone())));
            // The name of a context need not be that of a lab.
            if let Ok(lab) = self.shown.lab.parse::<LabName>()
                && mesh.outcomes.requests_count > 0
            {
                load.keep(&runs::folder()?, &lab, (&self.id, "dashboard"))?;
            }
            totals.mesh = Some(Box::new(mesh));
        }
        Ok(totals)
    }

    /// Ends the load and the run, and records the totals.
    pub(super) async fn end(&mut self, counting: &Counting) -> anyhow::Result<()> {
        let stopped = self.sent.end().await;
        let totals = self.counted(counting).await;
        if let Ok(totals) = &totals {
            let (step, totals) = (STEP.to_owned(), totals.clone());
            self.record(Kind::StepEnded(StepEnded { step, totals, interrupted: false, why: None }))?;
        }
        let (status, reason) = match stopped.and(totals.map(drop)) {
            Ok(()) => (RunStatus::Completed, None),
            Err(error) => {
                self.report.warn(format!("{error:#}"));
                (RunStatus::Failed, Some(format!("{error:#}")))
            }
        };
        self.record(Kind::RunEnded(RunEnded { status, reason }))
    }
}

/// Opens the file that a run of the page is recorded in.
fn recorder() -> anyhow::Result<(String, Recorder<BufWriter<File>>)> {
    let now = jiff::Timestamp::now();
    let id = now.strftime("%Y%m%d-%H%M%S-%3f").to_string();
    let file = runs::file(&id)?;
    private::ensure_folder(file.parent().context("the file has no folder")?)?;
    let writer = private::open(&file, rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok((id, Recorder::new(BufWriter::new(writer), now)))
}

/// How often counts are given to viewers: a change is on the page within a second.
pub(super) const TICK: Duration = Duration::from_millis(250);
