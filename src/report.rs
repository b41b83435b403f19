//! A recorded run on its page: the report in one file, which refers to nothing outside itself.

pub(crate) mod chart;
pub(crate) mod curve;
mod page;

use std::path::Path;
use std::sync::Arc;

use meshy_experiment::run::Run;
use meshy_page::{Hub, Mode, State, save};

pub(crate) use page::report;

/// Returns the page of a run that was read from a file.
pub(crate) fn hub(run: &Run, file: &Path) -> Arc<Hub> {
    let title = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Hub::recorded(run, &State { mode: Mode::Replay, title, ..State::default() })
}

/// Returns the page with its run as one file.
pub(crate) fn file(hub: &Hub) -> String {
    save::page(hub, report)
}
