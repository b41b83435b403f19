//! One measured step: the counters before, a load, the counters after.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use meshy_base::activity;
use meshy_experiment::event::{
    ByAttempts, Change, Counts, EdgeCounts, Kind, Prediction, StepEnded, StepStarted, Tick, Totals,
};
use meshy_experiment::interval::Interval;
use meshy_load::{self, Plan, Summary, Targets};
use meshy_metrics::routes::Service;
use meshy_predict::edge::EdgePrediction;
use tokio::sync::watch;

use super::faults::Faults;
use super::marks::Marks;
use super::{Mesh, Snapshot, Watched, snapshot};
use crate::original_demo::cases;
use crate::recording::Recording;
use crate::steps::Step;
use crate::tally::{DEADLINE, Part, Tally};

/// What a load counted that was sent in a step.
pub(crate) struct Counted {
    /// What was counted at the sender.
    pub totals: Totals,
    /// Whether the load ended before its time.
    pub interrupted: bool,
}

/// Sends a load from this machine, records it as a step, and compares the counts of the mesh before and after it. Where nothing
/// can be seen of the mesh, the sender's own numbers stand alone.
///
/// # Errors
/// The service is not there, or the API fails.
pub(crate) async fn step(
    recording: &Recording,
    (name, case): (&str, &str),
    mesh: Option<(&kube::Client, &Service)>,
    (targets, plan): (impl Into<Targets>, Plan),
    stop: watch::Receiver<bool>,
) -> anyhow::Result<Step> {
    let targets = targets.into();
    let servers: Vec<String> = targets.list().iter().map(|target| target.server.to_string()).collect();
    let part = Part { start: Duration::ZERO, length: plan.length, rate: plan.rate };
    let tally = Tally::of(&[part]);
    let send = async |each_second: &mut dyn FnMut(Tick)| {
        let what = format!("sending load to {}", servers.join(", "));
        let _sending = activity::begin(activity::Kind::Work, what);
        let counted = tally.clone();
        let observer: meshy_load::Observer =
            Arc::new(move |ended| counted.ended(&ended, Duration::ZERO, DEADLINE));
        let each = |tick: &meshy_load::Tick| {
            each_second(tally.tick(name, Duration::from_secs_f64(tick.at_seconds + tick.length_seconds)));
        };
        let traffic = meshy_load::run_observed(targets, plan, stop, each, Some(observer)).await?;
        let totals = tally.totals(Duration::from_secs_f64(traffic.length_seconds));
        Ok(Counted { totals, interrupted: traffic.interrupted })
    };
    step_by(recording, (name, case), mesh, (plan.rate, plan.length), send).await
}

/// As [`step`], for a load of `rate` that `send` sends for a time; it calls what it gets once a second.
///
/// # Errors
/// Those of [`step`], and those of `send`.
pub(crate) async fn step_by(
    recording: &Recording,
    (name, case): (&str, &str),
    mesh: Option<(&kube::Client, &Service)>,
    (rate, length): (f64, Duration),
    send: impl AsyncFnOnce(&mut dyn FnMut(Tick)) -> anyhow::Result<Counted>,
) -> anyhow::Result<Step> {
    let mut seen = match mesh {
        Some((client, service)) => Some(Seeing::begin(client, service).await?),
        None => None,
    };
    recording.record(Kind::StepStarted(StepStarted {
        step: name.to_owned(),
        target: Some(case.to_owned()),
        offered_per_second: rate,
        duration_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
        watched: mesh.map(|(_, service)| service.name.clone()),
        ..StepStarted::default()
    }));
    let before = seen.as_ref().map(|seen| &seen.before.watched);
    if let Some(prediction) = before.and_then(|before| before.predict((rate, length.as_secs_f64()))) {
        recording.record(Kind::Prediction(predicted(name, &prediction)));
    }
    let mut each_second = |tick: Tick| {
        recording.record(Kind::Tick(tick));
        seen.iter_mut().for_each(|seen| seen.changes(recording));
    };
    let Counted { mut totals, interrupted } = send(&mut each_second).await?;
    if let Some(mut seen) = seen {
        seen.changes(recording);
        seen.end(recording, case, rate, &mut totals).await?;
    }
    recording.record(Kind::StepEnded(StepEnded { step: name.to_owned(), totals, interrupted, why: None }));
    recording.step(name).context("the step was recorded")
}

/// Records what the clients of a service send by themselves as a step: the proxies count it, and no sender has latencies.
///
/// # Errors
/// The service is not there, or the API fails.
pub(crate) async fn observed(
    recording: &Recording,
    client: &kube::Client,
    (name, service): (&str, &Service),
    length: Duration,
) -> anyhow::Result<Step> {
    let before = snapshot(client, service).await?;
    recording.record(Kind::StepStarted(StepStarted {
        step: name.to_owned(),
        target: Some("clients".to_owned()),
        duration_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
        watched: Some(service.name.clone()),
        ..StepStarted::default()
    }));
    tokio::time::sleep(length).await;
    let (mesh, window) = before.until(&before.again().await?, None);
    recording.counted(&mesh, &window);
    let (requests, succeeded) = (mesh.clients.requests_count, mesh.clients.succeeded_count);
    let totals = Totals {
        duration_ms: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
        load: Counts { requests, succeeded, ..Counts::default() },
        edges: vec![clients(&mesh)],
        mesh: Some(Box::new(mesh)),
        ..Totals::default()
    };
    recording.record(Kind::StepEnded(StepEnded {
        step: name.to_owned(),
        totals,
        interrupted: false,
        why: None,
    }));
    recording.step(name).context("the step was recorded")
}

