//! A run while it is recorded: its file in the folder of runs, and the view of its events: the terminal's, or the page's.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, anyhow};
use meshy_base::{Report, private};
use meshy_experiment::event::{Event, Kind, Mesh, Recorder, RunEnded, RunStarted, RunStatus};
use meshy_lab::lab::LabName;
use meshy_metrics::Window;
use meshy_page::Hub;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::last_load::LastLoad;
use crate::runs::{self, Run};
use crate::steps::{self, Step};
use crate::view::View;

/// The writer of a run's events.
pub(crate) type Events = Recorder<Kept>;

/// The file of a run. A failure to write is reported at once and does not end the run: what is measured is worth more than the file.
/// [`Recording::written`] is the error that the command ends with.
pub(crate) struct Kept {
    path: PathBuf,
    state: State,
    /// Why the file does not have all events.
    failure: Arc<OnceLock<String>>,
    report: Report,
}

/// The state of a file.
enum State {
    /// Nothing was written: a run that did not begin leaves no file.
    Absent,
    Open(BufWriter<File>),
    /// A write failed.
    Failed,
}

/// A run while it is recorded. `V` is the view of its events.
pub(crate) struct Recording<V = View> {
    /// The id of the run.
    pub id: String,
    /// The events.
    pub events: Events,
    /// The view of the events.
    pub view: V,
    /// The file of the events.
    pub file: PathBuf,
    begun: Instant,
    /// Why the file does not have all events.
    failure: Arc<OnceLock<String>>,
    /// What the last step with counts has counted.
    last: Mutex<Option<LastLoad>>,
    report: Report,
    _showing: Option<AbortOnDropHandle<()>>,
}

impl Kept {
    fn new(path: &Path, report: &Report) -> Self {
        let failure = Arc::default();
        Self { path: path.to_owned(), state: State::Absent, failure, report: report.clone() }
    }

    fn open(&self) -> anyhow::Result<File> {
        private::ensure_folder(self.path.parent().context("the file has no folder")?)?;
        let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        Ok(private::open(&self.path, flags)?)
    }

    /// Does something with the file, which is created first if it is absent.
    fn keep(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        if matches!(self.state, State::Absent) {
            match self.open() {
                Ok(file) => self.state = State::Open(BufWriter::new(file)),
                Err(error) => self.fail("the run is not recorded", &error),
            }
        }
        let State::Open(file) = &mut self.state else { return };
        if let Err(error) = write(file) {
            self.fail("the run is not recorded any more", &error.into());
        }
    }

    fn fail(&mut self, what: &str, error: &anyhow::Error) {
        let why = format!("cannot write {}: {error:#}", self.path.display());
        self.report.warn(format!("{what}: {why}"));
        // The first failure is the one that counts.
        let _ = self.failure.set(why);
        self.state = State::Failed;
    }
}

impl Write for Kept {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.keep(|file| file.write_all(part));
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.keep(BufWriter::flush);
        Ok(())
    }
}

impl<V> Recording<V> {
    /// Opens the file of a run that begins now.
    fn with(
        report: &Report,
        view: impl FnOnce(&Events) -> (V, Option<AbortOnDropHandle<()>>),
    ) -> anyhow::Result<Self> {
        let started = jiff::Timestamp::now();
        let id = started.strftime("%Y%m%d-%H%M%S-%3f").to_string();
        let file = runs::file(&id)?;
        let kept = Kept::new(&file, report);
        let failure = kept.failure.clone();
        let events = Recorder::new(kept, started);
        let (view, showing) = view(&events);
        runs::drop_oldest(report);
        let (begun, last, report) = (Instant::now(), Mutex::default(), report.clone());
        Ok(Self { id, events, view, file, begun, failure, last, report, _showing: showing })
    }

    /// Writes what happens now.
    fn write(&self, kind: Kind) -> Option<Arc<Event>> {
        // The writer reports its failures itself, so only an event that cannot be written as JSON could fail here.
        let event = self.events.record(self.begun.elapsed(), None, kind);
        event.inspect_err(|error| tracing::warn!("an event was not recorded: {error}")).ok()
    }

