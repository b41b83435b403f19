//! One measurement: the counters before, traffic, the counters after.

pub mod marks;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
pub use meshy_experiment::event::Mesh;
use meshy_experiment::event::{ByAttempts, Change, EdgeCounts, Kind, Prediction, StepEnded, StepStarted};
use meshy_experiment::interval::Interval;
use meshy_kube::failure;
use tokio::sync::watch;

use crate::recording::Recording;
use crate::tally::{DEADLINE, Part, Tally};
use meshy_base::error;
use meshy_load::{self, Plan, Target};
use meshy_metrics::routes::{Dialect, RouteCounts, Service, client_view, server_view};
use meshy_metrics::{self, Outcomes, Pod, PodWindow, Sight, Window, scrape::POD_DEADLINE, sight};
use meshy_policy::services::{self, NotTestService, Seen};
use meshy_policy::test_service;
use meshy_predict::edge::{EdgeLoad, EdgePrediction, Policy, predict_edge};

use crate::steps::Step;
use marks::Marks;

/// The counts of a service and of all proxies at a moment, to be compared with those of a later one.
pub struct Before {
    watched: Watched,
    sight: Sight,
}

/// The policy, the faults and the own counts of a service at a moment.
pub struct Watched {
    client: kube::Client,
    service: Service,
    servers: Vec<Pod>,
    /// None for an application that is not the test service.
    seen: Result<Option<Seen>, String>,
    policy: Policy,
    fail_ratio: Result<f64, String>,
    /// Failures of a share come in shuffled blocks.
    blocks: bool,
}

/// Scrapes all proxies, and reads the service's own counts where it has some.
///
/// # Errors
/// The service is not there, or the API fails.
pub async fn before(client: &kube::Client, service: &Service) -> anyhow::Result<Before> {
    let watched = Watched::of(client, service).await?;
    let pods = meshy_metrics::pods::list(client, None).await?;
    Ok(Before { watched, sight: sight(client, pods, POD_DEADLINE).await })
}

impl Before {
    /// Whether any pod has a proxy.
    pub fn meshed(&self) -> bool {
        !self.sight.pods.is_empty()
    }

    /// The difference to now; `sent` is the rate and the time in seconds of the load, to predict it.
    ///
    /// # Errors
    /// The API fails.
    pub async fn after(self, sent: Option<(f64, f64)>) -> anyhow::Result<Mesh> {
        let pods = meshy_metrics::pods::list(&self.watched.client, None).await?;
        let after = sight(&self.watched.client, pods, POD_DEADLINE).await;
        Ok(self.watched.since((&self.sight, &after), sent).await)
    }
}

impl Watched {
    /// Reads the policy, the faults and the own counts of a service.
    ///
    /// # Errors
    /// The service is not there, or the API fails.
    pub async fn of(client: &kube::Client, service: &Service) -> anyhow::Result<Self> {
        let servers = services::pods(client, &service.namespace, &service.name).await?;
        let policy = meshy_policy::policy::of(client, service).await?;
        let seen = known(services::seen(client, &servers).await);
        let fault = test_service::fault(client, &servers).await;
        let blocks = fault.as_ref().is_ok_and(|fault| fault.blocks);
        let fail_ratio = fault.map(|fault| fault.ratio()).map_err(|error| failure::plain(&error));
        Ok(Self {
            client: client.clone(),
            service: service.clone(),
            servers,
            seen,
            policy,
            fail_ratio,
            blocks,
        })
    }

    /// Predicts a load of so many requests per second over so many seconds, from one client; `None` where the share of
    /// failures is not known.
    pub fn predict(&self, (rate, seconds): (f64, f64)) -> Option<EdgePrediction> {
        self.predicted((rate, seconds), 1)
    }

    fn predicted(&self, (rate, seconds): (f64, f64), clients: u32) -> Option<EdgePrediction> {
        let (fail_ratio, policy) = (*self.fail_ratio.as_ref().ok()?, self.policy);
        let (requests_per_second, over_seconds, blocks) = (rate, seconds, self.blocks);
        Some(predict_edge(
            EdgeLoad { fail_ratio, requests_per_second, over_seconds, clients, policy, blocks },
            1,
        ))
    }

