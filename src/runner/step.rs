//! One step of one variant.

use std::io::Write;
use std::time::Duration;

use meshy_experiment::event::{Change, Kind, Recorder, StepEnded, StepStarted, Tick, Totals};
use meshy_experiment::scenario::plan::{Action, Changes};
use meshy_experiment::scenario::{Fault, Load, Step, TriggerKind};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::Plan;
use super::changes;
use super::counts::{self, Since};
use super::ground::{Ground, Place};
use super::sender::{self, Part, Tally};

/// What the step of a variant needs.
pub(super) struct Run<'a, W> {
    /// The scenario.
    pub(super) plan: &'a Plan,
    /// The cluster.
    pub(super) ground: &'a Ground,
    /// Where the variant runs.
    pub(super) place: &'a Place,
    /// Records the events.
    pub(super) recorder: &'a Recorder<W>,
    /// The start of the run.
    pub(super) begun: Instant,
    /// Turns true when the run is to end.
    pub(super) stop: watch::Receiver<bool>,
}

impl<W: Write + Send> Run<'_, W> {
    /// Makes the changes that lead from `last` to `step`, then runs the step.
    pub(super) async fn step(self, last: Option<&Step>, step: &Step) -> anyhow::Result<()> {
        self.change(last, step).await?;
        let start = counts::start(self.ground, self.place).await?;
        let parts = parts(step);
        let tally = Tally::of(&parts);
        let length = step.duration().0;
        let at = Instant::now();
        self.record(Kind::StepStarted(started(step)))?;
        let (done, ended) = watch::channel(false);
        let sending = async {
            if let Some(load) = &step.load {
                let host = self.place.host(&load.target.value)?;
                let target = sender::target(load, self.ground.ingress, host)?;
                let each = parts
                    .iter()
                    .map(|part| sender::send(target.clone(), load, *part, &tally, self.stop.clone()));
                futures::future::try_join_all(each).await?;
            } else {
                self.wait(at + length).await;
            }
            done.send_replace(true);
            anyhow::Ok(())
        };
        let acting = self.act(step, at, ended.clone());
        let ticking = self.tick(step, at, &tally, &start, ended);
        tokio::try_join!(sending, acting, ticking)?;
        let sent = at.elapsed();
        let mut since = Since::default();
        let open = start.settled(self.ground).await;
        match start.since(self.ground, self.place).await {
            Ok(found) => since = found,
            Err(error) => since.gaps.push(format!("the counts of the proxies: {error:#}")),
        }
        since.gaps.extend(open);
        self.record(Kind::StepEnded(StepEnded {
            step: step.name.value.clone(),
            totals: Totals {
                duration_ms: millis(sent.min(length.max(Duration::from_millis(1)))),
                load: tally.counts(length),
                latencies: tally.latencies(),
                edges: since.edges,
                services: since.services,
                arrivals: tally.arrivals(),
                gaps: since.gaps,
                ..Totals::default()
            },
            interrupted: *self.stop.borrow(),
            why: self.why(step),
        }))
    }

    /// The explanation of the result: of the variant, else of the step.
    fn why(&self, step: &Step) -> Option<String> {
        self.place.variant.as_ref().and_then(|variant| variant.why.clone()).or_else(|| step.why.clone())
    }

    /// Changes policies and faults between two steps.
    async fn change(&self, last: Option<&Step>, step: &Step) -> anyhow::Result<()> {
        let changes = Changes::between(last, step, self.place.variant.as_ref());
        let (kinds, deadline) = (&self.ground.kinds, self.ground.deadline);
        let namespace = self.place.namespace.as_str();
        let file = |name: &String| self.plan.policies.get(name);
        for file in changes.remove.iter().filter_map(file) {
            let subject = changes::remove(kinds, file, namespace, deadline).await?;
            self.policy(subject, "removed", true)?;
        }
        for file in changes.apply.iter().filter_map(file) {
            let subject = changes::apply(kinds, file, namespace, deadline).await?;
            self.policy(subject, "applied", false)?;
        }
        for service in &changes.reset {
            changes::fault(kinds.client(), (namespace, service), true, &[]).await?;
        }
        for fault in &changes.faults {
            changes::fault(kinds.client(), (namespace, &fault.service.value), false, &[fault]).await?;
            self.fault(fault, false)?;
        }
        Ok(())
    }

    /// Makes the changes that happen during the step, until the load has ended.
    async fn act(&self, step: &Step, at: Instant, mut ended: watch::Receiver<bool>) -> anyhow::Result<()> {
        let client = self.ground.kinds.client();
        let namespace = self.place.namespace.as_str();
        for (after, action) in step.actions() {
            tokio::select! {
                () = sleep_until(at + after) => {}
                _ = ended.wait_for(|ended| *ended) => return Ok(()),
            }
            match action {
                Action::Start(fault) => {
                    changes::fault(client, (namespace, &fault.service.value), false, &[&fault]).await?;
                    self.fault(&fault, false)?;
                }
                Action::End { service, keep } => {
                    let keep: Vec<&Fault> = keep.iter().collect();
                    changes::fault(client, (namespace, &service), true, &keep).await?;
                    let change = Change {
                        subject: service,
                        text: "fault ended".to_owned(),
                        ends: true,
                        command: None,
                    };
                    self.record(Kind::FaultChanged(change))?;
                }
                Action::Rate(factor) => {
                    let change = Change {
                        subject: "load".to_owned(),
                        text: if factor == 1.0 {
                            "rate as before".to_owned()
                        } else {
                            format!("{factor} times the rate")
                        },
                        ends: factor == 1.0,
                        command: None,
                    };
                    self.record(Kind::FaultChanged(change))?;
                }
            }
        }
        Ok(())
    }

    /// Records the counts each second, until the load has ended.
    async fn tick(
        &self,
        step: &Step,
        at: Instant,
        tally: &Tally,
        start: &counts::Start,
        mut ended: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let second = Duration::from_secs(1);
        let mut seconds = interval_at(at + second, second);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = seconds.tick() => {}
                _ = ended.wait_for(|ended| *ended) => break,
            }
            let since = if start.is_small() { start.since(self.ground, self.place).await.ok() } else { None };
            self.record(Kind::Tick(counted(step, at.elapsed(), tally, since)))?;
        }
        self.record(Kind::Tick(counted(step, at.elapsed(), tally, None)))
    }

    /// Waits until a time, or until the run is to end.
    async fn wait(&self, until: Instant) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = sleep_until(until) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    fn policy(&self, subject: String, text: &str, ends: bool) -> anyhow::Result<()> {
        self.record(Kind::PolicyChanged(Change { subject, text: text.to_owned(), ends, command: None }))
    }

    fn fault(&self, fault: &Fault, ends: bool) -> anyhow::Result<()> {
        let (subject, text) = (fault.service.value.clone(), fault.to_string());
        self.record(Kind::FaultChanged(Change { subject, text, ends, command: None }))
    }

    fn record(&self, kind: Kind) -> anyhow::Result<()> {
        self.recorder.record(self.begun.elapsed(), self.place.variant(), kind)?;
        Ok(())
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

fn counted(step: &Step, at: Duration, tally: &Tally, since: Option<Since>) -> Tick {
    let since = since.unwrap_or_default();
    let (latency_now, samples) = tally.take_now();
    Tick {
        step: step.name.value.clone(),
        at_ms: millis(at),
        load: tally.counts(at),
        latency_now,
        latency: tally.latencies().quantiles(),
        edges: since.edges,
        services: since.services,
        samples,
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
