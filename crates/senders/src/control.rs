//! Requests to one sender.

use anyhow::Context as _;
use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::Api;
use meshy_load::Report;
use meshy_load::protocol::{Progress, SenderPlan, Status};
use meshy_metrics::pod_request;
use serde::de::DeserializeOwned;

use crate::clock::{self, Offset};
use crate::pod::ADMIN_PORT;

/// How often clocks are compared.
const COMPARISONS: usize = 5;

/// A sender that can be controlled.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) pod: String,
}

impl Control {
    async fn send<T: DeserializeOwned>(&self, request: Request<Vec<u8>>) -> anyhow::Result<T> {
        let body = pod_request(&self.client, &self.namespace, &self.pod, ADMIN_PORT, request).await?;
        serde_json::from_str(&body).with_context(|| format!("sender `{}` sent an invalid response", self.pod))
    }

    /// Compares clocks.
    pub(crate) async fn offset(&self) -> anyhow::Result<Offset> {
        let mut best: Option<Offset> = None;
        for _ in 0..COMPARISONS {
            let before = clock::now();
            let status: Status = self.send(Request::get("/sender").body(Vec::new())?).await?;
            let offset = Offset::of(before, status.now_unix_micros, clock::now());
            best = Some(best.map_or(offset, |best| best.better(offset)));
        }
        best.context("clocks were not compared")
    }

    /// Gives the sender its plan.
    pub(crate) async fn plan(&self, plan: &SenderPlan) -> anyhow::Result<()> {
        let request = Request::put("/sender/plan").body(serde_json::to_vec(plan)?)?;
        self.send::<Status>(request).await.map(drop)
    }

    /// Stops the load.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        self.send::<Status>(Request::put("/sender/stop").body(Vec::new())?).await.map(drop)
    }

    /// Returns what was sent so far, without the seconds before `from`.
    pub(crate) async fn progress(&self, from: u32) -> anyhow::Result<Progress> {
        let path = format!("/sender/report?from={from}");
        let body = pod_request(
            &self.client,
            &self.namespace,
            &self.pod,
            ADMIN_PORT,
            Request::get(path).body(Vec::new())?,
        );
        let progress: Progress = serde_json::from_str(&body.await?)?;
        // Checks version and widths, which a derived reader does not.
        let report = Report::checked(progress.report)?;
        Ok(Progress { report, ..progress })
    }

    /// Returns why the sender cannot respond any more; none while its pod runs.
    pub(crate) async fn death(&self) -> anyhow::Result<Option<String>> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let Some(pod) = api.get_opt(&self.pod).await? else { return Ok(Some("its pod is gone".to_owned())) };
        if pod.metadata.deletion_timestamp.is_some() {
            return Ok(Some("its pod was deleted".to_owned()));
        }
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        let ended = statuses.into_iter().flatten().find(|status| status.name == "sender");
        let ended = ended.and_then(|status| status.state.as_ref()?.terminated.as_ref());
        if let Some(ended) = ended {
            let reason = ended.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            return Ok(Some(format!("its container exited with {}{reason}", ended.exit_code)));
        }
        let phase = pod.status.and_then(|status| status.phase).unwrap_or_default();
        Ok(matches!(phase.as_str(), "Failed" | "Succeeded").then(|| format!("its pod is in phase {phase}")))
    }
}
