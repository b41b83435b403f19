//! A policy value over a range, measured: each point is set, proven in force, and given traffic.

use std::time::Duration;

use meshy_linkerd::names;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::measure;
use crate::original_demo;
use crate::recording::Recording;
use crate::run_cluster::RunCluster;
use crate::steps::Step;
use meshy_load::Plan;
use meshy_policy::policy::{self, Evidence, PolicyChange, Session};
use meshy_policy::test_service::FaultChange;
use meshy_predict::Interval;
use meshy_predict::edge::{EdgeLoad, Policy};

/// What a point gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Measured {
    /// Requests that ended.
    pub requests_count: u64,
    /// The measured share of requests that succeeded, with its interval of three standard deviations.
    pub success_ratio: Interval,
    /// Attempts for each request, as the clients' proxies count.
    pub attempts_per_request: Option<f64>,
    /// Whether the measured success lies in the predicted interval.
    pub within_prediction: bool,
}

impl Measured {
    /// The result of a measured step.
    pub(crate) fn of(step: &Step) -> Self {
        let traffic = &step.traffic;
        let mesh = step.mesh.as_ref();
        let predicted = mesh.and_then(|mesh| mesh.prediction.as_ref());
        Self {
            requests_count: traffic.requests_count,
            success_ratio: Interval::of_share(traffic.succeeded_count, traffic.requests_count),
            attempts_per_request: mesh
                .and_then(|mesh| mesh.outcomes.added_attempts_per_request)
                .map(|added| added + 1.0),
            within_prediction: predicted
                .zip(traffic.success_ratio)
                .is_some_and(|(predicted, measured)| predicted.success_ratio.holds(measured)),
        }
    }
}

/// A cluster on which policies are tried; the session restores it.
pub(crate) struct Bench<'a> {
    run_cluster: &'a RunCluster,
    session: &'a mut Session,
    deadline: Instant,
}

impl<'a> Bench<'a> {
    /// Removes the retries of the service, as each point begins without any.
    ///
    /// # Errors
    /// The API's; another field manager holds the policies; the service does not run the test service.
    pub(crate) async fn enter(
        run_cluster: &'a RunCluster,
        session: &'a mut Session,
        points: &[EdgeLoad],
        deadline: Instant,
    ) -> anyhow::Result<Self> {
        let changes: Vec<PolicyChange> = points
            .iter()
            .filter_map(|scenario| change(scenario.policy).transpose())
            .collect::<Result<_, _>>()?;
        session.hold(&changes).await?;
        session.without_retries(&original_demo::bounced()).await?;
        let mut bench = Self { run_cluster, session, deadline };
        bench.fails(0).await?;
        if !bench.run_cluster.at_once {
            original_demo::warm_up(bench.run_cluster, bench.session, deadline).await?;
        }
        Ok(bench)
    }

    /// Sets a scenario: the policy of the point before is gone and this one is in use.
    ///
    /// # Errors
    /// The API's; the client's proxy does not use the policy in time.
    pub(crate) async fn set(&mut self, scenario: &EdgeLoad) -> anyhow::Result<()> {
        // While every attempt fails, one request shows whether there are retries.
        self.fails(100).await?;
        self.session.without_retries(&original_demo::bounced()).await?;
        self.in_use(&Evidence::NoRetries).await?;
        if let Some(change) = change(scenario.policy)? {
            // A budget must not be spent on probes; its profile was absent, so its routes are evidence enough.
            let budget = matches!(scenario.policy, Policy::Budget { .. });
            if budget {
                self.fails(0).await?;
            }
            self.session.apply(&change).await?;
            self.in_use(if budget { &Evidence::ProfileRoutes } else { &Evidence::Retries }).await?;
        }
        self.fails((scenario.fail_ratio * 100.0).round() as u8).await
    }

    /// Sends the traffic of a scenario that is set.
    ///
    /// # Errors
    /// The API's.
    pub(crate) async fn measure(
        &self,
        recording: &Recording,
        name: &str,
        scenario: &EdgeLoad,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Step> {
        let length = Duration::from_secs_f64(scenario.over_seconds);
        let plan = Plan { rate: scenario.requests_per_second, length, ..Plan::default() };
        let load = (original_demo::target(self.run_cluster)?, plan);
        let service = original_demo::bounced();
        measure::step(
            recording,
            (name, original_demo::cases::DEFAULT),
            Some((&self.run_cluster.client, &service)),
            load,
            stop,
        )
        .await
    }

    async fn fails(&mut self, quota: u8) -> anyhow::Result<()> {
        let change = FaultChange {
            quota: Some(quota),
            reject: Some(true),
            sequence: Some(Vec::new()),
            ..FaultChange::default()
        };
        self.session.fault(&original_demo::bounced(), None, &change).await
    }

    async fn in_use(&self, evidence: &Evidence) -> anyhow::Result<()> {
        original_demo::in_use(self.run_cluster, self.session, evidence, self.deadline).await
    }
}

/// The change that leads from no retries to a policy; none for no retries.
fn change(policy: Policy) -> anyhow::Result<Option<PolicyChange>> {
    Ok(match policy {
        // A limit of 0 in the annotation would count as unset, which means 1.
        Policy::None | Policy::Limit { limit: 0 } => None,
        Policy::Limit { limit } => {
            let annotations =
                [(names::RETRY_HTTP, "5xx".to_owned()), (names::RETRY_LIMIT, limit.to_string())];
            let annotations = annotations.map(|(key, value)| (key.to_owned(), value)).into();
            Some(PolicyChange::retries(&original_demo::bounced(), &annotations))
        }
        Policy::Budget { retry_ratio, min_retries_per_second, ttl_seconds } => {
            let profile = policy::shipped_with_budget(retry_ratio, min_retries_per_second, ttl_seconds)?;
            Some(PolicyChange::profile(profile))
        }
    })
}
