//! One step of one variant.

use std::io::Write;
use std::sync::PoisonError;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _, try_join_all};
use meshy_base::Report;
use meshy_experiment::condition::{Metric, Operand};
use meshy_experiment::event::{Change, Kind, Mesh, Note, Recorder, StepEnded, StepStarted, Totals};
use meshy_experiment::scenario::plan::{Action, Changes};
use meshy_experiment::scenario::{Fault, Load, Step, TriggerKind};
use meshy_lab::overlay;
use meshy_metrics::Window;
use meshy_policy::policy::Session;
use meshy_senders::{Fleet, Planned, Sent};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep_until};

use super::changes::{self, InForce};
use super::counts::{self, Since};
use super::destination::Destination;
use super::evidence;
use super::ground::{Ground, Place};
use super::seconds::{Seconds, millis};
use super::sender;
use super::senders::{self, Pods};
use super::{Graph, Plan, Policies};
use crate::measure;
use crate::tally::{Part, Tally};

/// What the steps of a variant need.
pub(super) struct Run<'a, W> {
    /// The scenario.
    pub(super) plan: &'a Plan,
    /// The cluster.
    pub(super) ground: &'a Ground<'a>,
    /// Where the variant runs.
    pub(super) place: &'a Place,
    /// The policies of each step.
    pub(super) policies: &'a Policies,
    /// The changes of the run.
    pub(super) session: &'a Mutex<&'a mut Session>,
    /// Records the events.
    pub(super) recorder: &'a Recorder<W>,
    /// The run's identifier.
    pub(super) id: &'a str,
    /// Where warnings go.
    pub(super) report: &'a Report,
    /// What the last step with counts has counted.
    pub(super) last: &'a Last,
    /// The start of the run.
    pub(super) begun: Instant,
    /// The cap on attempts per second.
    pub(super) cap: Option<f64>,
    /// Turns true when the run is to end.
    pub(super) stop: watch::Receiver<bool>,
}

/// What a step has counted at the watched service, and in which window.
pub(super) type Last = std::sync::Mutex<Option<(Mesh, Window)>>;

/// The end of a step: waits for requests that are still open and records the totals.
pub(super) type Ending<'a> = BoxFuture<'a, anyhow::Result<()>>;

impl<'a, W: Write + Send> Run<'a, W> {
    /// Makes the changes that lead from `last` to `step`, by their numbers.
    pub(super) async fn change(&self, last: Option<usize>, number: usize) -> anyhow::Result<()> {
        let steps = &self.plan.scenario.steps;
        let (before, step) = (last.map(|last| &steps[last]), &steps[number]);
        let (nothing, next) = (InForce::default(), &self.policies.steps[number]);
        let then = last.map_or(&nothing, |last| &self.policies.steps[last]);
        for changed in then.change_to(next, self.session, self.ground.absent).await? {
            let text = if changed.ends { "removed" } else { "applied" }.to_owned();
            let change = Change { subject: changed.subject, text, ends: changed.ends, command: None };
            self.record(Kind::PolicyChanged(change))?;
        }
        if self.policies.verified {
            let objects = (step, next);
            let used =
                evidence::in_use(self.ground, self.place, objects, &self.policies.profiled, self.report);
            stoppable(&self.stop, used).await?;
        }
        let changes = Changes::between(before, step, self.place.variant.as_ref());
        for service in &changes.reset {
            self.set(service, true, &[]).await?;
        }
        for fault in step.faults.iter().filter(|fault| {
            // Failures in blocks start again with each step.
            changes.faults.contains(fault) || fault.starts_blocks()
        }) {
            self.set(&fault.service.value, false, &[fault]).await?;
            if changes.faults.contains(fault) {
                self.fault(fault)?;
            }
        }
        Ok(())
    }

    async fn set(&self, service: &str, reset: bool, faults: &[&Fault]) -> anyhow::Result<()> {
        let how = (reset, self.ground.any_image);
        if !changes::fault(self.session, &self.place.service(service), how, faults).await? {
            let text =
                format!("`{service}` does not run meshy's test service: its image decides how it fails");
            self.record(Kind::Note(Note { text }))?;
        }
        Ok(())
    }