    /// Returns what was counted between two scrapes, the first of which was made with this; `sent` as for [`Before::after`].
    pub async fn since(self, (then, now): (&Sight, &Sight), sent: Option<(f64, f64)>) -> Mesh {
        let seen = match &self.seen {
            Ok(Some(_)) => known(services::seen(&self.client, &self.servers).await),
            Ok(None) => Ok(None),
            Err(why) => Err(why.clone()),
        };
        let mut window = Window::between(then, now);
        let served = match (&self.seen, seen) {
            (Ok(Some(before)), Ok(Some(after))) => after.since(before),
            (_, Err(why)) => {
                window.gaps.push(format!("what service `{}` counted itself: {why}", self.service.name));
                None
            }
            _ => None,
        };
        let routes = client_view(window.pods.iter().map(|pod| &pod.change), &self.service);
        let own = |pod: &&PodWindow| self.servers.iter().any(|server| server.name == pod.pod.name);
        let own: Vec<_> = window.pods.iter().filter(own).map(|pod| &pod.change).collect();
        let clients = window.pods.iter().filter(|pod| talks(pod, &self.service)).count().max(1);
        let prediction =
            sent.and_then(|sent| self.predicted(sent, u32::try_from(clients).unwrap_or(u32::MAX)));
        let (fail_ratio, unpredicted) = match self.fail_ratio {
            Ok(ratio) => (Some(ratio), None),
            Err(why) => (None, Some(why)),
        };
        Mesh {
            policy: self.policy,
            fail_ratio,
            clients: total(routes.values()),
            servers: total(server_view(own).values()),
            outcomes: Outcomes::of(&routes, served.as_ref()),
            prediction,
            unpredicted,
            gaps: window.gaps,
            service: self.service,
        }
    }

    /// Whether several replicas each know a part of a request's attempts only.
    pub fn is_replicated(&self) -> bool {
        self.servers.len() > 1
    }
}

/// None where the application is not the test service, which alone has such counts; else why they are not known.
fn known(seen: anyhow::Result<Seen>) -> Result<Option<Seen>, String> {
    match seen {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if error::cause::<NotTestService>(&error).is_some() => Ok(None),
        Err(error) => Err(failure::plain(&error)),
    }
}

fn talks(pod: &PodWindow, service: &Service) -> bool {
    !client_view([&pod.change], service).is_empty()
}

fn total<'a>(routes: impl Iterator<Item = &'a RouteCounts>) -> RouteCounts {
    let mut total = RouteCounts::default();
    for route in routes {
        total.add(route);
        if route.dialect == Dialect::Policy {
            total.dialect = Dialect::Policy;
        }
    }
    total
}

