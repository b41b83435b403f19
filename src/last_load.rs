//! The last recorded load of each lab, with what every proxy counted meanwhile: tables show it when no request arrives now.

use std::path::Path;

use anyhow::Context as _;
use meshy_base::{input, private};
use meshy_lab::lab::LabName;
use meshy_metrics::routes::Service;
use meshy_metrics::{Outcomes, Pod, SavedWindow, Window};
use serde::{Deserialize, Serialize};

/// The format of the file.
const VERSION: u32 = 1;

/// A load that was recorded.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct LastLoad {
    version: u32,
    /// The id of its run.
    pub(crate) run: String,
    /// The command that sent it.
    pub(crate) command: String,
    /// When it ended.
    ended: jiff::Timestamp,
    /// The service that the run is about, and the outcomes of its requests.
    service: Option<(Service, Outcomes)>,
    window: SavedWindow,
}

impl LastLoad {
    /// Returns a load that ends now.
    pub(crate) fn new(window: &Window, service: Option<(Service, Outcomes)>) -> Self {
        let (run, command) = Default::default();
        Self { version: VERSION, run, command, ended: jiff::Timestamp::now(), service, window: window.into() }
    }

    /// Keeps it as the last load of a lab, in place of an earlier one. The folder is that of the runs.
    pub(crate) fn keep(
        self,
        folder: &Path,
        lab: &LabName,
        (run, command): (&str, &str),
    ) -> anyhow::Result<()> {
        let load = Self { run: run.to_owned(), command: command.to_owned(), ..self };
        private::replace(&file(folder, lab), &serde_json::to_vec(&load)?)
    }

    /// Returns how long ago it ended, in seconds.
    pub(crate) fn age_seconds(&self) -> f64 {
        let age = jiff::Timestamp::now().duration_since(self.ended);
        age.as_secs_f64().max(0.0)
    }

    /// Returns the outcomes of the requests to a service, if the run is about it.
    pub(crate) fn outcomes(&self, wanted: &Service) -> Option<&Outcomes> {
        self.service.as_ref().filter(|(service, _)| service == wanted).map(|(_, outcomes)| outcomes)
    }
}

/// Returns the last recorded load of a lab and its window. None where nothing was recorded, or only of a cluster that had none of
/// these pods.
///
/// # Errors
/// The file is there and cannot be read.
pub(crate) fn of(folder: &Path, lab: &LabName, pods: &[Pod]) -> anyhow::Result<Option<(LastLoad, Window)>> {
    let file = file(folder, lab);
    if !file.exists() {
        return Ok(None);
    }
    let text = input::any(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let load: LastLoad = match serde_json::from_slice(&text) {
        Ok(load) => load,
        // Of another version of meshy; the next load replaces it.
        Err(_) => return Ok(None),
    };
    if load.version != VERSION || !load.window.has_any(pods) {
        return Ok(None);
    }
    let window = load.window.window().with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Some((load, window)))
}

fn file(folder: &Path, lab: &str) -> std::path::PathBuf {
    folder.join(format!("{lab}.last-load"))
}