    /// Runs a step. If the next step `follows` without a pause, the open requests are left to the ending.
    pub(super) async fn step(&self, step: &'a Step, follows: bool) -> anyhow::Result<Ending<'a>>
    where
        W: 'a,
    {
        let from_pods = step.load.as_ref().filter(|load| senders::count(load).is_some());
        let Some(load) = from_pods else { return self.measured(step, follows, None).await };
        let options = &self.ground.run_cluster.deploy;
        let pods = Pods {
            client: &self.ground.run_cluster.client,
            namespace: &self.place.namespace,
            image: overlay::deployed_image(options.registry_port, options.image.as_deref()),
            deadline: self.ground.deadline,
            run: senders::run_of(self.id, &step.name.value),
        };
        let fleet = senders::start(&pods, load, &self.stop).await?;
        let ran = self.measured(step, false, Some(&fleet)).await;
        // Deleted after the counts were read: those of the senders' own proxies are part of them.
        let deleted = fleet.end().await;
        let ending = ran?;
        deleted?;
        Ok(ending)
    }

    /// Runs a step whose load comes from these senders, or from this machine.
    #[expect(clippy::too_many_lines, reason = "the order of a step, read from top to bottom")]
    async fn measured(
        &self,
        step: &'a Step,
        follows: bool,
        fleet: Option<&Fleet>,
    ) -> anyhow::Result<Ending<'a>>
    where
        W: 'a,
    {
        let start = counts::start(self.ground, self.place, step).await?;
        let planned = self.predictable(step);
        if let Some(prediction) = planned.and_then(|planned| start.predict(planned)) {
            self.record(Kind::Prediction(measure::predicted(&step.name.value, &prediction)))?;
        }
        let parts = parts(step);
        let tally = Tally::of(&parts);
        let length = step.duration().0;
        let destination = match &step.load {
            Some(load) if fleet.is_none() => {
                Some(Destination::of(self.ground.run_cluster, self.place, load, self.report).await?)
            }
            _ => None,
        };
        let shares = match (&step.load, fleet) {
            (Some(load), Some(fleet)) => {
                let target = senders::target(load, &self.place.namespace, &self.place.served(&load.target))?;
                Some(senders::plan(fleet, load, target, &parts).await?)
            }
            _ => None,
        };
        // The faults and the load of a step have one clock: with senders it begins at their agreed start.
        let at = shares.as_ref().map_or_else(Instant::now, Planned::begins);
        if shares.is_some() {
            sleep_until(at).await;
        }
        let (reported, reports) = watch::channel(());
        let seconds = if shares.is_some() { Seconds::Reports(reports) } else { Seconds::after(at) };
        self.record(Kind::StepStarted(started(step)))?;
        let (done, ended) = watch::channel(false);
        let (load, all, stop) = (step.load.as_ref(), tally.clone(), self.stop.clone());
        let mut sending = async move {
            match (load, destination, shares) {
                (Some(load), Some(destination), _) => {
                    let each = parts.iter().map(|part| {
                        sender::send(destination.target.clone(), load, *part, &all, stop.clone())
                    });
                    try_join_all(each).await?;
                }
                (Some(load), None, Some(shares)) => {
                    return Ok(Some(senders::follow(shares, load, (&all, &reported), stop).await));
                }
                _ => {}
            }
            anyhow::Ok(None)
        }
        .boxed();
        let (mut sent, has_load): (Option<Option<Sent>>, _) = (None, load.is_some());
        let until = async {
            tokio::select! {
                ended = &mut sending, if has_load => sent = Some(ended?),
                () = self.wait(at + length), if follows || !has_load => {}
            }
            done.send_replace(true);
            anyhow::Ok(())
        };
        tokio::try_join!(
            until,
            self.act(step, at, ended.clone()),
            self.tick((step, at), seconds, &tally, &start, ended)
        )?;
        let duration = at.elapsed().min(length.max(Duration::from_millis(1)));
        let open = if follows { None } else { start.settled(self.ground).await };
        let replicated = start.is_replicated();
        let (mut since, counted) = match start.totals(self.ground, self.place, planned).await {
            Ok(found) => found,
            Err(error) => {
                let gaps = vec![format!("the counts of the proxies: {error:#}")];
                (Since { gaps, ..Since::default() }, None)
            }
        };
        since.gaps.extend(open);
        if let Some(counted) = &counted {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted.clone());
        }
        let mut mesh = counted.map(|(mesh, _)| mesh);
        if self.is_about_identities(step) {
            for text in std::mem::take(&mut since.identities) {
                self.record(Kind::Note(Note { text }))?;
            }
        }
        let (interrupted, why) = (*self.stop.borrow(), self.why(step));
        let (recorder, begun, variant) = (self.recorder, self.begun, self.place.variant());
        let ending = async move {
            let sent = match sent {
                Some(sent) => sent,
                None => sending.await?,
            };
            let lines = sent.iter().flat_map(Sent::lines).collect::<Vec<_>>();
            for text in lines.clone() {
                recorder.record(begun.elapsed(), variant, Kind::Note(Note { text }))?;
            }
            let counted = tally.totals(length);
            let attempts = if replicated { Default::default() } else { counted.attempts.clone() };
            if let Some(mesh) = &mut mesh {
                mesh.outcomes.added_latency_ms = measure::added_latency(&attempts);
            }
            let totals = Totals {
                duration_ms: millis(duration),
                attempts,
                edges: since.edges,
                services: since.services,
                mesh: mesh.map(Box::new),
                // The first line says how many senders there were, each other one which of them died.
                incomplete: lines.into_iter().skip(1).collect(),
                gaps: since.gaps,
                ..counted
            };
            let ended = StepEnded { step: step.name.value.clone(), totals, interrupted, why };
            recorder.record(begun.elapsed(), variant, Kind::StepEnded(ended))?;
            anyhow::Ok(())
        };
        Ok(ending.boxed())
    }