    /// Checks that the file has all events until now.
    ///
    /// # Errors
    /// The file could not be written; the error names it.
    pub(crate) fn written(&self) -> anyhow::Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(why) => Err(anyhow!("the run is not recorded to its end: {why}")),
        }
    }

    /// Notes what a step that ends now has counted at the proxies and at the watched service.
    pub(crate) fn counted(&self, mesh: &Mesh, window: &Window) {
        let load = LastLoad::new(window, Some((mesh.service.clone(), mesh.outcomes.clone())));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(load);
    }

    /// Keeps what the last step with counts has counted, for tables without requests: as that of this lab and command. A failure is
    /// reported as a warning.
    pub(crate) fn keep_last_load_of(&self, lab: &str, command: &str) {
        let Some(load) = self.last.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // The name of a context need not be that of a lab.
        let Ok(lab) = lab.parse::<LabName>() else { return };
        let kept = runs::folder().and_then(|folder| load.keep(&folder, &lab, (&self.id, command)));
        if let Err(error) = kept {
            self.report.warn(format!("the load is not kept for later tables: {error:#}"));
        }
    }
}

impl Recording<Arc<Hub>> {
    /// Opens the file of a run that begins now, and shows its events on the page.
    ///
    /// # Errors
    /// No home folder is known.
    pub(crate) fn on_page(report: &Report, hub: &Arc<Hub>) -> anyhow::Result<Self> {
        Self::with(report, |_| (hub.clone(), None))
    }

    /// Records what happens now.
    pub(crate) fn record(&self, kind: Kind) {
        if let Some(event) = self.write(kind) {
            // As the view of the terminal does for a scenario.
            self.report.event(json!(event.as_ref()));
            self.view.push(&event);
        }
    }
}

impl Recording {
    /// Opens the file of a run that begins now, and shows its events from now on.
    ///
    /// # Errors
    /// No home folder is known.
    pub(crate) fn open(report: &Report) -> anyhow::Result<Self> {
        Self::with(report, |events| {
            let view = View::of(events, report);
            let showing = view.start();
            (view, Some(showing))
        })
    }

    /// As [`Recording::open`], for a command without a scenario. `tags` are names of the run.
    ///
    /// # Errors
    /// As there; the cluster's versions cannot be read.
    pub(crate) async fn begin(
        report: &Report,
        (command, lab, provider): (&str, &str, &str),
        tags: &[String],
        client: Option<&kube::Client>,
    ) -> anyhow::Result<Self> {
        let versions = match client {
            Some(client) => runs::versions(client).await?,
            None => runs::own_version(),
        };
        let recording = Self::open(report)?;
        recording.record(Kind::RunStarted(RunStarted {
            run: recording.id.clone(),
            command: command.to_owned(),
            title: format!("meshy {command}"),
            lab: lab.to_owned(),
            provider: provider.to_owned(),
            tags: tags.to_vec(),
            versions,
            ..RunStarted::default()
        }));
        Ok(recording)
    }

    /// Records what happens now.
    pub(crate) fn record(&self, kind: Kind) {
        self.write(kind);
    }

    /// Records the end.
    pub(crate) fn end(&self, status: RunStatus) {
        self.record(Kind::RunEnded(RunEnded { status, reason: None }));
        self.view.show();
        self.keep_last_load();
    }

    /// As [`Recording::keep_last_load_of`], with the lab and the command that the run names.
    pub(crate) fn keep_last_load(&self) {
        let run = self.run();
        self.keep_last_load_of(&run.lab, &run.command);
    }

    /// Returns a step that was recorded.
    pub(crate) fn step(&self, name: &str) -> Option<Step> {
        steps::of(&self.view.run()).into_iter().find(|step| step.name == name)
    }

    /// Returns the run so far.
    pub(crate) fn run(&self) -> Run {
        Run::of(&self.view.run())
    }
}
