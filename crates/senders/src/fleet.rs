//! The senders of one run.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, PostParams};
use meshy_base::error::Advise as _;
use meshy_kube::{Kinds, Object, wait};
use meshy_load::protocol::{Part, SenderPlan};
use meshy_load::{Report, Share, TargetSpec, Tick};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock;
use crate::control::Control;
use crate::pod::{self, Placement};
use crate::progress::{Known, follow};
use crate::sent::{Sender, Sent};

/// The time from the last plan to the agreed start, at least.
const LEAD: Duration = Duration::from_millis(500);

/// The time after the last request is due in which senders must end, besides the times that requests may take.
const MARGIN: Duration = Duration::from_secs(30);

/// A load of all senders together.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where requests are sent.
    pub targets: Vec<TargetSpec>,
    /// The parts of the load.
    pub parts: Vec<Part>,
    /// The most connections of each sender to each target.
    pub connections: u16,
    /// How long a request may take.
    pub timeout: Duration,
}

/// Senders that are ready.
pub struct Fleet {
    run: String,
    senders: Vec<(Control, String)>,
}

impl Fleet {
    /// Creates the pods of senders and waits until all are ready. `run` is a part of their names: lower-case letters and digits.
    ///
    /// # Errors
    /// Returns an error if a pod cannot be created, cannot become ready (as with an image that no registry has), or is not ready
    /// in time; the pods are deleted then.
    pub async fn start(
        client: &Client,
        placement: &Placement,
        run: &str,
        deadline: Instant,
    ) -> anyhow::Result<Self> {
        let control = |index| Control {
            client: client.clone(),
            namespace: placement.namespace.clone(),
            pod: pod::name(run, index),
        };
        let senders = (0..placement.count).map(|index| (control(index), String::new())).collect();
        let mut fleet = Self { run: run.to_owned(), senders };
        match fleet.create(client, placement, deadline).await {
            Ok(()) => Ok(fleet),
            Err(error) => {
                // The first error counts.
                let _ = fleet.end().await;
                Err(error.context("the senders did not start"))
            }
        }
    }

    async fn create(
        &mut self,
        client: &Client,
        placement: &Placement,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        let api: Api<Pod> = Api::namespaced(client.clone(), &placement.namespace);
        let run = self.run.clone();
        let created = (0..placement.count).map(|index| {
            let (api, run) = (api.clone(), &run);
            async move {
                let pod: Object = serde_json::from_value(pod::manifest(placement, run, index))?;
                let created = api.create(&PostParams::default(), &pod.clone().try_parse()?).await;
                created.with_context(|| format!("cannot create pod `{}`", pod::name(run, index)))?;
                anyhow::Ok(pod)
            }
        });
        let pods = futures::future::try_join_all(created).await?;
        // Ends early where waiting does not help, such as for an image that no registry has.
        wait::ready(&Kinds::new(client.clone()), &pods, deadline, None).await?;
        for (control, node) in &mut self.senders {
            let pod =
                api.get(&control.pod).await.with_context(|| format!("cannot read pod `{}`", control.pod))?;
            *node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
        }
        Ok(())
    }

    /// Sends a load, each sender its interleaved share from one agreed instant on, and merges the reports. `each_second` receives
    /// what happened in about a second. A `true` in `stop` ends the load early; what was counted is kept.
    ///
    /// # Errors
    /// Returns an error if a sender cannot be controlled before the start.
    pub async fn send(
        &self,
        load: &Load,
        stop: watch::Receiver<bool>,
        mut each_second: impl FnMut(&Tick, &Report),
    ) -> anyhow::Result<Sent> {
        let offsets = self.senders.iter().map(|(control, _)| async move {
            control.offset().await.with_context(|| format!("cannot reach sender `{}`", control.pod))
        });
        let offsets = futures::future::try_join_all(offsets).await?;
        let clock_error = offsets.iter().map(|offset| offset.error).max().unwrap_or_default();
        let lead = LEAD + clock_error * 8;
        let start = clock::now() + u64::try_from(lead.as_micros()).unwrap_or(0);
        let began = Instant::now() + lead;
        let of = u32::try_from(self.senders.len())?;
        let mut known = Vec::new();
        for (index, ((control, node), offset)) in (0..).zip(self.senders.iter().zip(offsets)) {
            let plan = SenderPlan {
                run: self.run.clone(),
                start_unix_micros: offset.to_theirs(start),
                share: Share { index, of },
                parts: load.parts.clone(),
                connections: load.connections,
                timeout_ms: u64::try_from(load.timeout.as_millis()).unwrap_or(u64::MAX),
                targets: load.targets.clone(),
            };
            let one = Known {
                control: control.clone(),
                node: node.clone(),
                offset,
                scheduled: plan.own_requests(),
                report: Report::default(),
                started: None,
                interrupted: false,
                ended: false,
                lost: None,
                silent: None,
            };
            known.push((one, plan));
        }
        let plans = known.iter().map(|(one, plan)| async move {
            one.control
                .plan(plan)
                .await
                .with_context(|| format!("sender `{}` refused its plan", one.control.pod))
        });
        futures::future::try_join_all(plans).await?;
        let length = known.first().map(|(_, plan)| plan.length()).unwrap_or_default();
        let mut known: Vec<Known> = known.into_iter().map(|(one, _)| one).collect();
        let mut view = View::default();
        follow(&mut known, began + length + load.timeout * 2 + MARGIN, stop, |known| {
            let merged = merged(known);
            each_second(&view.tick(&merged, began.elapsed()), &merged);
        })
        .await;
        Ok(sent(&known, load, (start, began.elapsed(), length), clock_error))
    }

