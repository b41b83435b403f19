//! A policy value over a range, measured: each point is set, proven in force, and given traffic.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::demo::{self, stage::Stage};
use crate::live::Live;
use crate::measure::{self, Step};
use crate::policy;
use crate::predict::{Interval, Policy, Scenario};
use crate::services::{self, FaultChange};
use crate::traffic::Plan;

/// How long proxies may take to hear of a changed value: on a real Linkerd a second or two (measured), in the stand-in
/// as long as a watch takes.
const HEARD: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(300));

/// What a point gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Measured {
    /// Requests that ended.
    pub requests_count: u64,
    /// What the user got, with what so many requests can tell.
    pub success_ratio: Interval,
    /// Tries for each request, as the clients' proxies count.
    pub tries_per_request: Option<f64>,
    /// Whether it lies in the predicted interval.
    pub within_prediction: bool,
}

impl Measured {
    /// What a measured step says.
    pub fn of(step: &Step) -> Self {
        let traffic = &step.traffic;
        let mesh = step.mesh.as_ref();
        let predicted = mesh.and_then(|mesh| mesh.prediction.as_ref());
        Self {
            requests_count: traffic.requests_count,
            success_ratio: Interval::of_share(traffic.succeeded_count, traffic.requests_count),
            tries_per_request: mesh
                .and_then(|mesh| mesh.fates.added_tries_per_request)
                .map(|added| added + 1.0),
            within_prediction: predicted
                .zip(traffic.success_ratio)
                .is_some_and(|(predicted, measured)| predicted.success_ratio.holds(measured)),
        }
    }
}

/// A stage on which policies are tried; it goes back to what it was with [`Bench::leave`].
pub struct Bench<'a> {
    stage: &'a Stage,
    policy: policy::Was,
    fault: services::Fault,
}

impl<'a> Bench<'a> {
    /// Remembers the policy and the fault as they are.
    ///
    /// # Errors
    /// The API's; the service is no test service.
    pub async fn enter(stage: &'a Stage) -> anyhow::Result<Self> {
        let service = demo::bounced();
        let pods = services::pods(&stage.client, &service.namespace, &service.name).await?;
        let fault = services::fault(&stage.client, &pods).await?;
        let policy = policy::remember(&stage.client, &service).await?;
        if !stage.at_once {
            demo::warm_up(stage).await?;
        }
        Ok(Self { stage, policy, fault })
    }

    /// Sets a scenario and sends its traffic.
    ///
    /// # Errors
    /// The API's; the policy does not come into force.
    pub async fn measure(
        &self,
        name: &str,
        scenario: &Scenario,
        stop: watch::Receiver<bool>,
        live: &Live,
    ) -> anyhow::Result<Step> {
        let (client, service) = (&self.stage.client, demo::bounced());
        let pods = services::pods(client, &service.namespace, &service.name).await?;
        let quota = (scenario.fail_ratio * 100.0).round() as u8;
        let fault =
            FaultChange { quota: Some(quota), reject: Some(true), sequence: Some(vec![]), seed: None };
        services::change_fault(client, &pods, &fault).await?;
        // Off between two points, so that each begins with a full budget.
        demo::switch(self.stage, false, false).await?;
        let limit = match scenario.policy {
            Policy::Limit { limit } => Some(limit),
            Policy::None | Policy::Budget { .. } => None,
        };
        policy::annotate_limit(client, &service, limit).await?;
        if let Policy::Budget { retry_ratio, min_retries_per_second, ttl_seconds } = scenario.policy {
            demo::switch(self.stage, true, false).await?;
            let budget = (retry_ratio, min_retries_per_second, ttl_seconds);
            policy::apply_budget(client, &service, budget).await?;
        }
        tokio::time::sleep(if self.stage.at_once { HEARD.1 } else { HEARD.0 }).await;
        let length = Duration::from_secs_f64(scenario.over_seconds);
        let plan = Plan { rate: scenario.requests_per_second, length, ..Plan::default() };
        let load = (demo::target(self.stage, false), plan);
        measure::step(name, "service", Some((client, &service)), load, stop, live).await
    }

    /// Puts back policy and fault.
    ///
    /// # Errors
    /// The API's.
    pub async fn leave(self) -> anyhow::Result<()> {
        let (client, service) = (&self.stage.client, demo::bounced());
        policy::restore(client, &service, self.policy).await?;
        let pods = services::pods(client, &service.namespace, &service.name).await?;
        let fault = FaultChange {
            quota: Some(self.fault.quota),
            reject: Some(self.fault.reject),
            sequence: Some(self.fault.sequence),
            seed: None,
        };
        services::change_fault(client, &pods, &fault).await?;
        Ok(())
    }
}
