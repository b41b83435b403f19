//! The senders of one run.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, PostParams};
use meshy_base::error::Advise as _;
use meshy_kube::{Kinds, Object, wait};
use meshy_load::protocol::SenderPlan;
use meshy_load::{Report, Share, Tick};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock;
use crate::control::Control;
use crate::planned::{Load, Planned};
use crate::pod::{self, Placement};
use crate::progress::Known;
use crate::sent::Sent;

/// The time from the last plan to the agreed start, at least.
const LEAD: Duration = Duration::from_millis(500);

/// Senders that are ready.
pub struct Fleet {
    run: String,
    senders: Vec<(Control, String)>,
}

impl Fleet {
    /// Creates the pods of senders and waits until all are ready. `run` is a part of their names: lower-case letters and digits.
    /// A `true` in `stop` ends the wait; the pods are deleted and nothing is returned.
    ///
    /// # Errors
    /// Returns an error if a pod cannot be created, cannot become ready (as with an image that no registry has), or is not ready
    /// in time; the pods are deleted then.
    pub async fn start(
        client: &Client,
        placement: &Placement,
        run: &str,
        deadline: Instant,
        mut stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Option<Self>> {
        let control = |index| Control {
            client: client.clone(),
            namespace: placement.namespace.clone(),
            pod: pod::name(run, index),
        };
        let senders = (0..placement.count).map(|index| (control(index), String::new())).collect();
        let mut fleet = Self { run: run.to_owned(), senders };
        let created = tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop) => None,
            created = fleet.create(client, placement, deadline) => Some(created),
        };
        match created {
            Some(Ok(())) => Ok(Some(fleet)),
            None => {
                fleet.end().await?;
                Ok(None)
            }
            Some(Err(error)) => {
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
    /// As [`Fleet::plan`].
    pub async fn send(
        &self,
        load: &Load,
        stop: watch::Receiver<bool>,
        each_second: impl FnMut(&Tick, &Report),
    ) -> anyhow::Result<Sent> {
        Ok(self.plan(load).await?.follow(stop, each_second).await)
    }

    /// Compares the clocks and gives each sender its interleaved share of a load with the agreed start, which is half a second
    /// or more ahead.
    ///
    /// # Errors
    /// Returns an error if a sender cannot be controlled.
    pub async fn plan(&self, load: &Load) -> anyhow::Result<Planned> {
        let offsets = self.senders.iter().map(|(control, _)| async move {
            control.offset().await.with_context(|| format!("cannot reach sender `{}`", control.pod))
        });
        let offsets = futures::future::try_join_all(offsets).await?;
        let clock_error = offsets.iter().map(|offset| offset.error).max().unwrap_or_default();
        let lead = LEAD + clock_error * 8;
        let start = clock::now() + u64::try_from(lead.as_micros()).unwrap_or(0);
        let begins = Instant::now() + lead;
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
        let known = known.into_iter().map(|(one, _)| one).collect();
        Ok(Planned { known, load: load.clone(), start, begins, length, clock_error })
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
