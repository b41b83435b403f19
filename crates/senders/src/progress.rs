//! What is known of one sender while its load runs.

use std::time::Duration;

use meshy_load::Report;
use meshy_load::protocol::State;
use tokio::time::{Instant, sleep};

use crate::clock::Offset;
use crate::control::Control;

/// The time between two reads of a report.
const INTERVAL: Duration = Duration::from_secs(1);

/// After so long without a response, a sender counts as dead though its pod seems to run.
const SILENCE: Duration = Duration::from_secs(10);

/// One sender and what it reported.
pub(crate) struct Known {
    pub(crate) control: Control,
    pub(crate) node: String,
    pub(crate) offset: Offset,
    pub(crate) scheduled: u64,
    pub(crate) report: Report,
    /// When it started, in this machine's microseconds of Unix time.
    pub(crate) started: Option<u64>,
    pub(crate) interrupted: bool,
    pub(crate) ended: bool,
    /// Why nothing more is expected of it.
    pub(crate) lost: Option<String>,
    /// Since when it has not responded.
    pub(crate) silent: Option<Instant>,
}

impl Known {
    /// Whether there is nothing more to read.
    pub(crate) fn is_over(&self) -> bool {
        self.ended || self.lost.is_some()
    }

    /// Reads what was sent since the last time.
    pub(crate) async fn read(&mut self) {
        if self.is_over() {
            return;
        }
        let from = self.report.last_second();
        match self.control.progress(from).await.and_then(|progress| {
            self.report.update(progress.report.clone(), from)?;
            Ok(progress)
        }) {
            Ok(progress) => {
                self.silent = None;
                self.started = progress.started_unix_micros.map(|theirs| self.offset.to_ours(theirs));
                self.interrupted = progress.interrupted;
                self.ended = progress.state == State::Ended;
            }
            Err(error) => self.failed(&error).await,
        }
    }

    async fn failed(&mut self, error: &anyhow::Error) {
        let since = *self.silent.get_or_insert_with(Instant::now);
        self.lost = match self.control.death().await {
            Ok(Some(reason)) => Some(reason),
            _ if since.elapsed() >= SILENCE => {
                Some(format!("no response for {} s: {error:#}", SILENCE.as_secs()))
            }
            _ => None,
        };
    }
}

/// Reads the reports of all senders each second until the last one ended; `each` is called after each time.
pub(crate) async fn follow(
    known: &mut [Known],
    latest: Instant,
    mut stop: tokio::sync::watch::Receiver<bool>,
    mut each: impl FnMut(&[Known]),
) {
    let mut stopped = false;
    while known.iter().any(|one| !one.is_over()) {
        tokio::select! {
            () = sleep(INTERVAL) => {}
            // An error means that no process is left that could stop it.
            Ok(()) = async { stop.wait_for(|stop| *stop).await.map(drop) }, if !stopped => {
                stopped = true;
                let stops = known.iter().filter(|one| !one.is_over()).map(|one| one.control.stop());
                // A sender that cannot be reached is found dead by the next read.
                futures::future::join_all(stops).await;
            }
        }
        futures::future::join_all(known.iter_mut().map(Known::read)).await;
        each(known);
        if Instant::now() >= latest {
            let late = known.iter_mut().filter(|one| !one.is_over());
            late.for_each(|one| one.lost = Some("its load did not end in time".to_owned()));
        }
    }
}
