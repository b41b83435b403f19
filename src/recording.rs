//! A run while it is recorded: its file in the folder of runs, and the view of its events.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use meshy_base::{Report, private};
use meshy_experiment::event::{Kind, Recorder, RunEnded, RunStarted, RunStatus};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::runs::{self, Run};
use crate::steps::{self, Step};
use crate::view::View;

/// The writer of a run's events.
pub type Events = Recorder<Kept>;

/// The file of a run. A failure to write is reported once: what is measured is worth more than the file.
pub struct Kept {
    file: Option<BufWriter<File>>,
    report: Report,
}

/// A run while it is recorded.
pub struct Recording {
    /// The id of the run.
    pub id: String,
    /// The events.
    pub events: Events,
    /// The view of the events.
    pub view: View,
    /// The file of the events.
    pub file: PathBuf,
    begun: Instant,
    _showing: AbortOnDropHandle<()>,
}

impl Kept {
    fn open(file: &Path, report: &Report) -> Self {
        let open = || -> anyhow::Result<File> {
            private::ensure_folder(file.parent().context("the file has no folder")?)?;
            let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
            private::open(file, flags).with_context(|| format!("cannot write {}", file.display()))
        };
        let opened = open().map_err(|error| report.warn(format!("the run is not recorded: {error:#}")));
        Self { file: opened.ok().map(BufWriter::new), report: report.clone() }
    }

    fn keep(&mut self, done: io::Result<()>) {
        if let Err(error) = done {
            self.report.warn(format!("the run is not recorded any more: {error}"));
            self.file = None;
        }
    }
}

impl Write for Kept {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let done = self.file.as_mut().map_or(Ok(()), |file| file.write_all(part));
        self.keep(done);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.file.as_mut().map_or(Ok(()), BufWriter::flush);
        self.keep(done);
        Ok(())
    }
}

impl Recording {
    /// Opens the file of a run that begins now, and shows its events from now on.
    ///
    /// # Errors
    /// No home folder is known.
    pub fn open(report: &Report) -> anyhow::Result<Self> {
        let started = jiff::Timestamp::now();
        let id = started.strftime("%Y%m%d-%H%M%S-%3f").to_string();
        let file = runs::file(&id)?;
        let events = Recorder::new(Kept::open(&file, report), started);
        let view = View::of(&events, report);
        runs::drop_oldest(report);
        Ok(Self { id, view: view.clone(), file, events, begun: Instant::now(), _showing: view.start() })
    }

    /// As [`Recording::open`], for a command without a scenario.
    ///
    /// # Errors
    /// As there; the cluster's versions cannot be read.
    pub async fn begin(
        report: &Report,
        (command, lab, provider): (&str, &str, &str),
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
            versions,
            ..RunStarted::default()
        }));
        Ok(recording)
    }

    /// Records what happens now.
    pub fn record(&self, kind: Kind) {
        // The writer reports its failures itself, so only an event that cannot be written as JSON could fail here.
        if let Err(error) = self.events.record(self.begun.elapsed(), None, kind) {
            tracing::warn!("an event was not recorded: {error}");
        }
    }

    /// Records the end.
    pub fn end(&self, status: RunStatus) {
        self.record(Kind::RunEnded(RunEnded { status, reason: None }));
        self.view.show();
    }

    /// Returns a step that was recorded.
    pub fn step(&self, name: &str) -> Option<Step> {
        steps::of(&self.view.run()).into_iter().find(|step| step.name == name)
    }

    /// Returns the run so far.
    pub fn run(&self) -> Run {
        Run::of(&self.view.run())
    }
}
