//! The page of a lab: counts of its proxies each half second, and what viewers do.

use std::io::BufWriter;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use meshy_base::{Report, private};
use meshy_experiment::event::{
    Change, Kind, Recorder, RunEnded, RunStarted, RunStatus, StepEnded, StepStarted, Tick, Totals,
};
use meshy_kube::Kinds;
use meshy_load::Target;
use meshy_metrics::routes::Service;
use meshy_page::{Command, Hub, State};
use meshy_policy::policy::Session;
use meshy_policy::test_service::FaultChange;
use tokio::sync::watch;
use tokio::time::Instant;

use super::counts::{Counted, Proxies};
use super::inbox::Request;
use super::policies;
use super::sent::{Sending, Sent};
use crate::runs;

/// How often counts are read: a change is on the page within a second.
pub(super) const TICK: Duration = Duration::from_millis(500);

/// How often pods and policies are read.
const REFRESH: Duration = Duration::from_secs(5);

/// The page has no time limit; changes are made one request at a time.
const LONG: Duration = Duration::from_secs(100 * 24 * 3600);

/// The step that the page records.
const STEP: &str = "live";

/// A lab that is shown.
pub(super) struct Live {
    pub(super) hub: Arc<Hub>,
    pub(super) state: State,
    pub(super) proxies: Proxies,
    pub(super) namespace: String,
    pub(super) target: Option<Target>,
    pub(super) watched: Option<String>,
    /// How to talk to the cluster.
    pub(super) kinds: Kinds,
    /// Where a session reports what it restores.
    pub(super) report: Report,
    /// Turns true when the page ends.
    pub(super) stop: watch::Receiver<bool>,
    /// What was changed, restored at the end; none before the first change, so that other commands can change the lab.
    pub(super) session: Option<Session>,
    pub(super) recorder: Recorder<BufWriter<std::fs::File>>,
    pub(super) begun: Instant,
    pub(super) sent: Sent,
    pub(super) sending: Option<Sending>,
    /// When pods and policies were read.
    pub(super) refreshed: Option<Instant>,
}

