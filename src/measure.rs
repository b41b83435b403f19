//! What the mesh counts about one service between two moments. `load`: a load with the counters before and after it.

mod faults;
mod load;
pub(crate) mod marks;

pub(crate) use load::{Counted, observed, step, step_by};
pub(crate) use load::{added_latency, predicted};
use meshy_base::error;
pub(crate) use meshy_experiment::event::Mesh;
use meshy_kube::failure::SharedError;
use meshy_metrics::edges::{Edge, edges};
use meshy_metrics::routes::{Dialect, RouteCounts, Service, client_view, server_view};
use meshy_metrics::{Outcomes, Pod, PodWindow, Scrapes, Window, callers};
use meshy_policy::services::{self, NoPods, NotTestService, ServiceIds};
use meshy_policy::test_service::{self, Fault};
use meshy_predict::edge::{EdgeLoad, EdgePrediction, Policy, predict_edge};

/// The policy, the faults and the own counts of a service at a moment.
#[derive(Clone)]
pub(crate) struct Watched {
    client: kube::Client,
    service: Service,
    servers: Vec<Pod>,
    /// None for an application that is not the test service.
    seen: Result<Option<ServiceIds>, SharedError>,
    policy: Policy,
    fault: Result<Fault, SharedError>,
    /// Whether the next attempt starts a block of failures; otherwise it may be anywhere in one.
    starts_block: bool,
}

/// The mesh at one moment, as far as one service is concerned. Two of them make a [`Mesh`].
#[derive(Clone)]
pub(crate) struct Snapshot {
    watched: Watched,
    scrapes: Scrapes,
}

/// Reads all proxies, and the service's own counts where it has some.
///
/// # Errors
/// The service is not there, or the API fails.
pub(crate) async fn snapshot(client: &kube::Client, service: &Service) -> anyhow::Result<Snapshot> {
    let watched = Watched::of(client, service).await?;
    let scrapes = callers::candidates(client).await?;
    Ok(Snapshot { watched, scrapes })
}

impl Snapshot {
    /// Whether any pod has a proxy.
    pub(crate) fn meshed(&self) -> bool {
        !self.scrapes.pods.is_empty()
    }

    /// Returns the service.
    pub(crate) fn service(&self) -> &Service {
        &self.watched.service
    }

    /// Returns all pods that were scraped.
    pub(crate) fn pods(&self) -> Vec<Pod> {
        self.scrapes.pods.iter().map(|scraped| scraped.pod.clone()).collect()
    }

    /// Returns the same service and policy now. Proxies that neither called the service nor belong to its namespace are not
    /// scraped again.
    ///
    /// # Errors
    /// The API fails.
    pub(crate) async fn again(&self) -> anyhow::Result<Self> {
        let watched = self.watched.again().await;
        let scrapes = callers::again(&watched.client, &self.scrapes, self.service()).await?;
        Ok(Self { watched, scrapes })
    }

    /// Returns what would have been read before the proxies and the service started: everything is counted from zero.
    #[must_use]
    pub(crate) fn at_start(&self) -> Self {
        let scrapes = Scrapes { at: self.scrapes.at, pods: Vec::new() };
        let seen = self.watched.seen.clone().map(|seen| seen.map(|seen| seen.nothing()));
        Self { scrapes, watched: Watched { seen, ..self.watched.clone() } }
    }

    /// Returns the difference to a later snapshot, and the window that it was counted in; `sent` is the rate and the time in
    /// seconds of the load, to predict it. A fault that changed meanwhile cannot be the base of a prediction.
    pub(crate) fn until(&self, now: &Self, sent: Option<(f64, f64)>) -> (Mesh, Window) {
        let mut window = callers::between(&self.scrapes, &now.scrapes, self.service());
        let mesh = self.watched.until(&now.watched, &mut window, sent);
        (mesh, window)
    }
}