    /// Returns the rate and the time of a load for which one edge is the whole story: nothing changes during the step, and
    /// no service has a queue.
    fn predictable(&self, step: &Step) -> Option<(f64, f64)> {
        let load = step.load.as_ref()?;
        let steady = step.actions().is_empty() && !matches!(self.plan.graph, Graph::Topology(_));
        steady.then_some((load.rate.value.0, load.duration.0.as_secs_f64()))
    }

    /// Whether an expectation of the step is about mutual TLS.
    fn is_about_identities(&self, step: &Step) -> bool {
        let is_about = |operand: &Operand| {
            operand.metric == Metric::MutualTls
                && operand.step.as_ref().is_none_or(|name| *name == step.name.value)
        };
        self.plan.scenario.conditions().iter().any(|condition| condition.operands().any(is_about))
    }

    /// The explanation of the result: of the variant, else of the step.
    fn why(&self, step: &Step) -> Option<String> {
        self.place.variant.as_ref().and_then(|variant| variant.why.clone()).or_else(|| step.why.clone())
    }

    /// Makes the changes that happen during the step, until the load has ended.
    async fn act(&self, step: &Step, at: Instant, mut ended: watch::Receiver<bool>) -> anyhow::Result<()> {
        for (after, action) in step.actions() {
            tokio::select! {
                () = sleep_until(at + after) => {}
                _ = ended.wait_for(|ended| *ended) => return Ok(()),
            }
            match action {
                Action::Start(fault) => {
                    self.set(&fault.service.value, false, &[&fault]).await?;
                    self.fault(&fault)?;
                }
                Action::End { service, keep } => {
                    self.set(&service, true, &keep.iter().collect::<Vec<_>>()).await?;
                    self.fault_changed(service, "fault ended".to_owned(), true)?;
                }
                Action::Rate(factor) => {
                    let ends = factor == 1.0;
                    let text = match ends {
                        true => "rate as before".to_owned(),
                        false => format!("{factor} times the rate"),
                    };
                    self.fault_changed("load".to_owned(), text, ends)?;
                }
            }
        }
        Ok(())
    }

    /// Waits until a time, or until the run is to end.
    async fn wait(&self, until: Instant) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = sleep_until(until) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    fn fault(&self, fault: &Fault) -> anyhow::Result<()> {
        self.fault_changed(fault.service.value.clone(), fault.to_string(), false)
    }

    fn fault_changed(&self, subject: String, text: String, ends: bool) -> anyhow::Result<()> {
        self.record(Kind::FaultChanged(Change { subject, text, ends, command: None }))
    }

    /// Records something to know about all variants.
    pub(super) fn warn(&self, text: String) -> anyhow::Result<()> {
        self.recorder.record(self.begun.elapsed(), None, Kind::Note(Note { text }))?;
        Ok(())
    }

    pub(super) fn record(&self, kind: Kind) -> anyhow::Result<()> {
        self.recorder.record(self.begun.elapsed(), self.place.variant(), kind)?;
        Ok(())
    }
}

/// Waits for something that changes nothing, unless the run is to end.
pub(super) async fn stoppable<T>(
    stop: &watch::Receiver<bool>,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        Ok(_) = stop.wait_for(|stop| *stop) => Err(meshy_policy::policy::Stopped.into()),
        done = work => done,
    }
}

fn started(step: &Step) -> StepStarted {
    StepStarted {
        step: step.name.value.clone(),
        text: step.text.clone(),
        question: step.question.clone(),
        target: step.load.as_ref().map(|load| load.target.value.clone()),
        offered_per_second: step.load.as_ref().map_or(0.0, |load| load.rate.value.0),
        duration_ms: millis(step.duration().0),
        trigger_end_ms: step.trigger.as_ref().map(|trigger| millis(trigger.window().1)),
        watched: step.watched().map(str::to_owned),
    }
}

/// The load of a step: its rate for the whole time, and more during a surge.
fn parts(step: &Step) -> Vec<Part> {
    let Some(load) = &step.load else { return Vec::new() };
    let Load { rate, duration, .. } = load;
    let mut parts = vec![Part { start: Duration::ZERO, length: duration.0, rate: rate.value.0 }];
    if let Some(trigger) = &step.trigger
        && let TriggerKind::Load(factor, length) = trigger.what
        && factor.0 > 1.0
    {
        parts.push(Part { start: trigger.at.0, length: length.0, rate: rate.value.0 * (factor.0 - 1.0) });
    }
    parts
}