/// What is watched of the mesh while a load is sent.
struct Seeing {
    before: Snapshot,
    policies: Marks,
    faults: Option<Faults>,
    changes: usize,
}

impl Seeing {
    async fn begin(client: &kube::Client, service: &Service) -> anyhow::Result<Self> {
        let policies = Marks::of(client, service).await?;
        let before = snapshot(client, service).await?;
        let Watched { servers, fault, .. } = &before.watched;
        let faults = fault.as_ref().ok().map(|fault| Faults::of(client, servers, fault));
        Ok(Self { before, policies, faults, changes: 0 })
    }

    /// Records the changes of policies and faults since the last call. The text of a change names its subject.
    fn changes(&mut self, recording: &Recording) {
        let change = |text| Change { text, ..Change::default() };
        let policies = self.policies.take().into_iter().map(|text| Kind::PolicyChanged(change(text)));
        let faults = self.faults.as_mut().map(Faults::take).unwrap_or_default();
        let faults = faults.into_iter().map(|text| Kind::FaultChanged(change(text)));
        for event in policies.chain(faults) {
            self.changes += 1;
            recording.record(event);
        }
    }

    /// Adds what the mesh counted to the totals of the step.
    async fn end(
        self,
        recording: &Recording,
        case: &str,
        rate: f64,
        totals: &mut Totals,
    ) -> anyhow::Result<()> {
        if self.before.watched.is_replicated() {
            totals.attempts.clear();
        }
        let seconds = totals.duration_ms as f64 / 1000.0;
        let ended = totals.load.requests as f64 / seconds.max(1e-9);
        // Where the server or this machine cannot follow, fewer requests are under way than were planned.
        let rate = if (1e-9..0.99 * rate).contains(&ended) { ended } else { rate };
        let (mut mesh, window) = self.before.until(&self.before.again().await?, Some((rate, seconds)));
        mesh.outcomes.added_latency_ms = added_latency(&totals.attempts);
        // A prediction is for one policy and one fault.
        mesh.prediction = mesh.prediction.filter(|_| self.changes == 0);
        without_others(&mut mesh, case, totals);
        mesh.gaps.extend(self.policies.broken());
        totals.edges = vec![clients(&mesh)];
        recording.counted(&mesh, &window);
        totals.mesh = Some(Box::new(mesh));
        Ok(())
    }
}

/// The edge from all clients to the watched service.
fn clients(mesh: &Mesh) -> EdgeCounts {
    EdgeCounts {
        from: "clients".to_owned(),
        to: mesh.service.name.clone(),
        requests: mesh.clients.requests_count,
        succeeded: mesh.clients.succeeded_count,
        attempts: mesh.clients.attempts_count,
        attempts_succeeded: mesh.clients.attempts_succeeded_count,
        ..EdgeCounts::default()
    }
}

/// The prediction of a step as an event.
pub(crate) fn predicted(step: &str, prediction: &EdgePrediction) -> Prediction {
    let interval = |of: &meshy_predict::Interval| Interval { mean: of.mean, low: of.low, high: of.high };
    Prediction {
        step: step.to_owned(),
        success: Some(interval(&prediction.success_ratio)),
        amplification: Some(interval(&prediction.attempts_per_request)),
        class: None,
        text: Some(prediction.scenario.policy.words()),
    }
}

/// Notes requests of other senders, for which nothing was predicted. It is known for the cases in which each request that is sent
/// is one request to the service.
fn without_others(mesh: &mut Mesh, case: &str, totals: &Totals) {
    let (requests_count, outcomes_count) = (totals.load.requests, totals.results.clone());
    let sent = Summary { requests_count, outcomes_count, ..Summary::default() }.sent_count();
    let others = mesh.clients.requests_count.saturating_sub(sent);
    if !cases::names().any(|name| name == case) || others == 0 {
        return;
    }
    let word = if others == 1 { "request" } else { "requests" };
    mesh.prediction = None;
    mesh.unpredicted = Some(format!(
        "{others} {word} of other senders are included: the proxies counted {}, this load sent {sent}",
        mesh.clients.requests_count
    ));
}

/// The median of requests with more than one attempt, by their counts, beyond the median of first attempts.
pub(crate) fn added_latency(attempts: &ByAttempts) -> Option<f64> {
    let first = attempts.get(&1)?.p50_ms;
    let count: u64 = attempts.range(2..).map(|(_, counts)| counts.requests).sum();
    let weighted: f64 = attempts.range(2..).map(|(_, counts)| counts.requests as f64 * counts.p50_ms).sum();
    (count > 0).then(|| weighted / count as f64 - first)
}