/// Sends a load, records it as a step, and compares the counts of the mesh before and after it. Where nothing can be seen of
/// the mesh, the sender's own numbers stand alone.
///
/// # Errors
/// The service is not there, or the API fails.
pub async fn step(
    recording: &Recording,
    (name, case): (&str, &str),
    mesh: Option<(&kube::Client, &Service)>,
    (target, plan): (Target, Plan),
    stop: watch::Receiver<bool>,
) -> anyhow::Result<Step> {
    let mut watched = None;
    let mut before = None;
    if let Some((client, service)) = mesh {
        watched = Some(Marks::of(client, service).await?);
        before = Some(self::before(client, service).await?);
    }
    let prediction =
        before.as_ref().and_then(|before| before.watched.predict((plan.rate, plan.length.as_secs_f64())));
    recording.record(Kind::StepStarted(StepStarted {
        step: name.to_owned(),
        target: Some(case.to_owned()),
        offered_per_second: plan.rate,
        duration_ms: u64::try_from(plan.length.as_millis()).unwrap_or(u64::MAX),
        watched: mesh.map(|(_, service)| service.name.clone()),
        ..StepStarted::default()
    }));
    if let Some(prediction) = prediction {
        recording.record(Kind::Prediction(predicted(name, &prediction)));
    }
    let part = Part { start: Duration::ZERO, length: plan.length, rate: plan.rate };
    let tally = Tally::of(&[part]);
    let mut changes = 0;
    let mut see = |watched: &mut Option<Marks>| {
        for mark in watched.as_mut().map(Marks::take).unwrap_or_default() {
            changes += 1;
            // The text says which policy it is.
            recording.record(Kind::PolicyChanged(Change { text: mark, ..Change::default() }));
        }
    };
    let each_second = |tick: &meshy_load::Tick| {
        let at = Duration::from_secs_f64(tick.at_seconds + tick.length_seconds);
        recording.record(Kind::Tick(tally.tick(name, at)));
        see(&mut watched);
    };
    let counted = tally.clone();
    let observer: meshy_load::Observer =
        Arc::new(move |ended| counted.ended(&ended, Duration::ZERO, DEADLINE));
    let traffic = meshy_load::run_observed(target, plan, stop, each_second, Some(observer)).await;
    see(&mut watched);
    let mut totals = tally.totals(Duration::from_secs_f64(traffic.length_seconds));
    if let Some(before) = before {
        if before.watched.is_replicated() {
            totals.attempts.clear();
        }
        // Where the server or this machine cannot follow, fewer requests are under way than were planned.
        let fell_behind = (1e-9..0.99 * plan.rate).contains(&traffic.requests_per_second);
        let rate = if fell_behind { traffic.requests_per_second } else { plan.rate };
        let mut mesh = before.after(Some((rate, traffic.length_seconds))).await?;
        mesh.outcomes.added_latency_ms = added_latency(&totals.attempts);
        // A prediction is for one policy.
        mesh.prediction = mesh.prediction.filter(|_| changes == 0);
        mesh.gaps.extend(watched.iter().flat_map(Marks::broken));
        totals.edges = vec![EdgeCounts {
            from: "clients".to_owned(),
            to: mesh.service.name.clone(),
            requests: mesh.clients.requests_count,
            succeeded: mesh.clients.succeeded_count,
            attempts: mesh.clients.attempts_count,
            attempts_succeeded: mesh.clients.attempts_succeeded_count,
            ..EdgeCounts::default()
        }];
        totals.mesh = Some(Box::new(mesh));
    }
    recording.record(Kind::StepEnded(StepEnded {
        step: name.to_owned(),
        totals,
        interrupted: traffic.interrupted,
        why: None,
    }));
    recording.step(name).context("the step was recorded")
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

/// The median of requests with more than one attempt, by their counts, beyond the median of first attempts.
pub(crate) fn added_latency(attempts: &ByAttempts) -> Option<f64> {
    let first = attempts.get(&1)?.p50_ms;
    let count: u64 = attempts.range(2..).map(|(_, counts)| counts.requests).sum();
    let weighted: f64 = attempts.range(2..).map(|(_, counts)| counts.requests as f64 * counts.p50_ms).sum();
    (count > 0).then(|| weighted / count as f64 - first)
}

#[cfg(test)]
mod tests {
    use kube::api::{Api, Patch, PatchParams, PostParams};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_measurement_without_a_prediction_keeps_the_reason() {
        // No node: the pod is said to run, and nothing can reach its ports.
        let server = meshy_apiserver::Server::new(meshy_apiserver::Options::default());
        let client = kube::Client::new(server.service(), "default");
        let services: Api<k8s_openapi::api::core::v1::Service> = Api::default_namespaced(client.clone());
        let service = json!({"metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
        services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::default_namespaced(client.clone());
        let pod = json!({"metadata": {"name": "web-1", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let runs = Patch::Merge(json!({"status": {"phase": "Running"}}));
        pods.patch_status("web-1", &PatchParams::default(), &runs).await.unwrap();

        let service = Service { namespace: "default".to_owned(), name: "web".to_owned() };
        let mesh = before(&client, &service).await.unwrap().after(Some((4.0, 1.0))).await.unwrap();
        assert_eq!((mesh.fail_ratio, mesh.prediction), (None, None));
        let why = mesh.unpredicted.expect("a reason");
        assert!(why.contains("cannot reach the admin port of pod `web-1`"), "{why}");
        assert!(
            mesh.gaps.iter().any(|gap| gap.starts_with("what service `web` counted itself: ")),
            "{:?}",
            mesh.gaps
        );
    }

    #[test]
    fn only_an_application_of_others_has_no_counts_without_a_reason() {
        let not_ours = NotTestService { pod: "web-1".to_owned(), why: "status 404".to_owned() };
        assert_eq!(known(Err(not_ours.into())), Ok(None));
        assert_eq!(known(Err(anyhow::anyhow!("forbidden"))), Err("forbidden".to_owned()));
    }
}