    /// Deletes the pods of the senders.
    ///
    /// # Errors
    /// Returns an error if a pod cannot be deleted.
    pub async fn end(&self) -> anyhow::Result<()> {
        let each = self
            .senders
            .iter()
            .map(|(control, _)| pod::delete(&control.client, &control.namespace, &control.pod));
        let deleted: anyhow::Result<Vec<()>> = futures::future::join_all(each).await.into_iter().collect();
        deleted.map(drop).hint("`meshy traffic --cleanup` deletes senders that were left behind")
    }
}

fn merged(known: &[Known]) -> Report {
    let mut all = Report::default();
    known.iter().for_each(|one| all.merge(&one.report));
    all
}

fn sent(
    known: &[Known],
    load: &Load,
    (start, elapsed, length): (u64, Duration, Duration),
    clock_error: Duration,
) -> Sent {
    let starts = known.iter().filter_map(|one| one.started);
    let (first, last) = (starts.clone().min(), starts.clone().max());
    let skew = first.zip(last).map(|(first, last)| Duration::from_micros(last - first));
    let interrupted = known.iter().any(|one| one.interrupted);
    let sender = |one: &Known| Sender {
        pod: one.control.pod.clone(),
        node: one.node.clone(),
        scheduled_count: one.scheduled,
        requests_count: one.report.requests(),
        started_ms: one.started.map(|at| at as f64 / 1000.0 - start as f64 / 1000.0),
        lost: one.lost.clone(),
    };
    // The reports are read once a second: the end is known no better, so the length of the plan counts.
    let length = if interrupted { elapsed.min(length) } else { length };
    let requests: f64 = load.parts.iter().map(|part| part.rate * part.duration_ms as f64 / 1000.0).sum();
    Sent {
        report: merged(known),
        reports: known.iter().map(|one| one.report.clone()).collect(),
        senders: known.iter().map(sender).collect(),
        rate: requests / load.parts.iter().map(end).max().map_or(1.0, |end| end.as_secs_f64().max(1e-9)),
        length,
        interrupted,
        start_skew: skew.filter(|_| starts.count() > 1),
        clock_error,
    }
}

fn end(part: &Part) -> Duration {
    Duration::from_millis(part.after_ms + part.duration_ms)
}

/// What the live view has shown so far.
#[derive(Default)]
struct View {
    at: f64,
    requests: u64,
    succeeded: u64,
}

impl View {
    /// Returns what happened since the last time; its latencies are those of the last second that is known.
    fn tick(&mut self, report: &Report, elapsed: Duration) -> Tick {
        let at = elapsed.as_secs_f64();
        let (requests, succeeded) = (report.requests(), report.succeeded());
        let last = report.seconds().last_key_value().map(|(_, second)| second.latencies());
        let tick = Tick {
            at_seconds: self.at,
            length_seconds: at - self.at,
            requests_count: requests.saturating_sub(self.requests),
            succeeded_count: succeeded.saturating_sub(self.succeeded),
            latency: last.map(|latencies| latencies.percentiles()).unwrap_or_default(),
        };
        *self = Self { at, requests, succeeded };
        tick
    }
}