impl Watched {
    /// Reads the policy, the faults and the own counts of a service. Without a running pod only its clients' proxies count.
    ///
    /// # Errors
    /// The service is not there, or the API fails.
    pub(crate) async fn of(client: &kube::Client, service: &Service) -> anyhow::Result<Self> {
        let servers = match services::pods(client, &service.namespace, &service.name).await {
            Err(error) if error::cause::<NoPods>(&error).is_some() => Err(SharedError::from(error)),
            servers => Ok(servers?),
        };
        let policy = meshy_policy::policy::of(client, service).await?;
        let (seen, fault, servers) = match servers {
            Err(why) => (Err(why.clone()), Err(why), Vec::new()),
            Ok(servers) => {
                let seen = known(services::seen(client, &servers).await);
                let fault = test_service::fault(client, &servers).await.map_err(SharedError::from);
                (seen, fault, servers)
            }
        };
        let (client, service) = (client.clone(), service.clone());
        Ok(Self { client, service, servers, seen, policy, fault, starts_block: false })
    }

    /// Returns the same where blocks of failures have just been started again: the block of the only pod is then known.
    #[must_use]
    pub(crate) fn at_new_block(self) -> Self {
        Self { starts_block: self.servers.len() == 1, ..self }
    }

    /// Returns the faults and the own counts of the same pods now.
    async fn again(&self) -> Self {
        if self.servers.is_empty() {
            return self.clone();
        }
        let seen = match &self.seen {
            Ok(Some(_)) => known(services::seen(&self.client, &self.servers).await),
            Ok(None) => Ok(None),
            Err(why) => Err(why.clone()),
        };
        let fault = test_service::fault(&self.client, &self.servers).await;
        Self { seen, fault: fault.map_err(SharedError::from), ..self.clone() }
    }

    /// Predicts a load of so many requests per second over so many seconds, from one client; `None` where the share of
    /// failures is not known.
    pub(crate) fn predict(&self, sent: (f64, f64)) -> Option<EdgePrediction> {
        Some(self.predicted(self.fault.as_ref().ok()?, sent, 1))
    }

    fn predicted(&self, fault: &Fault, (rate, seconds): (f64, f64), clients: u32) -> EdgePrediction {
        let (fail_ratio, policy) = (test_service::fail_ratio(fault), self.policy);
        // Each replica has separate blocks, and which of them gets an attempt is not known.
        let blocks = fault.blocks && self.servers.len() == 1;
        let within_block = blocks && !self.starts_block;
        let (requests_per_second, over_seconds) = (rate, seconds);
        let load =
            EdgeLoad { fail_ratio, requests_per_second, over_seconds, clients, policy, blocks, within_block };
        predict_edge(load, 1)
    }

    /// Returns what was counted between two scrapes, the first of which was made with this, and the window; `sent` as for
    /// [`Snapshot::until`].
    pub(crate) async fn since(
        &self,
        (then, now): (&Scrapes, &Scrapes),
        sent: Option<(f64, f64)>,
    ) -> (Mesh, Window) {
        let later = self.again().await;
        let mut window = Window::between(then, now);
        (self.until(&later, &mut window, sent), window)
    }

