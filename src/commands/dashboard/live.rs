//! The page of a lab: what viewers do, and what they see of it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use meshy_base::Report;
use meshy_experiment::event::{Change, Kind};
use meshy_kube::Kinds;
use meshy_load::Target;
use meshy_metrics::routes::Service;
use meshy_page::control::NotDone;
use meshy_page::{Command, Hub, State};
use meshy_policy::policy::Session;
use meshy_policy::test_service::FaultChange;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::counts::Counting;
use super::details::RequestedDetails;
use super::inbox::Request;
use super::record::{Live, Shown};
use super::scenario::{Order, Running};
use super::{controls, policies};

/// The page has no time limit; changes are made one request at a time.
const LONG: Duration = Duration::from_secs(100 * 24 * 3600);

/// The page of a lab.
pub(super) struct Page {
    pub(super) hub: Arc<Hub>,
    pub(super) state: State,
    pub(super) counting: Counting,
    pub(super) _counts: AbortOnDropHandle<()>,
    pub(super) namespace: String,
    pub(super) target: Option<Target>,
    pub(super) shown: Shown,
    /// The flags that name the lab in commands.
    pub(super) flags: String,
    /// How to talk to the cluster.
    pub(super) kinds: Kinds,
    /// Where a session reports what it restores.
    pub(super) report: Report,
    /// Turns true when the page ends.
    pub(super) stop: watch::Receiver<bool>,
    /// What was changed, restored at the end; none before the first change, so that other commands can change the lab.
    pub(super) session: Option<Session>,
    /// The run that is recorded; none while a scenario is shown.
    pub(super) live: Option<Live>,
    /// Whether the file of each run that has ended has all events.
    pub(super) written: anyhow::Result<()>,
    /// Where scenarios are run.
    pub(super) orders: mpsc::Sender<Order>,
    /// The scenario that runs.
    pub(super) running: Option<Running>,
}

impl Page {
    /// Records the counts of now.
    pub(super) fn tick(&mut self) {
        if let Some(live) = &mut self.live {
            live.tick(&self.counting);
        }
    }

    /// Gives viewers the state of the controls.
    pub(super) fn show(&self) {
        self.hub.set_state(&self.state);
    }

    /// Carries out a command and sends the result.
    pub(super) async fn act(&mut self, request: Request) {
        self.state.error = None;
        let done = self.command(request.command).await;
        // What was changed is seen at once.
        if done.is_ok() {
            self.tick();
        }
        self.show();
        // A viewer that is gone needs no result.
        let _ = request.reply.send(done.map_err(|error| NotDone(format!("{error:#}"))));
    }

    async fn command(&mut self, command: Command) -> anyhow::Result<()> {
        if let Command::Look { service, variant } = command {
            return self.details_of(service, variant.as_deref()).await;
        }
        if !self.state.allowed {
            return Err(anyhow!("{}", self.state.reason.as_deref().unwrap_or("the controls are off")));
        }
        match command {
            Command::Run { scenario, short } => return self.run_scenario(&scenario, short).await,
            Command::Next => return self.next_step(),
            Command::StopRun => return self.stop_scenario().await,
            _ if self.running.is_some() => {
                return Err(anyhow!("a scenario runs: its steps set the load, the faults and the policies"));
            }
            _ => {}
        }
        self.resume().await?;
        match command {
            Command::Load { rate } => self.load(rate).await,
            Command::StopLoad => self.stop_load().await,
            Command::Fault { service, percent } => self.fault(service, percent).await,
            Command::Policy { name, on } => self.policy(&name, on).await,
            _ => Ok(()),
        }
    }

    /// Reads a service in full, and again while viewers may look at it.
    async fn details_of(&mut self, name: String, variant: Option<&str>) -> anyhow::Result<()> {
        let namespace = match &self.running {
            Some(running) => running.namespace(variant),
            None => self.namespace.clone(),
        };
        let mut proxies = self.counting.proxies.lock().await;
        RequestedDetails::new(variant, Service { namespace, name }).join(&mut proxies.requested);
        proxies.refresh(&self.hub).await;
        Ok(())
    }

    /// Shows the lab again after a scenario: a new run begins.
    pub(super) async fn resume(&mut self) -> anyhow::Result<()> {
        if self.live.is_some() {
            return Ok(());
        }
        self.state.run = None;
        self.running = None;
        self.counting.restart(&self.namespace, false).await;
        controls::read(&mut self.state, self.kinds.client(), &self.namespace, &self.flags).await?;
        let live = Live::begin(&self.hub, self.kinds.client(), &self.shown, &self.report).await?;
        self.live = Some(live);
        Ok(())
    }

    /// Ends the run that is recorded, and restores what viewers changed.
    pub(super) async fn pause(&mut self) -> anyhow::Result<()> {
        if let Some(load) = &mut self.state.load {
            load.running = false;
        }
        if let Some(mut live) = self.live.take() {
            live.end(&self.counting).await;
            self.written = std::mem::replace(&mut self.written, Ok(())).and(live.written());
        }
        match self.session.take() {
            Some(session) => session.restore(&self.report).await,
            None => Ok(()),
        }
    }

    fn live(&mut self) -> anyhow::Result<&mut Live> {
        self.live.as_mut().context("a scenario runs")
    }

    async fn load(&mut self, rate: f64) -> anyhow::Result<()> {
        if !(0.1..=10_000.0).contains(&rate) {
            return Err(anyhow!("invalid rate {rate}, expected 0.1 to 10000 requests per second"));
        }
        let target = self.target.clone().context("no service can be reached through the ingress")?;
        let live = self.live()?;
        live.sent.end().await?;
        live.sent.send(target, rate);
        live.change("load", format!("load: {rate} requests per second"), false);
        if let Some(load) = &mut self.state.load {
            (load.running, load.rate) = (true, rate);
        }
        Ok(())
    }

    async fn stop_load(&mut self) -> anyhow::Result<()> {
        if let Some(load) = &mut self.state.load {
            load.running = false;
        }
        let counting = self.counting.clone();
        let live = self.live()?;
        live.stop(&counting).await?;
        live.change("load", "load: stopped".to_owned(), true);
        Ok(())
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
        if percent > 100 {
            return Err(anyhow!("invalid share {percent} %, expected 0 to 100"));
        }
        if !self.state.faults.iter().any(|fault| fault.service == name) {
            return Err(anyhow!("service `{name}` is not a test service"));
        }
        self.hold().await?;
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
        for fault in self.state.faults.iter_mut().filter(|fault| fault.service == name) {
            fault.percent = percent;
        }
        let text = format!("{name}: {percent} % of requests fail");
        self.live()?.change(&name, text, percent == 0);
        Ok(())
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
        self.live()?.record(Kind::PolicyChanged(Change { subject, text, ends, command: None }));
        self.counting.proxies.lock().await.refresh(&self.hub).await;
        Ok(())
    }
}