/// Opens the file that a run of the page is recorded in.
///
/// # Errors
/// The file cannot be written.
pub(super) fn recorder() -> anyhow::Result<(String, Recorder<BufWriter<std::fs::File>>)> {
    let now = jiff::Timestamp::now();
    let id = now.strftime("%Y%m%d-%H%M%S-%3f").to_string();
    let folder = runs::folder()?;
    private::ensure_folder(&folder)?;
    let file = folder.join(format!("{id}.events.jsonl"));
    let writer = private::open(&file, rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok((id, Recorder::new(BufWriter::new(writer), now)))
}

impl Live {
    /// Records the start.
    pub(super) fn start(&self, started: RunStarted) -> anyhow::Result<()> {
        self.record(Kind::RunStarted(started))?;
        self.record(Kind::StepStarted(StepStarted {
            step: STEP.to_owned(),
            target: self.state.load.as_ref().map(|load| load.target.clone()),
            watched: self.watched.clone(),
            ..StepStarted::default()
        }))
    }

    fn record(&self, kind: Kind) -> anyhow::Result<()> {
        let event = self.recorder.record(self.begun.elapsed(), None, kind)?;
        self.hub.push(&event);
        Ok(())
    }

    /// Records the counts of now.
    pub(super) async fn tick(&mut self) -> anyhow::Result<()> {
        let Counted { edges, details } = self.proxies.counted().await;
        if self.refreshed.is_none_or(|at| at.elapsed() >= REFRESH) {
            // An API server that is busy is asked again; the counts go on.
            if let Err(error) = self.proxies.refresh().await {
                tracing::debug!("the pods are not known: {error:#}");
            }
            let mut services: Vec<String> = edges.iter().map(|edge| edge.to.clone()).collect();
            services.sort();
            services.dedup();
            self.hub.set_details(&self.proxies.details(&services, details).await);
            self.refreshed = Some(Instant::now());
        }
        let (latency_now, samples) = self.sent.take_now();
        self.record(Kind::Tick(Tick {
            step: STEP.to_owned(),
            at_ms: millis(self.begun.elapsed()),
            load: self.sent.counts(self.sending.as_ref()),
            latency_now,
            latency: self.sent.latencies().quantiles(),
            edges,
            samples,
            ..Tick::default()
        }))
    }

    /// Carries out a command and answers it.
    pub(super) async fn act(&mut self, request: Request) {
        let done = self.command(request.command).await;
        self.hub.set_state(&self.state);
        // A viewer that is gone wants no answer.
        let _ = request.reply.send(done.map_err(|error| format!("{error:#}")));
    }

    async fn command(&mut self, command: Command) -> anyhow::Result<()> {
        if !self.state.allowed {
            return Err(anyhow!("{}", self.state.reason.as_deref().unwrap_or("the controls are off")));
        }
        match command {
            Command::Load { rate } => self.load(rate).await,
            Command::StopLoad => {
                self.stop_load().await?;
                self.change("load", "stopped", true)
            }
            Command::Fault { service, percent } => self.fault(service, percent).await,
            Command::Policy { name, on } => self.policy(&name, on).await,
            Command::Run { .. } | Command::Next | Command::StopRun => Err(anyhow!("no scenario runs")),
        }
    }

    async fn load(&mut self, rate: f64) -> anyhow::Result<()> {
        if !(0.1..=10_000.0).contains(&rate) {
            return Err(anyhow!("invalid rate {rate}, expected 0.1 to 10000 requests per second"));
        }
        let target = self.target.clone().context("no service can be reached through the ingress")?;
        self.stop_load().await?;
        self.sending = Some(self.sent.send(target, rate, self.begun.elapsed()));
        if let Some(load) = &mut self.state.load {
            (load.running, load.rate) = (true, rate);
        }
        self.change("load", &format!("{rate} requests per second"), false)
    }

    async fn stop_load(&mut self) -> anyhow::Result<()> {
        if let Some(load) = &mut self.state.load {
            load.running = false;
        }
        match self.sending.take() {
            Some(sending) => self.sent.end(sending).await,
            None => Ok(()),
        }
    }

    /// Begins to keep what is to be restored.
    async fn hold(&mut self) -> anyhow::Result<()> {
        if self.session.is_none() {
            let options = (false, Instant::now() + LONG);
            let session = Session::begin(&self.kinds, "dashboard", options, self.stop.clone(), &self.report);
            self.session = Some(session.await?);
        }
        Ok(())
    }

    async fn fault(&mut self, name: String, percent: u8) -> anyhow::Result<()> {
        self.hold().await?;
        let known = self.state.faults.iter_mut().find(|fault| fault.service == name);
        let known = known.with_context(|| format!("service `{name}` is not a test service"))?;
        if percent > 100 {
            return Err(anyhow!("invalid share {percent} %, expected 0 to 100"));
        }
        let session = self.session.as_mut().context("the controls are off")?;
        let service = Service { namespace: self.namespace.clone(), name: name.clone() };
        let change = FaultChange {
            quota: Some(percent),
            reject: Some(true),
            sequence: Some(Vec::new()),
            errors: Some(None),
            ..FaultChange::default()
        };
        session.fault(&service, None, &change).await?;
        known.percent = percent;
        let change = Change {
            text: format!("{name}: {percent} % of requests fail"),
            subject: name,
            ends: percent == 0,
            command: None,
        };
        self.record(Kind::FaultChanged(change))
    }

    async fn policy(&mut self, name: &str, on: bool) -> anyhow::Result<()> {
        let change = policies::change(name, &self.namespace, on)?;
        self.hold().await?;
        let session = self.session.as_mut().context("the controls are off")?;
        session.apply(&change).await?;
        if let Some(known) = self.state.policies.iter_mut().find(|policy| policy.name == name) {
            known.on = on;
        }
        let text = if on { "applied" } else { "removed" };
        let (subject, text, ends) = (change.describe(), text.to_owned(), !on);
        self.record(Kind::PolicyChanged(Change { subject, text, ends, command: None }))
    }

    fn change(&self, subject: &str, text: &str, ends: bool) -> anyhow::Result<()> {
        let (subject, text) = (subject.to_owned(), format!("{subject}: {text}"));
        self.record(Kind::FaultChanged(Change { subject, text, ends, command: None }))
    }

    /// Ends the load, and records the totals. Returns the session, which is to be restored.
    pub(super) async fn end(mut self) -> anyhow::Result<Option<Session>> {
        let stopped = self.stop_load().await;
        let counted = self.proxies.counted().await;
        let totals = Totals {
            duration_ms: millis(self.begun.elapsed()),
            load: self.sent.counts(None),
            latencies: self.sent.latencies(),
            edges: counted.edges,
            ..Totals::default()
        };
        let ended = StepEnded { step: STEP.to_owned(), totals, interrupted: false, why: None };
        self.record(Kind::StepEnded(ended))?;
        let (status, reason) = match stopped {
            Ok(()) => (RunStatus::Completed, None),
            Err(error) => (RunStatus::Failed, Some(format!("{error:#}"))),
        };
        self.record(Kind::RunEnded(RunEnded { status, reason }))?;
        Ok(self.session)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