    fn until(&self, now: &Self, window: &mut Window, sent: Option<(f64, f64)>) -> Mesh {
        let served = match (&self.seen, &now.seen) {
            (Ok(Some(before)), Ok(Some(after))) => after.since(before),
            (Err(why), _) | (Ok(Some(_)), Err(why)) => {
                window.gaps.push(format!("what service `{}` counted itself: {why}", self.service.name));
                None
            }
            _ => None,
        };
        let own = |pod: &&PodWindow| self.servers.iter().any(|server| server.name == pod.pod.name);
        let own: Vec<_> = window.pods.iter().filter(own).map(|pod| &pod.change).collect();
        let routes = client_view(window.pods.iter().map(|pod| &pod.change), &self.service);
        let (fault, unpredicted) = match (&self.fault, &now.fault) {
            (Ok(before), Ok(after)) if before != after => {
                let (before, after) = (test_service::fault_words(before), test_service::fault_words(after));
                (None, Some(format!("the fault changed meanwhile, from `{before}` to `{after}`")))
            }
            (Ok(fault), _) => (Some(fault), None),
            (Err(why), _) => (None, Some(why.to_string())),
        };
        let clients = window.pods.iter().filter(|pod| talks(pod, &self.service)).count().max(1);
        let clients = u32::try_from(clients).unwrap_or(u32::MAX);
        let mut outcomes = Outcomes::of(&routes, served.as_ref());
        if matches!(self.seen, Ok(None)) {
            outcomes.remarks.push(format!(
                "unknown: outcomes by attempt and the added latency, which only meshy's test service reports; service `{}` runs \
                 another application",
                self.service.name
            ));
        }
        let other = not_predictable(&outcomes).or_else(|| self.failed_calls(window));
        let prediction = sent.zip(fault).filter(|_| other.is_none());
        Mesh {
            policy: self.policy,
            fail_ratio: fault.map(test_service::fail_ratio),
            clients: total(routes.values()),
            servers: total(server_view(own).values()),
            outcomes,
            prediction: prediction.map(|(sent, fault)| self.predicted(fault, sent, clients)),
            unpredicted: unpredicted.or(other),
            gaps: window.gaps.clone(),
            service: self.service.clone(),
        }
    }

    /// Why the failures of the service are not only its own: requests that it sent to another service failed.
    fn failed_calls(&self, window: &Window) -> Option<String> {
        let own = |edge: &&Edge| {
            edge.namespace == self.service.namespace
                && self.servers.iter().any(|server| server.workload == edge.client)
        };
        let edges = edges(window);
        let Edge { service: called, counts, .. } =
            edges.iter().filter(own).find(|edge| edge.counts.failed_count > 0)?;
        let (name, failed, all) = (&self.service.name, counts.failed_count, counts.requests_count);
        Some(format!(
            "`{name}` calls `{}`, where {failed} of {all} requests failed, and the prediction has only failures of `{name}` itself; \
             `meshy predict --topology` has those of all services",
            called.name
        ))
    }

    /// Whether several replicas each know a part of a request's attempts only.
    pub(crate) fn is_replicated(&self) -> bool {
        self.servers.len() > 1
    }
}

/// Why the outcomes cannot be compared with a prediction of one edge, which has neither timeouts nor latencies.
fn not_predictable(outcomes: &Outcomes) -> Option<String> {
    let count = Some(outcomes.timed_out_count).filter(|count| *count > 0)?;
    Some(format!("{count} requests timed out, and the prediction has no timeouts"))
}

/// None where the application is not the test service, which alone has such counts; else why they are not known.
fn known(seen: anyhow::Result<ServiceIds>) -> Result<Option<ServiceIds>, SharedError> {
    match seen {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if error::cause::<NotTestService>(&error).is_some() => Ok(None),
        Err(error) => Err(error.into()),
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

#[cfg(test)]
mod tests {
    mod scrapes;

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
        let before = snapshot(&client, &service).await.unwrap();
        let (mesh, _) = before.until(&before.again().await.unwrap(), Some((4.0, 1.0)));
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
    fn outcomes_with_timeouts_are_not_compared_with_a_prediction_without_them() {
        let timed_out = Outcomes { timed_out_count: 3, ..Outcomes::default() };
        assert!(not_predictable(&timed_out).unwrap().starts_with("3 requests timed out"));
        assert_eq!(not_predictable(&Outcomes::default()), None);
    }

    #[test]
    fn only_an_application_of_others_has_no_counts_without_a_reason() {
        let not_ours = NotTestService { pod: "web-1".to_owned(), why: "status 404".to_owned() };
        assert!(matches!(known(Err(not_ours.into())), Ok(None)));
        let error = known(Err(anyhow::anyhow!("forbidden"))).unwrap_err();
        assert_eq!(error.to_string(), "forbidden");
    }
}
